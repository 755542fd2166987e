"""Planes: slices of a volume as pictures, and the map between voxels, a slice's pixels and millimetres.

Pictures keep the library's convention: pixel (row i, column j) covers x in [j, j + 1) and y in [i, i + 1), so its
centre is (j + 0.5, i + 0.5). Voxel centres have whole indices. A slice's ``index`` is the voxel index along the
storage axis across the plane, whichever way that axis runs: :attr:`Slicing.directions` says it.

Two views of each plane:

- ``radiological``, the way scans are read: the patient's left is at the right of axial and coronal pictures, anterior
  at the top of axial and at the left of sagittal ones, superior at the top of coronal and sagittal ones;
- ``storage``, the raw array: the first of the two storage axes that are left runs down, the second to the right, and
  nothing is flipped.

Nothing is resampled: where an affine is oblique, the plane is across the storage axis closest to the plane's normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import InputError, UnknownNameError
from fiducial.volumes.affines import (
    LETTERS,
    Affine,
    Shape,
    apply,
    check_affine,
    closest_axes,
    inverse,
    spacing_of,
    tilt_of,
)

Plane = Literal["axial", "coronal", "sagittal"]
View = Literal["radiological", "storage"]
PLANES: tuple[Plane, ...] = get_args(Plane)
VIEWS: tuple[View, ...] = get_args(View)

N = TypeVar("N", bound=np.generic)

_ACROSS = {"sagittal": 0, "coronal": 1, "axial": 2}
_TO_THE_RIGHT = {"axial": "L", "coronal": "L", "sagittal": "P"}
_DOWN = {"axial": "P", "coronal": "I", "sagittal": "I"}
OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}
WORDS = {"L": "left", "R": "right", "P": "posterior", "A": "anterior", "I": "inferior", "S": "superior"}
"""The letters' words; left and right are the patient's."""


class Directions(NamedTuple):
    """Towards what of the patient a slice's axes run: letters L, R, P, A, I or S, the closest for oblique ones."""

    right: str
    """the picture's x"""
    down: str
    """the picture's y"""
    index: str  # type: ignore[assignment]  # the tuple's method of this name is of no use here
    """the slices' index"""


@dataclass(frozen=True, eq=False)
class Slicing:
    """A grid cut into slices of one plane, seen in one view.

    Args:
        shape: voxels along the storage axes.
        affine: (4, 4) voxel indices to RAS+ mm.
        plane: axial, coronal or sagittal.
        view: radiological or storage.

    Example:
        >>> slicing = Slicing((10, 8, 4), np.diag([1.0, 1.0, 5.0, 1.0]), "axial")
        >>> slicing.count, slicing.size, slicing.directions.right
        (4, (10, 8), 'L')
        >>> slicing.pixel_to_voxel((0.5, 0.5), 3).tolist()
        [9.0, 7.0, 3.0]
        >>> slicing.pixel_to_mm((0.5, 0.5), 3).tolist()
        [9.0, 7.0, 15.0]
    """

    shape: Shape
    affine: Affine
    plane: Plane = "axial"
    view: View = "radiological"

    def __post_init__(self) -> None:
        for what, value, known in (("plane", self.plane, PLANES), ("view", self.view, VIEWS)):
            if value not in known:
                raise UnknownNameError(what, str(value), known)
        x, y, z = (int(size) for size in self.shape)
        object.__setattr__(self, "shape", (x, y, z))
        object.__setattr__(self, "affine", check_affine(self.affine, "a slicing"))

    @cached_property
    def _closest(self) -> tuple[tuple[int, bool], ...]:
        return closest_axes(self.affine)

    @cached_property
    def _codes(self) -> tuple[str, ...]:
        return tuple(LETTERS[axis][along] for axis, along in self._closest)

    @cached_property
    def axes(self) -> tuple[int, int, int]:
        """The storage axes along the picture's x, along its y, and across the plane."""
        ras = [axis for axis, _ in self._closest]
        across = ras.index(_ACROSS[self.plane])
        first, second = (axis for axis in range(3) if axis != across)
        along_x = second
        if self.view == "radiological":
            wanted = {_TO_THE_RIGHT[self.plane], OPPOSITE[_TO_THE_RIGHT[self.plane]]}
            along_x = next(axis for axis in (first, second) if self._codes[axis] in wanted)
        return along_x, first + second - along_x, across

    @cached_property
    def flipped(self) -> tuple[bool, bool]:
        """Whether the picture's x, and its y, run against their storage axes."""
        if self.view == "storage":
            return False, False
        along_x, along_y, _ = self.axes
        return self._codes[along_x] != _TO_THE_RIGHT[self.plane], self._codes[along_y] != _DOWN[self.plane]

    @cached_property
    def directions(self) -> Directions:
        """Towards what of the patient the picture's x, its y and the slices' index run."""
        letters = [self._codes[axis] for axis in self.axes]
        right, down = (
            OPPOSITE[letter] if flip else letter for letter, flip in zip(letters[:2], self.flipped, strict=True)
        )
        return Directions(right, down, letters[2])

    @property
    def count(self) -> int:
        """How many slices there are."""
        return self.shape[self.axes[2]]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each slice in pixels."""
        return self.shape[self.axes[0]], self.shape[self.axes[1]]

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """The distance in mm of neighbouring pixels along x, along y, and of neighbouring slices."""
        sizes = spacing_of(self.affine)
        return sizes[self.axes[0]], sizes[self.axes[1]], sizes[self.axes[2]]

    @cached_property
    def tilt(self) -> float:
        """The largest angle in degrees between a storage axis and the patient's axis it stands for."""
        return tilt_of(self.affine)

    @cached_property
    def to_voxel(self) -> Affine:
        """The (4, 4) matrix that maps x, y, index, 1 to voxel indices i, j, k, 1."""
        matrix = np.zeros((4, 4))
        for column, (axis, flip) in enumerate(zip(self.axes, (*self.flipped, False), strict=True)):
            matrix[axis, column] = -1.0 if flip else 1.0
            if column < 2:
                matrix[axis, 3] = self.shape[axis] - 0.5 if flip else -0.5
        matrix[3, 3] = 1.0
        matrix.setflags(write=False)
        return matrix

    def stack(self, array: NDArray[N]) -> NDArray[N]:
        """Return a view (count, height, width) of an array (X, Y, Z): the slices, in the order of their index."""
        if array.shape != self.shape:
            raise InputError(f"a volume of shape {self.shape} is expected, got {array.shape}")
        along_x, along_y, across = self.axes
        turned = array.transpose(across, along_y, along_x)
        flip_x, flip_y = self.flipped
        return turned[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]

    def slice(self, array: NDArray[N], index: int) -> NDArray[N]:
        """Return a view (height, width) of one slice of an array (X, Y, Z), as the picture shows it.

        Raises:
            InputError: no such slice, or an array of another shape.
        """
        if not 0 <= index < self.count:
            raise InputError(f"there are {self.count} {self.plane} slices, 0 to {self.count - 1}, got {index}")
        shown: NDArray[N] = self.stack(array)[index]
        return shown

    def unslice(self, array: NDArray[Any], index: int, pixels: ArrayLike) -> None:
        """Write a slice's pixels (height, width) into an array (X, Y, Z), in place: what :meth:`slice` reads."""
        shown = self.slice(array, index)
        if np.shape(pixels) != shown.shape:
            raise InputError(f"{self.plane} slices have shape {shown.shape}, got {np.shape(pixels)}")
        shown[...] = pixels

    def pixel_to_voxel(self, points: ArrayLike, index: ArrayLike) -> NDArray[np.float64]:
        """Map points (..., 2) x, y of slices, whose index is a number or (...), to voxel indices (..., 3)."""
        given = np.asarray(points, dtype=np.float64)
        if given.shape[-1:] != (2,):
            raise InputError(f"points in a slice need shape (..., 2), got {given.shape}")
        numbers = np.broadcast_to(np.asarray(index, dtype=np.float64), given.shape[:-1])
        return apply(self.to_voxel, np.concatenate([given, numbers[..., None]], axis=-1))

    def voxel_to_pixel(self, voxels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map voxel indices (..., 3) to points (..., 2) x, y and slice indices (...), none of which need be whole."""
        found = apply(inverse(self.to_voxel), voxels)
        return found[..., :2], found[..., 2]

    def pixel_to_mm(self, points: ArrayLike, index: ArrayLike) -> NDArray[np.float64]:
        """Map points (..., 2) x, y of slices to RAS+ mm (..., 3)."""
        return apply(self.affine, self.pixel_to_voxel(points, index))

    def mm_to_pixel(self, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map RAS+ mm (..., 3) to points (..., 2) x, y and slice indices (...)."""
        return self.voxel_to_pixel(apply(inverse(self.affine), points))

    def describe(self) -> str:
        """Say in one line what the picture shows where.

        Example:
            >>> Slicing((10, 8, 4), np.diag([1.0, 1.0, 5.0, 1.0]), "coronal").describe()
            'coronal, radiological view: patient left at the right, inferior at the bottom'
        """
        right, down, _ = (WORDS[letter] for letter in self.directions)
        sides = [f"patient {word}" if word in ("left", "right") else word for word in (right, down)]
        return f"{self.plane}, {self.view} view: {sides[0]} at the right, {sides[1]} at the bottom"
