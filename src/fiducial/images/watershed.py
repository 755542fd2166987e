"""The watershed: a map of heights, cut into the basins that water from markers floods."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 128
"""Steps of height that are told apart: two neighbours share 8 bits. Half as many where something is to stay dry."""


def watershed(
    heights: NDArray[np.floating], markers: NDArray[np.int32], inside: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """Flood a map of heights from markers: water goes first where two neighbours lie lowest together.

    Neighbours share an edge, not only a corner. (F. Meyer, "Color image segmentation", 1992, as OpenCV has it.)
    OpenCV floods a picture by the differences of neighbouring pixels. In the picture that it is given here, as on a
    chessboard, every second pixel is as dark as it is high, and each one beside it as light, so that a difference is
    the sum of two heights.

    Args:
        heights: (h, w) finite floats; told apart in :data:`LEVELS` even steps from the lowest to the highest.
        markers: (h, w) numbers from 1 on where water comes in, 0 elsewhere.
        inside: (h, w) where water may flow; default: everywhere.

    Returns:
        (h, w) the number of the marker whose water came first; 0 where none did.

    Example:
        >>> heights = np.array([[0, 1, 5, 2, 1]], dtype=float)
        >>> watershed(heights, np.array([[1, 0, 0, 0, 2]], np.int32)).tolist()
        [[1, 1, 1, 2, 2]]
    """
    wet = np.ones(heights.shape, dtype=bool) if inside is None else _with_markers(inside, markers)
    found = np.where(wet, markers, 0).astype(np.int32)
    if not found.any():
        return found
    low, high = float(heights[wet].min()), float(heights[wet].max())
    levels = LEVELS if inside is None else LEVELS // 2
    steps = np.rint((heights - low) * ((levels - 1) / (high - low or 1.0)))
    steps = np.where(wet, steps, LEVELS - 1)  # what is dry is flooded last of all
    light = np.add.outer(*map(np.arange, heights.shape)) % 2 == 1
    shown = np.where(light, 128 + steps, 127 - steps).astype(np.uint8)
    # OpenCV leaves a line around the map, and lines between the basins: they go to the lowest place beside them.
    shown, basins = np.pad(shown, 1, mode="edge"), np.pad(found, 1)
    cv2.watershed(cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB), basins)
    edge = basins.shape[1]
    around = np.array([-edge, -1, 1, edge])
    flat, lifted = np.pad(np.where(wet, np.maximum(basins[1:-1, 1:-1], 0), 0), 1).ravel(), np.pad(steps, 1).ravel()
    lines = np.flatnonzero(np.pad(wet, 1).ravel() & (flat == 0))
    while len(lines):  # each piece holds a marker, so that all are reached
        beside = lines[:, None] + around
        lowest = np.where(flat[beside] > 0, lifted[beside], np.inf).argmin(axis=1)
        reached = flat[beside[np.arange(len(lines)), lowest]]
        flat[lines] = reached
        lines = lines[reached == 0]
    return np.asarray(flat.reshape(basins.shape)[1:-1, 1:-1], np.int32)


def _with_markers(inside: NDArray[np.bool_], markers: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the pieces of a part that hold a marker."""
    count, pieces = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)
    held = np.zeros(count, dtype=bool)
    held[pieces[inside & (markers > 0)]] = True
    return np.asarray(held[pieces])


def even_markers(height: int, width: int, count: int) -> NDArray[np.int32]:
    """Return (height, width) markers from 1 on, about ``count`` of them, on an even grid; 0 between them.

    Example:
        >>> even_markers(4, 4, 4).tolist()
        [[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 4]]
    """
    step = math.sqrt(height * width / count)
    if min(height, width) < step:  # one row of markers along the longer side
        along = max(height, width) / count
        steps = (float(height), along) if height < width else (along, float(width))
    else:
        steps = (step, step)
    markers = np.zeros((height, width), np.int32)
    rows, columns = (slice(int(one // 2), None, max(1, round(one))) for one in steps)
    grid = markers[rows, columns]
    grid[...] = np.arange(1, grid.size + 1).reshape(grid.shape)
    return markers
