"""Regions of a cut into two: touching ones split by a watershed, each with its convexity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from fiducial.geometry import Point


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region.

    Args:
        label: its number in the map of regions.
        cluster: 0 or 1: the cluster that it belongs to.
        area: pixels.
        convexity: area over the area of the convex hull of its pixels' corners, in 0..1; a rectangle has exactly 1.
        centroid: mean x, y of its pixels' centres.
        point: the centroid when it lies on the region, else the place deepest inside.
    """

    label: int
    cluster: int
    area: int
    convexity: float
    centroid: Point
    point: Point

    @property
    def moved(self) -> bool:
        """Whether the centroid lies beside the region, so that the point is another place."""
        return self.point != self.centroid


def split_regions(
    second: NDArray[np.bool_], marker_threshold: float
) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    """Split both sides of a cut into regions.

    For each side: the distance to the nearest pixel of the other side or to the crop's border; as markers the
    parts of each connected piece where that distance reaches ``marker_threshold`` of the piece's greatest; a
    watershed of the negated distance from them. Neighbours share an edge, not only a corner.

    Args:
        second: (h, w) bool, True on the second side.
        marker_threshold: in 0..1; higher splits more.

    Returns:
        (h, w) numbers from 1 on, the first side's regions before the second's; (h, w) distances; and how many
        regions the first side has.
    """
    labels = np.zeros(second.shape, dtype=np.int32)
    depth = np.zeros(second.shape, dtype=np.float32)
    counts: list[int] = []
    for side in (~second, second):
        padded = np.pad(side.astype(np.uint8), 1)
        reach = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
        count, pieces = cv2.connectedComponents(side.astype(np.uint8), connectivity=4)
        deepest = ndimage.maximum(reach, pieces, np.arange(count))
        markers = side & (reach >= marker_threshold * np.asarray(deepest, dtype=np.float32)[pieces])
        _, numbered = cv2.connectedComponents(markers.astype(np.uint8), connectivity=4)
        found = watershed(-reach, numbered, mask=side)  # type: ignore[no-untyped-call]
        labels[side] = found[side] + sum(counts)
        depth[side] = reach[side]
        counts.append(int(numbered.max()))
    return labels, depth, counts[0]


def measure_regions(
    labels: NDArray[np.int32], depth: NDArray[np.float32], first_count: int, least_area: float
) -> list[Region]:
    """Measure the regions of at least ``least_area`` pixels, in the order of their numbers."""
    areas = np.bincount(labels.ravel())
    pieces = ndimage.find_objects(labels)
    return [
        _measure(int(number), labels, depth, pieces[number - 1], int(number > first_count))
        for number in np.flatnonzero(areas >= least_area)
        if number > 0
    ]


def hull_area(inside: NDArray[np.bool_]) -> float:
    """Area of the convex hull of the corners of a piece's (h, w) pixels; every row holds one."""
    rows = np.arange(inside.shape[0])
    left, right = inside.argmax(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    corners = [np.stack([x, rows + down], axis=1) for x in (left, right) for down in (0, 1)]
    return float(cv2.contourArea(cv2.convexHull(np.concatenate(corners).astype(np.int32))))


def _measure(
    number: int, labels: NDArray[np.int32], depth: NDArray[np.float32], piece: tuple[slice, slice], cluster: int
) -> Region:
    inside = labels[piece] == number
    top, left = piece[0].start, piece[1].start
    row, column = np.nonzero(inside)
    x, y = float(column.mean()) + 0.5, float(row.mean()) + 0.5
    point = x, y
    if not inside[int(y), int(x)]:
        reach = depth[piece][row, column]
        deep = np.flatnonzero(reach >= reach.max())
        near = deep[np.argmin((column[deep] + 0.5 - x) ** 2 + (row[deep] + 0.5 - y) ** 2)]
        point = float(column[near]) + 0.5, float(row[near]) + 0.5
    return Region(
        label=number,
        cluster=cluster,
        area=len(row),
        convexity=len(row) / hull_area(inside),
        centroid=(x + left, y + top),
        point=(point[0] + left, point[1] + top),
    )
