"""What each label of a label map covers: volume, centroid and extent in millimetres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.volumes.affines import Affine, voxel_volume

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """The voxels of one label; coordinates are RAS+ mm (right, anterior, superior).

    Args:
        label: its number.
        name: its name.
        voxels: how many.
        volume_ml: in millilitres.
        centroid: the mean of the voxels' centres.
        low: the smallest coordinates of the voxels, each taken whole, not its centre alone.
        high: the largest ones.
    """

    label: int
    name: str
    voxels: int
    volume_ml: float
    centroid: Point
    low: Point
    high: Point

    @property
    def extent(self) -> Point:
        """Size in mm from right to left, from anterior to posterior, from superior to inferior."""
        x, y, z = (high - low for low, high in zip(self.low, self.high, strict=True))
        return x, y, z


def find_regions(array: NDArray[Any], affine: Affine, names: Mapping[int, str]) -> dict[int, Region]:
    """Find each label's region, in the order of their numbers; memory is bounded by one slice.

    Args:
        array: (X, Y, Z) whole numbers, 0 is the background.
        affine: (4, 4) voxel indices to RAS+ mm.
        names: of the labels.
    """
    counts: dict[int, int] = {}
    sums: dict[int, NDArray[np.float64]] = {}
    lows: dict[int, NDArray[np.float64]] = {}
    highs: dict[int, NDArray[np.float64]] = {}
    matrix, offset = affine[:3, :3], affine[:3, 3]
    for label, count, total, low, high in _by_slice(array, matrix):
        counts[label] = counts.get(label, 0) + count
        sums[label] = sums.get(label, 0.0) + total
        lows[label] = np.minimum(lows.get(label, low), low)
        highs[label] = np.maximum(highs.get(label, high), high)
    half = np.abs(matrix).sum(axis=1) / 2  # of one voxel, a box along the storage axes
    return {
        label: Region(
            label=label,
            name=names.get(label, f"label {label}"),
            voxels=counts[label],
            volume_ml=counts[label] * voxel_volume(affine) / 1000,
            centroid=_point(sums[label] / counts[label] + offset),
            low=_point(lows[label] - half + offset),
            high=_point(highs[label] + half + offset),
        )
        for label in sorted(counts)
    }


def _by_slice(
    array: NDArray[Any], matrix: NDArray[np.float64]
) -> Iterator[tuple[int, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Give label, voxels, and the sum, minimum and maximum of their mm before the offset, for each slice."""
    for k in range(array.shape[2]):
        piece = array[:, :, k]
        i, j = np.nonzero(piece)
        if not len(i):
            continue
        labels = piece[i, j]
        order = np.argsort(labels, kind="stable")
        labels = labels[order]
        starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
        places = np.stack([i[order], j[order], np.full(len(i), k)], axis=1) @ matrix.T
        totals = np.add.reduceat(places, starts)
        lows, highs = np.minimum.reduceat(places, starts), np.maximum.reduceat(places, starts)
        counts = np.diff(np.append(starts, len(labels)))
        for number, start in enumerate(starts):
            yield int(labels[start]), int(counts[number]), totals[number], lows[number], highs[number]


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
