"""The second way: every answer worked out anew from coordinates in millimetres, apart from slices and their pixels.

Voxels go through the affine to RAS+ mm, one by one; directions of the patient are the axes of that space, directions
of a picture are the constants that a radiological view is defined by, or the columns of the affine for storage order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.misground.anatomy import QUARTERS, Spread, from_middle
from fiducial.volumes import LabelMap
from fiducial.volumes.planes import OPPOSITE, Plane, View

Vector = NDArray[np.float64]

AXES: dict[str, Vector] = {letter: np.eye(3)[axis] for axis, letter in enumerate("RAS")}
AXES |= {letter: -np.eye(3)[axis] for axis, letter in enumerate("LPI")}
"""The patient's directions in RAS+ mm."""
_RADIOLOGICAL = {"axial": ("L", "P"), "coronal": ("L", "I"), "sagittal": ("P", "I")}
"""To the right and down in a radiological view: its definition."""
_NORMAL = {"axial": "S", "coronal": "A", "sagittal": "R"}
_AT_ONCE = 2**22
"""Voxels that are looked at together, so that memory stays bounded."""
_ALONG = 0.26
"""Cosine from which a slice's edge runs along a direction: 15 degrees off the perpendicular."""


class InMillimetres:
    """Places of labelled structures in RAS+ mm.

    Args:
        labels: the label map.
        midline: the labels that show the body's middle plane, where one is known.
    """

    def __init__(self, labels: LabelMap, midline: Sequence[int] = ()) -> None:
        from scipy import ndimage

        self._array, self._affine = labels.array, labels.affine
        columns = self._affine[:3, :3]
        self._units = columns / np.linalg.norm(columns, axis=0)
        self._boxes = ndimage.find_objects(self._array)
        self._midline = tuple(midline)
        self._spreads: dict[tuple[int, bytes, int, int], Spread] = {}

    @cached_property
    def tilt(self) -> float:
        """The largest angle in degrees between a storage axis and the patient's axis that it is closest to."""
        cosines = [abs(float(self._units[:, self._axis_of(letter)] @ AXES[letter])) for letter in "RAS"]
        return float(np.degrees(np.arccos(min(1.0, min(cosines)))))

    def place(self, label: int, asked: str, plane: Plane, view: View, index: int | None) -> Spread:
        """Tell how a structure lies along a direction, in mm; arguments as for ``Anatomy.place``."""
        if asked in "MT":
            distances = from_middle(self._measured(label, AXES["R"], plane, index), self._middle_plane)
            return distances if asked == "T" else Spread(-distances.mean, -distances.high, -distances.low)
        return self._measured(label, self._towards(asked, plane, view), plane, index)

    def middle(self, asked: str, plane: Plane, view: View, index: int) -> float:
        """Return where the middle of the picture of a slice lies along a direction, in mm."""
        return float(self._centre(plane, index) @ self._towards(asked, plane, view))

    def slice_place(self, asked: str, plane: Plane, index: int) -> float:
        """Return where the middle of a slice lies along a direction of the patient, in mm."""
        return float(self._centre(plane, index) @ AXES[asked])

    def across(self, asked: str, plane: Plane) -> bool:
        """Tell whether a direction of the patient runs through a plane: none of its edges runs along it."""
        edges = [axis for axis in range(3) if axis != self._across(plane)]
        return asked in AXES and max(abs(float(self._units[:, axis] @ AXES[asked])) for axis in edges) < _ALONG

    def label_at(self, place: Vector) -> int:
        """Return the label of the voxel that holds a place in RAS+ mm, 0 outside."""
        voxel = np.rint(np.linalg.solve(self._affine, [*place, 1.0])[:3]).astype(int)
        if (voxel < 0).any() or (voxel >= self._array.shape).any():
            return 0
        return int(self._array[tuple(voxel)])

    # -- directions ----------------------------------------------------------------------------------

    def _towards(self, asked: str, plane: Plane, view: View) -> Vector:
        """Return a direction as a unit vector in mm.

        Those of an image whose affine is oblique are the storage axes, which nobody resamples, pointed as defined.
        """
        if asked in AXES:
            return AXES[asked]
        if view == "storage":
            down, right = (self._units[:, axis] for axis in range(3) if axis != self._across(plane))
        else:
            right, down = (self._pointed(letter) for letter in _RADIOLOGICAL[plane])
        return np.asarray({"right": right, "left": -right, "down": down, "up": -down}[asked])

    def _across(self, plane: Plane) -> int:
        return self._axis_of(_NORMAL[plane])

    @cached_property
    def _assigned(self) -> dict[str, int]:
        """The storage axis of each of the patient's, the closest pair first, each once."""
        cosines, found = np.abs(self._units), dict[str, int]()
        for _ in range(3):
            row, column = np.unravel_index(int(np.argmax(cosines)), (3, 3))
            found["RAS"[row]] = int(column)
            cosines[row, :] = cosines[:, column] = -1.0
        return found

    def _axis_of(self, letter: str) -> int:
        return self._assigned[letter]

    def _pointed(self, letter: str) -> Vector:
        unit = self._units[:, self._axis_of(letter if letter in "RAS" else OPPOSITE[letter])]
        return np.asarray(unit if unit @ AXES[letter] > 0 else -unit)

    # -- places --------------------------------------------------------------------------------------

    @cached_property
    def _middle_plane(self) -> float:
        return float(np.median([self._measured(label, AXES["R"], "axial", None).mean for label in self._midline]))

    def _centre(self, plane: Plane, index: int) -> Vector:
        voxel = (np.asarray(self._array.shape) - 1) / 2.0
        voxel[self._across(plane)] = index
        return self._in_mm(voxel)

    def _measured(self, label: int, direction: Vector, plane: Plane, index: int | None) -> Spread:
        axis = -1 if index is None else self._across(plane)
        key = label, direction.tobytes(), axis, -1 if index is None else index
        if key not in self._spreads:
            along = np.concatenate([self._in_mm(voxels) @ direction for voxels in self._voxels(label, axis, index)])
            low, high = np.quantile(along, QUARTERS, method="inverted_cdf")
            self._spreads[key] = Spread(float(along.mean()), float(low), float(high))
        return self._spreads[key]

    def _voxels(self, label: int, axis: int, index: int | None) -> Iterator[NDArray[Any]]:
        """Return the indices (n, 3) of a structure's voxels, of all or of one layer, some layers at a time."""
        box = list(self._boxes[label - 1])
        if index is not None:
            box[axis] = slice(index, index + 1)
        first, last = box[2].start, box[2].stop
        area = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        step = max(1, _AT_ONCE // area)
        for start in range(first, last, step):
            part = (box[0], box[1], slice(start, min(start + step, last)))
            yield np.argwhere(self._array[part] == label) + [one.start for one in part]

    def _in_mm(self, voxels: NDArray[Any]) -> Vector:
        return np.asarray(voxels @ self._affine[:3, :3].T + self._affine[:3, 3])
