"""Affines: where the voxels of a volume lie in the patient, in millimetres.

An affine is a (4, 4) matrix that maps voxel indices (i, j, k, 1) to RAS+ millimetres: the first coordinate grows to
the patient's right, the second to anterior, the third to superior. Voxel centres have whole indices (nibabel's
convention). DICOM's patient coordinates are LPS+: both horizontal axes point the other way.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import InputError, MissingExtraError

Affine = NDArray[np.float64]
Shape = tuple[int, int, int]

LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""The two directions of each RAS+ axis: against it, along it."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns RAS+ millimetres into DICOM's LPS+ ones, and back."""

SAME_PLACE_MM = 0.01
"""Grids whose corners lie this close to each other are the same grid."""

_ORTHOGONAL = 1e-3  # cosine between two axes that still count as perpendicular: 0.06 degrees


def check_affine(affine: ArrayLike, where: str) -> Affine:
    """Return an affine as a read-only (4, 4) float64 matrix.

    Args:
        affine: the matrix.
        where: what errors begin with.

    Raises:
        InputError: it has another shape or last row, a value that is not finite, or axes that lie in one plane.
    """
    try:
        matrix = np.array(affine, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: an affine needs 4 x 4 numbers") from None
    if matrix.shape != (4, 4):
        raise InputError(f"{where}: an affine needs shape (4, 4), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(f"{where}: its affine holds values that are not finite: it does not say where the voxels lie")
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise InputError(f"{where}: the last row of an affine is 0 0 0 1, got {matrix[3].tolist()}")
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    if not sizes.all() or abs(np.linalg.det(matrix[:3, :3] / sizes)) < 1e-3:
        raise InputError(f"{where}: its affine does not say where the voxels lie: its axes do not span space")
    matrix.setflags(write=False)
    return matrix


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Return the distance in mm of neighbouring voxel centres along each storage axis."""
    x, y, z = (float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return x, y, z


def voxel_volume(affine: Affine) -> float:
    """Return the volume of a voxel in cubic millimetres."""
    first, second, third = affine[:3, :3].T
    return abs(float(np.cross(first, second) @ third))


def closest_axes(affine: Affine) -> tuple[tuple[int, bool], ...]:
    """Say for each storage axis which RAS+ axis (0, 1, 2) it is closest to, and whether it runs along it.

    Each RAS+ axis is named once, also for oblique affines (nibabel's ``io_orientation``).
    """
    found = nibabel("a volume").orientations.io_orientation(affine)
    return tuple((int(axis), bool(sign > 0)) for axis, sign in found)


def axis_codes(affine: Affine) -> str:
    """Return the letters of the directions in which the storage axes run, such as ``"LPS"``."""
    return "".join(LETTERS[axis][along] for axis, along in closest_axes(affine))


def tilt_of(affine: Affine) -> float:
    """Return the largest angle, in degrees, between a storage axis and the patient's axis that it is closest to."""
    cosines = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    smallest = min(float(cosines[axis, number]) for number, (axis, _) in enumerate(closest_axes(affine)))
    return math.degrees(math.acos(min(1.0, smallest)))


def is_orthogonal(affine: Affine) -> bool:
    """Say whether the storage axes are perpendicular to each other, as DICOM needs it."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(cosines.T @ cosines - np.eye(3)).max() < _ORTHOGONAL)


def apply(affine: Affine, points: ArrayLike) -> NDArray[np.float64]:
    """Map points (..., 3) by an affine.

    Example:
        >>> apply(np.diag([2.0, 2.0, 5.0, 1.0]), [1, 0, 3]).tolist()
        [2.0, 0.0, 15.0]
    """
    given = np.asarray(points, dtype=np.float64)
    if given.shape[-1:] != (3,):
        raise InputError(f"points in a volume need shape (..., 3), got {given.shape}")
    return np.asarray(given @ affine[:3, :3].T + affine[:3, 3])


def inverse(affine: Affine) -> Affine:
    """Return the affine that goes back."""
    return np.asarray(np.linalg.inv(affine), dtype=np.float64)


def apart(shape: Sequence[int], affine: Affine, other: Affine) -> float:
    """Return how far, in mm, the corner voxels of a grid lie from those of one with another affine."""
    corners = np.array([[i, j, k] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    return float(np.linalg.norm(apply(affine, corners) - apply(other, corners), axis=1).max())


def make_affine(
    shape: Sequence[int],
    spacing: Sequence[float],
    axes: str = "RAS",
    rotation: Sequence[float] = (0.0, 0.0, 0.0),
    centre: Sequence[float] = (0.0, 0.0, 0.0),
) -> Affine:
    """Make the affine of a grid around a point.

    Args:
        shape: voxels along the storage axes.
        spacing: mm along the storage axes.
        axes: the letters of the directions in which the storage axes run before the rotation, such as ``"LPS"``.
        rotation: degrees about the patient's right, anterior and superior axes, in this order.
        centre: RAS+ mm of the grid's middle.

    Example:
        >>> make_affine((10, 10, 4), (1, 1, 5), "LPS").round(6).tolist()[0]
        [-1.0, 0.0, 0.0, 4.5]
    """
    directions = np.zeros((3, 3))
    for number, (axis, along) in enumerate(read_axes(axes)):
        directions[axis, number] = spacing[number] if along else -spacing[number]
    affine = np.eye(4)
    affine[:3, :3] = _rotation(rotation) @ directions
    affine[:3, 3] = np.asarray(centre) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return check_affine(affine, "the grid")


def read_axes(letters: str) -> tuple[tuple[int, bool], ...]:
    """Read the letters of three storage axes, such as ``"LPS"``, as :func:`closest_axes` gives them.

    Raises:
        InputError: not three letters, one of each of L/R, P/A and I/S.
    """
    known = {letter: (axis, bool(along)) for axis, pair in enumerate(LETTERS) for along, letter in enumerate(pair)}
    found = tuple(known[letter] for letter in letters.upper() if letter in known)
    if len(letters) != 3 or {axis for axis, _ in found} != {0, 1, 2}:
        raise InputError(f"storage axes are three letters, one of L or R, of P or A and of I or S, got {letters!r}")
    return found


def _rotation(degrees: Sequence[float]) -> NDArray[np.float64]:
    turned = np.eye(3)
    for axis, angle in enumerate(degrees):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        one = np.eye(3)
        first, second = [(1, 2), (2, 0), (0, 1)][axis]
        one[first, first], one[first, second], one[second, first], one[second, second] = c, -s, s, c
        turned = one @ turned
    return turned


def nibabel(part: str) -> Any:
    """Import nibabel for a part, which has no types.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("nibabel")
    except ImportError as error:
        raise MissingExtraError(part, "volumes", str(error)) from error
