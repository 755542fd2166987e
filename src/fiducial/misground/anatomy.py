"""Where labelled structures lie in a volume and in its slices, counted in voxels: what the answers are worked out from.

Everything here is counted along the storage axes and the pixels of slices, and turned into directions of the patient
by the letters of :class:`fiducial.volumes.planes.Slicing`. :mod:`fiducial.misground.checking` works the same out
another way, from coordinates in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.misground.names import is_midline
from fiducial.volumes import LabelMap, Volume
from fiducial.volumes.affines import closest_axes, spacing_of
from fiducial.volumes.planes import OPPOSITE, PLANES, VIEWS, Plane, Slicing, View

QUARTERS = (0.25, 0.75)
"""Structures lie apart along an axis when the middle halves of their voxels do not meet there."""
_OUTER = 0.05
_MAX_SECTIONS = 65536
_IMAGE = {"right": (0, 1.0), "left": (0, -1.0), "down": (1, 1.0), "up": (1, -1.0)}
"""Directions of the image: the picture's axis, and whether it runs along it."""
_STEPS = frozenset("RASLPI")
_CROOKED_MM = 25.0
"""Structures of the middle plane whose means lie further apart do not show where it is."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a structure's voxels lie along one axis.

    Args:
        mean: their mean place.
        low: a quarter of them lies below it.
        high: a quarter of them lies above it.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Section:
    """A structure as one slice shows it, in the slice's pixels.

    Args:
        label: its number.
        area: pixels.
        x: along the picture's x.
        y: along the picture's y.
        box: x1, y1, x2, y2 around the largest piece.
        point: x, y well inside the largest piece.
        extent: x1, y1, x2, y2 around all but a twentieth of the pixels at each side.
        share: part of the pixels that the largest piece holds, 0..1.
    """

    label: int
    area: int
    x: Spread
    y: Spread
    box: tuple[int, int, int, int]
    point: tuple[float, float]
    extent: tuple[float, float, float, float]
    share: float


class Anatomy:
    """The geometry of one labelled volume; slices are looked at when they are asked for.

    Args:
        volume: the scan; its array is of no importance here.
        labels: on the same grid.
        least: voxels that a structure needs.
    """

    def __init__(self, volume: Volume, labels: LabelMap, *, least: int = 50) -> None:
        self.volume, self.labels = volume, labels
        self.affine = labels.affine
        self.spacing = spacing_of(self.affine)
        self._slicings = {(p, v): Slicing(labels.shape, self.affine, p, v) for p in PLANES for v in VIEWS}
        self.counts, self._histograms = _histograms(labels.array)
        self.known = tuple(
            number for number in sorted(labels.names) if number < len(self.counts) and self.counts[number] >= least
        )
        """Numbers of the structures that are large enough."""
        self._spreads: dict[tuple[int, int], Spread] = {}
        self._pixels = lru_cache(maxsize=32)(self._pixels_of)
        self._sections = lru_cache(maxsize=_MAX_SECTIONS)(self._look_at)

    def name(self, label: int) -> str:
        """Return a structure's name as the label map has it."""
        return self.labels.name_of(label)

    def slicing(self, plane: Plane, view: View = "radiological") -> Slicing:
        """Cut the grid."""
        return self._slicings[plane, view]

    def _spread(self, label: int, storage: int, step: float) -> Spread:
        key = label, storage
        if key not in self._spreads:
            self._spreads[key] = _spread(self._histograms[storage][label])
        return _scaled(self._spreads[key], step)

    def present(self, plane: Plane) -> NDArray[np.int64]:
        """Return (structures, slices) pixels of each known structure in each slice of a plane."""
        return self._histograms[self.slicing(plane).axes[2]][list(self.known)]

    def section(self, label: int, plane: Plane, index: int, view: View = "radiological") -> Section:
        """Return what one slice shows of a structure, which has to be in it."""
        found: Section = self._sections(label, plane, index, view)
        return found

    def shown_in(self, plane: Plane, index: int) -> dict[int, int]:
        """Return the pixels of each known structure that one slice shows."""
        counts = self._histograms[self.slicing(plane).axes[2]][:, index]
        return {label: int(counts[label]) for label in self.known if counts[label]}

    # -- the first way -------------------------------------------------------------------------------

    def place(self, label: int, asked: str, plane: Plane, view: View, index: int | None) -> Spread:
        """Tell how a structure lies along a direction (see :mod:`fiducial.misground.wording`), in mm, growing that way.

        Args:
            label: the structure.
            asked: the direction, of the patient or of the image.
            plane: that of the slices.
            view: that of the slices.
            index: of the slice that is looked at alone; None for the whole structure.
        """
        slicing = self.slicing(plane, view)
        if asked in _IMAGE:
            axis, sign = _IMAGE[asked]
            if index is not None:
                section = self.section(label, plane, index, view)
                return _scaled(section.y if axis else section.x, sign * slicing.spacing[axis])
            asked = slicing.directions[axis] if sign > 0 else OPPOSITE[slicing.directions[axis]]
        if asked in "MT":
            found = from_middle(self._along(label, "R", slicing, index), self.midline or 0.0)
            return _scaled(found, -1.0 if asked == "M" else 1.0)
        return self._along(label, asked, slicing, index)

    def middle(self, asked: str, plane: Plane, view: View, index: int) -> float:
        """Return where the middle of the picture lies, as :meth:`place` counts; ``index`` is that of its slice."""
        slicing = self.slicing(plane, view)
        if asked in _IMAGE:
            axis, sign = _IMAGE[asked]
            return sign * slicing.spacing[axis] * slicing.size[axis] / 2
        storage, step = self._steps[asked]
        return (self.labels.shape[storage] - 1) / 2 * step

    def slice_place(self, asked: str, plane: Plane, index: int) -> float:
        """Return where a slice lies along a direction of the patient, in mm."""
        storage, step = self._steps[asked]
        return index * step if storage == self.slicing(plane).axes[2] else 0.0

    def across(self, asked: str, plane: Plane) -> bool:
        """Tell whether a direction of the patient runs through a plane, so that one slice of it shows nothing of it."""
        return asked in _STEPS and self._steps[asked][0] == self.slicing(plane).axes[2]

    @cached_property
    def _steps(self) -> dict[str, tuple[int, float]]:
        """The storage axis closest to each direction of the patient, and mm per voxel that way."""
        found = {}
        for storage, (axis, along) in enumerate(closest_axes(self.affine)):
            step = self.spacing[storage] if along else -self.spacing[storage]
            found["RAS"[axis]], found["LPI"[axis]] = (storage, step), (storage, -step)
        return found

    def _along(self, label: int, asked: str, slicing: Slicing, index: int | None) -> Spread:
        storage, step = self._steps[asked]
        if index is None:
            return self._spread(label, storage, step)
        if storage == slicing.axes[2]:
            return Spread(index * step, index * step, index * step)
        section = self.section(label, slicing.plane, index, slicing.view)
        axis = slicing.axes.index(storage)
        scale, shift = slicing.to_voxel[storage, axis], slicing.to_voxel[storage, 3]
        return _scaled(section.y if axis else section.x, float(scale) * step, float(shift) * step)

    @cached_property
    def midline(self) -> float | None:
        """Where the body's middle plane lies, mm along the axis to the right; None where no structure shows it."""
        storage, step = self._steps["R"]
        means = [self._spread(label, storage, step).mean for label in self.known if is_midline(self.name(label))]
        if not means:
            return None
        return float(np.median(means)) if max(means) - min(means) < _CROOKED_MM else None

    def _look_at(self, label: int, plane: Plane, index: int, view: View) -> Section:
        return _section(label, self._pixels(plane, index, view) == label)

    def _pixels_of(self, plane: Plane, index: int, view: View) -> NDArray[Any]:
        return np.ascontiguousarray(self.slicing(plane, view).slice(self.labels.array, index))


def _histograms(array: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...]]:
    """Count each label's voxels, and those in each layer across each storage axis, one layer in memory at a time."""
    most = int(array.max()) if array.size else 0
    along = tuple(np.zeros((most + 1, size), np.int64) for size in array.shape)
    for k in range(array.shape[2]):
        layer = array[:, :, k]
        i, j = np.nonzero(layer)
        labels = layer[i, j].astype(np.int64)
        for counts, places in zip(along, (i, j), strict=False):
            size = counts.shape[1]
            counts += np.bincount(labels * size + places, minlength=counts.size).reshape(counts.shape)
        along[2][:, k] = np.bincount(labels, minlength=most + 1)
    return along[2].sum(axis=1), along


def _spread(histogram: NDArray[np.int64]) -> Spread:
    """Measure a histogram of whole places."""
    total, (low, high) = _quantiles(histogram, QUARTERS)
    return Spread(float(histogram @ np.arange(len(histogram))) / total, low, high)


def _section(label: int, shape: NDArray[np.bool_]) -> Section:
    import cv2

    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    crop = shape[top:bottom, left:right].astype(np.uint8)
    _, pieces, numbers, _ = cv2.connectedComponentsWithStats(crop, connectivity=8)
    largest = 1 + int(np.argmax(numbers[1:, cv2.CC_STAT_AREA]))
    x, y, width, height, area = (int(value) for value in numbers[largest])
    ringed = np.zeros((crop.shape[0] + 2, crop.shape[1] + 2), np.uint8)
    ringed[1:-1, 1:-1] = pieces == largest
    depth = cv2.distanceTransform(ringed, cv2.DIST_L2, 3)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    across, down = crop.sum(axis=0, dtype=np.int64), crop.sum(axis=1, dtype=np.int64)
    total, (x1, low_x, high_x, x2) = _quantiles(across, (_OUTER, *QUARTERS, 1 - _OUTER))
    _, (y1, low_y, high_y, y2) = _quantiles(down, (_OUTER, *QUARTERS, 1 - _OUTER))
    mean_x, mean_y = (float(counts @ np.arange(len(counts))) / total for counts in (across, down))
    return Section(
        label=label,
        area=total,
        x=Spread(left + 0.5 + mean_x, left + 0.5 + low_x, left + 0.5 + high_x),
        y=Spread(top + 0.5 + mean_y, top + 0.5 + low_y, top + 0.5 + high_y),
        box=(left + x, top + y, left + x + width, top + y + height),
        point=(left + int(column) - 0.5, top + int(row) - 0.5),  # the padding is one pixel, a centre half of one
        extent=(left + x1, top + y1, left + x2 + 1, top + y2 + 1),
        share=area / total,
    )


def _quantiles(counts: NDArray[np.int64], shares: tuple[float, ...]) -> tuple[int, tuple[float, ...]]:
    """Return the sum of a histogram, and the places up to which its shares lie."""
    summed = counts.cumsum()
    total = int(summed[-1])
    return total, tuple(map(float, summed.searchsorted([share * total for share in shares])))


def _scaled(spread: Spread, factor: float, shift: float = 0.0) -> Spread:
    low, high = sorted((spread.low * factor + shift, spread.high * factor + shift))
    return Spread(spread.mean * factor + shift, low, high)


def from_middle(spread: Spread, middle: float) -> Spread:
    """Turn places along an axis into distances from a middle, which a structure may lie across."""
    low, high = spread.low - middle, spread.high - middle
    if low < 0 < high:
        return Spread(abs(spread.mean - middle), 0.0, max(-low, high))
    return Spread(abs(spread.mean - middle), *sorted((abs(low), abs(high))))


def gap(first: Spread, second: Spread) -> float:
    """Return by how much the first lies beyond the second along an axis, in its unit.

    The smaller of two distances: that of the means, and that between the quarter of the first that comes last on the
    way and that of the second: below 0 where the middle halves of the two meet, or the second lies beyond the first.
    """
    return min(first.mean - second.mean, first.low - second.high)
