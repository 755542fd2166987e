"""The values of this room: a scan with its place in the patient, and a label map with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError, UnknownNameError
from fiducial.images import Image
from fiducial.volumes.affines import (
    SAME_PLACE_MM,
    Affine,
    Shape,
    apart,
    apply,
    axis_codes,
    check_affine,
    inverse,
    spacing_of,
)
from fiducial.volumes.planes import Plane, Slicing, View
from fiducial.volumes.regions import Region, find_regions
from fiducial.volumes.windows import Window, find_window, to_grey

Modality = Literal["CT", "MR", ""]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


class Grid(Protocol):
    """What lies on a grid of voxels: a volume or a label map."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def shape(self) -> Shape:
        """Voxels along the storage axes."""

    @property
    def affine(self) -> Affine:
        """(4, 4) voxel indices to RAS+ mm."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan: values on a grid of voxels that has a place in the patient.

    Args:
        array: (X, Y, Z) real numbers along the storage axes: Hounsfield units for CT. Made read-only.
        affine: (4, 4) voxel indices to RAS+ mm, nibabel's convention: voxel centres have whole indices, and the first
            coordinate grows to the patient's right, the second to anterior, the third to superior.
        modality: CT, MR, or "" where it is not known.
        name: where it came from, for messages and file names.
        notes: what reading it had to decide or change.
        files: the DICOM files it was read from, in the order of the slices; empty for others.

    Example:
        >>> volume = Volume(np.zeros((4, 4, 2)), np.diag([-1.0, -1.0, 5.0, 1.0]), "CT")
        >>> volume.axes, volume.spacing
        ('LPS', (1.0, 1.0, 5.0))
    """

    array: NDArray[Any]
    affine: Affine
    modality: Modality = ""
    name: str = "volume"
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype.kind not in "iufb":
            raise InputError(f"{self.name}: a volume needs one real number per voxel, got {array.dtype}")
        if self.modality not in MODALITIES:
            raise UnknownNameError("modality", str(self.modality), [one for one in MODALITIES if one])
        object.__setattr__(self, "array", _as_grid(array, self.name))
        object.__setattr__(self, "affine", check_affine(self.affine, self.name))

    @classmethod
    def read(
        cls,
        path: str | Path | Sequence[str | Path],
        *,
        modality: Modality | None = None,
        orientation: str | None = None,
    ) -> Volume:
        """Read a NIfTI file or a DICOM series.

        Args:
            path: a ``.nii`` or ``.nii.gz`` file, a folder with the files of one DICOM series, or a list of such files.
            modality: what it is; None: what the files say, else CT where the values look like Hounsfield units.
            orientation: for NIfTI files whose headers say nothing or contradict themselves: ``"sform"`` or
                ``"qform"`` takes that matrix, three letters such as ``"LPS"`` say how the storage axes run.

        Raises:
            InputError: missing, broken, several volumes, too large, or nothing says where the voxels lie.
            MissingExtraError: nibabel or pydicom is not installed.
        """
        from fiducial.volumes.reading import read_volume

        return read_volume(path, modality, orientation)

    def write(self, path: str | Path) -> Path:
        """Write a NIfTI file (``.nii``, ``.nii.gz``), read it back, and compare values and places.

        Raises:
            InputError: it cannot be written, or holds other values or places when it is read back (no file is left
                then).
        """
        from fiducial.volumes.writing import write_volume

        return write_volume(self, path)

    @property
    def shape(self) -> Shape:
        """Voxels along the storage axes."""
        x, y, z = self.array.shape
        return x, y, z

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm of neighbouring voxels along the storage axes."""
        return spacing_of(self.affine)

    @cached_property
    def axes(self) -> str:
        """The directions in which the storage axes run, such as ``"RAS"``; the closest for oblique ones."""
        return axis_codes(self.affine)

    def slicing(self, plane: Plane = "axial", view: View = "radiological") -> Slicing:
        """Return how the volume is cut into slices of a plane."""
        return Slicing(self.shape, self.affine, plane, view)

    def window(self, wanted: str | Window | None = None) -> Window:
        """Return the values shown as black and white.

        Args:
            wanted: a CT preset's name, low and high, or None: CT's soft tissue, else robust percentiles.

        Raises:
            InputError: an unknown preset, a preset for what is not CT, or no finite values.
        """
        return find_window(self.array, self.modality, wanted, self.name)

    def picture(self, slicing: Slicing, index: int, window: Window) -> Image:
        """Return a slice as a grey picture, the window in 0..255; pixels need not be square in mm."""
        grey = to_grey(slicing.slice(self.array, index), window)
        return Image.from_array(grey, name=f"{self.name}-{slicing.plane}-{index:04d}")

    def __repr__(self) -> str:
        sizes = " x ".join(f"{size:g}" for size in self.spacing)
        return f"Volume({self.name!r}, {self.modality or 'modality unknown'}, {self.shape}, {self.axes}, {sizes} mm)"


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Whole numbers on a grid of voxels, with a name for each; 0 is the background.

    Args:
        array: (X, Y, Z) whole numbers from 0 along the storage axes. Made read-only.
        affine: (4, 4) voxel indices to RAS+ mm, as of :class:`Volume`.
        names: of the labels; those without one are called ``label N``.
        name: where it came from.

    Example:
        >>> labels = np.zeros((4, 4, 2), np.uint8)
        >>> labels[0, 0, :] = 1
        >>> found = LabelMap(labels, np.diag([1.0, 1.0, 5.0, 1.0]), {1: "liver"}).regions[1]
        >>> found.name, found.centroid, found.volume_ml
        ('liver', (0.0, 0.0, 2.5), 0.01)
    """

    array: NDArray[Any]
    affine: Affine
    names: Mapping[int, str] = field(default_factory=dict)
    name: str = "labels"

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        if array.dtype.kind not in "iub":
            raise InputError(f"{self.name}: a label map needs whole numbers, got {array.dtype}")
        if array.dtype == np.bool_:
            array = array.astype(np.uint8)
        array = _as_grid(array, self.name)
        if array.dtype.kind == "i" and array.min() < 0:
            raise InputError(f"{self.name}: labels are not negative, got {array.min()}")
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "affine", check_affine(self.affine, self.name))
        named = {int(number): str(name) for number, name in self.names.items() if int(number) != 0}
        object.__setattr__(self, "names", MappingProxyType(named))

    @classmethod
    def read(
        cls,
        path: str | Path,
        names: Mapping[int, str] | str | Path | None = None,
        *,
        orientation: str | None = None,
    ) -> LabelMap:
        """Read a NIfTI file of whole numbers.

        Args:
            path: a ``.nii`` or ``.nii.gz`` file.
            names: of the labels, or a JSON file ``{"1": "liver"}`` or ``{"1": {"name": "liver"}}``; None: those of
                ``NAME.json`` or ``labels.json`` beside the file, else none.
            orientation: as for :meth:`Volume.read`.

        Raises:
            InputError: missing, broken, not whole numbers, or nothing says where the voxels lie.
        """
        from fiducial.volumes.reading import read_label_map

        return read_label_map(path, names, orientation)

    def write(self, path: str | Path, volume: Volume | None = None) -> Path:
        """Write a NIfTI file (``.nii``, ``.nii.gz``) with the names beside it, or a DICOM segmentation (``.dcm``).

        The file is read back, and each label's centroid in mm compared.

        Args:
            path: its suffix says the format.
            volume: for DICOM: the volume, read from a DICOM series, that it is about.

        Raises:
            InputError: it cannot be written, or a centroid moved by 0.001 mm or more (no file is left then).
            MissingExtraError: nibabel, or highdicom, is not installed.
        """
        from fiducial.volumes.writing import write_label_map

        return write_label_map(self, path, volume)

    @property
    def shape(self) -> Shape:
        """Voxels along the storage axes."""
        x, y, z = self.array.shape
        return x, y, z

    @cached_property
    def regions(self) -> Mapping[int, Region]:
        """What each label that is there covers, in the order of their numbers."""
        return find_regions(self.array, self.affine, self.names)

    def name_of(self, label: int) -> str:
        """Return a label's name."""
        return self.names.get(label, f"label {label}")

    def require_grid_of(self, other: Grid) -> None:
        """Raise InputError unless both lie on one grid: same shape, corners closer than 0.01 mm."""
        require_one_grid(self, other, "bring it onto that grid with resampled_to()")

    def on_grid_of(self, other: Grid) -> LabelMap:
        """Return the label map along the storage axes of another grid of the same voxels.

        Raises:
            InputError: the voxels lie elsewhere; :meth:`resampled_to` moves the labels.
        """
        matrix = inverse(self.affine) @ other.affine
        turn = np.rint(matrix[:3, :3]).astype(int)
        if sorted(np.abs(turn).argmax(axis=0)) == [0, 1, 2] and (np.abs(turn).sum(axis=0) == 1).all():
            order = np.abs(turn).argmax(axis=0)
            signs = tuple(int(turn[axis, number]) for number, axis in enumerate(order))
            array = self.array.transpose(order)[:: signs[0], :: signs[1], :: signs[2]]
            corner = [self.shape[axis] - 1 if turn[axis].sum() < 0 else 0 for axis in range(3)]
            step, affine = np.eye(4), np.array(self.affine)
            step[:3, :3], step[:3, 3] = turn, corner
            turned = replace(self, array=array, affine=affine @ step)
            turned.require_grid_of(other)
            return replace(turned, affine=other.affine)
        self.require_grid_of(other)
        return self

    def resampled_to(self, other: Grid) -> LabelMap:
        """Return the label map on another grid: each voxel takes the label of the closest voxel here, 0 outside."""
        from scipy import ndimage

        matrix = inverse(self.affine) @ other.affine
        moved = ndimage.affine_transform(
            self.array, matrix[:3, :3], matrix[:3, 3], output_shape=other.shape, order=0, mode="constant", cval=0
        )
        return replace(self, array=moved, affine=other.affine)

    def mm(self, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Map voxel indices (..., 3) to RAS+ mm (..., 3)."""
        return apply(self.affine, voxels)


def require_one_grid(one: Grid, other: Grid, advice: str) -> None:
    """Raise InputError, with an advice, unless two things lie on one grid: same shape, corners closer than 0.01 mm."""
    if one.shape != other.shape:
        raise InputError(f"{one.name}: its shape is {one.shape}, that of {other.name} is {other.shape}: {advice}")
    gap = apart(one.shape, one.affine, other.affine)
    if gap > SAME_PLACE_MM:
        raise InputError(f"{one.name}: its voxels lie up to {gap:.4g} mm from those of {other.name}: {advice}")


def _as_grid(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim != 3:
        raise InputError(f"{name}: three axes are expected, got shape {array.shape}")
    if not array.size:
        raise InputError(f"{name}: there are no voxels ({array.shape})")
    if array.flags.writeable:
        array = array.view()
        array.setflags(write=False)
    return array
