"""The watershed: a map of heights, cut into the basins that water from markers floods."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray


def watershed(
    heights: NDArray[np.floating], markers: NDArray[np.int32], inside: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """Flood a map of heights from markers: the lowest place goes first, of equal ones that which water reached first.

    Neighbours share an edge, not only a corner. (F. Meyer, "Color image segmentation", 1992; the basins are those of
    scikit-image, whose compiled code brings 200 MB, but where markers of equal height meet on a plain.)

    Args:
        heights: (h, w) floats.
        markers: (h, w) numbers from 1 on where water comes in, 0 elsewhere.
        inside: (h, w) where water may flow; default: everywhere.

    Returns:
        (h, w) the number of the marker whose water came first; 0 where none did.

    Example:
        >>> heights = np.array([[0, 1, 5, 2, 1]], dtype=float)
        >>> watershed(heights, np.array([[1, 0, 0, 0, 2]], np.int32)).tolist()
        [[1, 1, 1, 2, 2]]
    """
    height, width = heights.shape
    edge = width + 2
    free = np.zeros((height + 2, edge), np.uint8)
    free[1:-1, 1:-1] = 1 if inside is None else inside
    numbers = np.zeros((height + 2, edge), np.int32)
    numbers[1:-1, 1:-1] = markers if inside is None else np.where(inside, markers, 0)
    free[numbers > 0] = 0
    ranks = np.zeros((height + 2, edge), np.int64)
    ranks[1:-1, 1:-1] = np.unique(heights, return_inverse=True)[1].reshape(heights.shape)
    # One whole number says all of a place: its rank, when water reached it, and where it is.
    places = free.size
    ages = places + 1
    lifted = (ranks.ravel() * (ages * places) + np.arange(places)).tolist()
    waiting = [lifted[place] for place in np.flatnonzero(numbers).tolist()]
    heapq.heapify(waiting)
    found, dry, age = numbers.ravel().tolist(), bytearray(free.tobytes()), 0
    push, pop = heapq.heappush, heapq.heappop
    while waiting:
        place = pop(waiting) % places
        number = found[place]
        for neighbour in (place - edge, place - 1, place + 1, place + edge):
            if dry[neighbour]:
                dry[neighbour] = 0
                found[neighbour] = number
                age += places
                push(waiting, lifted[neighbour] + age)
    return np.array(found, np.int32).reshape(height + 2, edge)[1:-1, 1:-1]


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
