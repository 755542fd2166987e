"""A volume with labels: NIfTI files whose slices are the pictures, one mask per label in each.

Volumes are turned to their closest RAS+ axes (first axis to the patient's right, second to anterior, third to
superior) and shown the way scans are read: in axial and coronal slices the patient's left is at the right of
the picture; anterior is at the top of axial and at the left of sagittal slices; superior is at the top of
coronal and sagittal ones. In RAS+ this is one rule for all planes: both axes of a slice run backwards.
"""

from __future__ import annotations

import importlib
import math
import zlib
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets.configs import VolumeConfig
from fiducial.datasets.files import LayoutError, choose_splits
from fiducial.datasets.sample import Listing, Sample
from fiducial.errors import InputError, MissingExtraError
from fiducial.files import read_json
from fiducial.geometry import Mask
from fiducial.images import Image

EXPECTED = """
folder/
  image.nii.gz                or image.nii: one 3D volume
  labels.nii.gz               or labels.nii: whole numbers on the same grid, 0 is background
  labels.json                 {"1": "spleen", ...} or {"1": {"name": "spleen"}, ...}
"""
PERCENTILES = (0.5, 99.5)
_ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}
_MAX_VOXELS = 2**30
_SAME_PLACE_MM = 0.01


def open_volume(config: VolumeConfig) -> Listing:
    """Open a labelled volume as a dataset of its slices.

    Each slice with a label is one sample: its instances are the labels in it, one mask each, in the order of their
    numbers. Opening reads the labels; the volume itself is read with the first sample, and both stay in memory.
    Pictures are grey. ``meta`` names the volume, the plane, the slice's index along the RAS+ axis and the
    spacing [row, column] in millimetres.
    """
    root, plane = config.path, config.plane
    choose_splits([""], config.split, root)
    volume = _Volume(_found(root), config.window)
    planes = ("axial", "coronal", "sagittal") if plane == "all" else (plane,)
    slices = [(one, *place) for one in planes for place in volume.labelled_slices(one, config.min_area)]
    if not slices:
        raise InputError(f"{root}: no {plane} slice has a label of at least {config.min_area} pixels")
    rows = ((f"{one}-{index:03d}", partial(_sample, volume, one, index, numbers)) for one, index, numbers in slices)
    return Listing("volume", root, rows)


def is_volume(root: Path) -> bool:
    """Say whether both NIfTI files are there."""
    return root.is_dir() and all(_nifti(root, stem) is not None for stem in ("image", "labels"))


class _Volume:
    """The image and the labels on one RAS+ grid, each read once."""

    def __init__(self, paths: tuple[Path, Path, Path], window: tuple[float, float] | None) -> None:
        self.path, labels_path, names_path = paths
        self._given = window
        self._image = _open(self.path)
        labels = _open(labels_path)
        _require_same_grid(self.path, self._image, labels_path, labels)
        self.spacing = _spacing(self._image)
        self.names = read_names(names_path)
        self.labels = check_labels(_values(labels, labels_path), labels_path).astype(np.int32)
        unnamed = sorted(set(np.unique(self.labels).tolist()) - {0} - set(self.names))
        if unnamed:
            some = ", ".join(map(str, unnamed[:8]))
            raise InputError(f"{names_path}: no name for label {some} of {labels_path.name}")

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """The image on the RAS+ grid, float32."""
        return _values(self._image, self.path).astype(np.float32)

    @cached_property
    def window(self) -> tuple[float, float]:
        """The values that are shown as black and white."""
        if self._given is not None:
            return self._given
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            raise InputError(f"{self.path}: no voxel has a finite value")
        low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
        if low >= high:
            raise InputError(f"{self.path}: nearly all voxels have the value {low:g}: say window=low,high")
        return low, high

    def labelled_slices(self, plane: str, min_area: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Find the slices with labels of enough pixels: index and those labels' numbers."""
        for index, piece in enumerate(np.moveaxis(self.labels, _ACROSS[plane], 0)):
            numbers, counts = np.unique(piece[piece > 0], return_counts=True)
            kept = tuple(numbers[counts >= min_area].tolist())
            if kept:
                yield index, kept

    def picture(self, plane: str, index: int) -> Image:
        """Cut the picture of a slice: the window in 0..255, equal in red, green and blue."""
        low, high = self.window
        # What is not a number (outside of the scanned body in some files) is shown as black.
        values = np.nan_to_num(_shown(self.values, plane, index).astype(np.float64), nan=low, posinf=high, neginf=low)
        grey = np.rint((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.uint8)
        return Image.from_array(grey, name=f"{self.path.parent.name}-{plane}-{index:03d}")


def _sample(volume: _Volume, plane: str, index: int, numbers: tuple[int, ...], key: str) -> Sample:
    labels = _shown(volume.labels, plane, index)
    column, line = (size for axis, size in enumerate(volume.spacing) if axis != _ACROSS[plane])
    return Sample(
        id=key,
        image_path=None,
        picture=volume.picture(plane, index),
        instruction="all objects",
        instances=tuple(Mask.from_dense(labels == number) for number in numbers),
        size=(int(labels.shape[0]), int(labels.shape[1])),
        labels=tuple(volume.names[number] for number in numbers),
        meta={"volume": volume.path.parent.name, "plane": plane, "index": index, "spacing": [line, column]},
    )


def _shown(values: NDArray[Any], plane: str, index: int) -> NDArray[Any]:
    """Cut a slice out of a RAS+ volume as a picture (see the top of this file)."""
    piece = np.take(values, index, axis=_ACROSS[plane])
    shown: NDArray[Any] = piece[::-1, ::-1].T
    return shown


def _found(root: Path) -> tuple[Path, Path, Path]:
    image, labels, names = _nifti(root, "image"), _nifti(root, "labels"), root / "labels.json"
    if image and labels and names.is_file():
        return image, labels, names
    there = {"image.nii.gz": image, "labels.nii.gz": labels, "labels.json": names.is_file()}
    lost = [name for name, here in there.items() if not here]
    raise LayoutError(root, "volume", EXPECTED, f"{' and '.join(lost)} missing")


def _nifti(root: Path, stem: str) -> Path | None:
    return next((path for suffix in (".nii.gz", ".nii") if (path := root / f"{stem}{suffix}").is_file()), None)


def _open(path: Path) -> Any:
    """Open a NIfTI file, its data still on disk."""
    nibabel = _nibabel()
    broken = (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
    try:
        image = nibabel.load(path)
    except (*broken, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: not a readable NIfTI file ({error})") from None
    shape = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or 0 in shape:
        raise InputError(f"{path}: one volume with three axes is expected, got shape {shape}")
    if math.prod(shape) > _MAX_VOXELS:
        raise InputError(f"{path}: {math.prod(shape)} voxels are more than the limit of {_MAX_VOXELS}")
    if image.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path}: one number per voxel is expected, got {image.get_data_dtype()}")
    turned = nibabel.orientations.io_orientation
    if not np.isfinite(image.affine).all() or np.isnan(turned(image.affine)).any():
        raise InputError(f"{path}: its affine does not say where the voxels lie")
    return image


def _require_same_grid(path: Path, image: Any, labels_path: Path, labels: Any) -> None:
    if image.shape[:3] != labels.shape[:3]:
        raise InputError(f"{labels_path}: its shape is {labels.shape[:3]}, that of {path.name} is {image.shape[:3]}")
    corners = np.array([[0, 0, 0, 1], [*image.shape[:3], 1]], dtype=float)
    apart = float(np.abs(corners @ (image.affine - labels.affine).T).max())
    if apart > _SAME_PLACE_MM:
        raise InputError(f"{labels_path}: its voxels lie up to {apart:g} mm from those of {path.name}")


def _spacing(image: Any) -> tuple[float, float, float]:
    """Return the voxels' size in millimetres along the RAS+ axes."""
    axes = _nibabel().orientations.io_orientation(image.affine)[:, 0]
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    x, y, z = (round(float(size), 6) for size in sizes[np.argsort(axes)])
    return x, y, z


def _values(image: Any, path: Path) -> NDArray[Any]:
    """Read the data of a volume, turned to RAS+."""
    orientations = _nibabel().orientations
    try:
        data = np.asarray(image.dataobj).reshape(image.shape[:3])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: the data is broken or cut off ({error})") from None
    turned: NDArray[Any] = orientations.apply_orientation(data, orientations.io_orientation(image.affine))
    return turned


def _nibabel() -> Any:
    """Import nibabel, whose orientation functions have no types."""
    try:
        return importlib.import_module("nibabel")
    except ImportError as error:
        raise MissingExtraError("dataset 'volume'", "volumes", str(error)) from error


def check_labels(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return labels as they are, if they are whole numbers in 0..2147483647.

    Raises:
        InputError: they are not.
    """
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise InputError(f"{path}: labels are whole numbers, but there are others")
    if values.min() < 0 or values.max() >= 2**31:
        raise InputError(f"{path}: labels lie in 0..2147483647, got {values.min():g}..{values.max():g}")
    return values


def read_names(path: Path) -> dict[int, str]:
    """Read ``{"1": "liver"}`` or ``{"1": {"name": "liver"}}``; what it says about 0, the background, is left out.

    Raises:
        InputError: missing, or another form.
    """
    names = {}
    for key, entry in read_json(path, kind=dict).items():
        name = entry.get("name") if isinstance(entry, dict) else entry
        if not (key.isascii() and key.isdigit()) or not isinstance(name, str) or not name.strip():
            raise InputError(f"{path}: a label's number with its name is expected, got {key!r}: {entry!r:.60}")
        if int(key) > 0:
            names[int(key)] = name.strip()
    return names
