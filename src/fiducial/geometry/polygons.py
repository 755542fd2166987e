"""Polygons to runs and back: by the pixels' centres, or as pycocotools walks the boundary (five-fold oversampled)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import runs as _runs

Ring = NDArray[np.float64]
Polygon = list[Ring]

_OVERSAMPLING = 5.0
_MAX_REACH = 100
"""How many canvas sides away a corner may lie: the boundary is walked step by step."""


def as_ring(points: ArrayLike) -> Ring:
    """Return a ring of at least three finite points as (K, 2) x, y; a flat list x1, y1, ... is one too."""
    try:
        ring = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError("a polygon needs numbers x1, y1, x2, y2, ...") from None
    if ring.ndim == 1 and ring.size % 2 == 0:
        ring = ring.reshape(-1, 2)
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
        raise GeometryError(f"a polygon needs at least three x, y points, got shape {np.shape(points)}")
    if not np.isfinite(ring).all():
        raise GeometryError("a polygon needs finite coordinates")
    return ring


def fill_centres(rings: Sequence[Ring], height: int, width: int) -> _runs.Runs:
    """Find the pixels whose centre lies inside a polygon: an outline and its holes, even-odd."""
    # Every edge crosses the middle line of some columns; the pixels between two crossings of a column are inside.
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    low = np.ceil(np.clip(np.minimum(start[:, 0], end[:, 0]) - 0.5, 0, width)).astype(np.int64)
    high = np.ceil(np.clip(np.maximum(start[:, 0], end[:, 0]) - 0.5, 0, width)).astype(np.int64)
    edge, column = _runs.expand(low, high)
    run_x = end[edge, 0] - start[edge, 0]
    along = (column + 0.5 - start[edge, 0]) / run_x
    crossing = start[edge, 1] + along * (end[edge, 1] - start[edge, 1])
    row = np.ceil(np.clip(crossing - 0.5, 0, height)).astype(np.int64)
    toggles = np.sort(column * height + row)  # an even number per column, as the rings are closed
    return _runs.normalise(toggles.reshape(-1, 2))


def fill_coco(ring: Ring, height: int, width: int) -> _runs.Runs:
    """Find the pixels that pycocotools gives a ring, from its boundary walked at five-fold size."""
    reach = _MAX_REACH * max(height, width, 100)
    if np.abs(ring).max() > reach:
        raise GeometryError(
            f"a polygon reaches {np.abs(ring).max():.3g} pixels out on a canvas of {height} x {width}: "
            "are its coordinates in another frame?"
        )
    corners = np.trunc(_OVERSAMPLING * ring + 0.5).astype(np.int64)
    u, v = _walk(corners, np.roll(corners, -1, axis=0))
    # Only steps to another column count, and of these only where a whole pixel's column begins.
    step = np.flatnonzero(u[1:] != u[:-1])
    before_u, after_u, before_v, after_v = u[step], u[step + 1], v[step], v[step + 1]
    x = (np.where(after_u < before_u, after_u, after_u - 1) + 0.5) / _OVERSAMPLING - 0.5
    y = (np.minimum(after_v, before_v) + 0.5) / _OVERSAMPLING - 0.5
    kept = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    row = np.ceil(np.clip(y[kept], 0, height)).astype(np.int64)
    toggles = np.sort(x[kept].astype(np.int64) * height + row)
    if len(toggles) % 2:  # pycocotools fills on to the canvas' end
        toggles = np.append(toggles, height * width)
    return _runs.normalise(toggles.reshape(-1, 2))


def _walk(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Step along every edge by whole units of its longer axis, both ends included."""
    reach = np.abs(end - start)
    wide = reach[:, 0] >= reach[:, 1]
    steps = reach.max(axis=1)
    edge, place = _runs.expand(np.zeros(len(steps), dtype=np.int64), steps + 1)
    major = np.where(wide, 0, 1)
    # pycocotools walks from the smaller coordinate, whatever the edge's direction: rounding depends on it.
    index = np.arange(len(steps))
    backwards = start[index, major] > end[index, major]
    first = np.where(backwards[:, None], end, start)
    last = np.where(backwards[:, None], start, end)
    rise = (last - first)[index, 1 - major] / np.maximum(steps, 1)
    place = np.where(backwards[edge], steps[edge] - place, place)
    along = first[edge, major[edge]] + place
    across = np.trunc(first[edge, 1 - major[edge]] + rise[edge] * place + 0.5).astype(np.int64)
    return np.where(wide[edge], along, across), np.where(wide[edge], across, along)


def trace(runs: _runs.Runs, height: int) -> list[Polygon]:
    """Trace the outlines of a set of pixels along the pixels' edges.

    Returns:
        One polygon per 4-connected component: the outline first, then its holes, each (K, 2) x, y
        without repeating the first point and without points inside straight lines.
    """
    pieces = _runs.columns(runs, height)
    if not len(pieces):
        return []
    labels = _runs.label_columns(pieces, connectivity=4)
    start, end, owner = _edges(runs, pieces, height)
    polygons: list[Polygon] = [[] for _ in range(int(labels.max()) + 1)]
    for cycle in _cycles(_link(start, end, height)):
        ring = _straighten(start[cycle])
        polygon = polygons[labels[owner[cycle[0]]]]
        # With the set on the right of every edge, outlines and holes run opposite ways round.
        polygon.insert(0 if _signed_area(ring) > 0 else len(polygon), ring)
    return polygons


def convex_hull(runs: _runs.Runs, height: int) -> Ring:
    """Return the corners (K, 2) x, y of the convex hull of a set, in the order of its outlines."""
    if not len(runs):
        return np.empty((0, 2))
    column, top, bottom = _runs.columns(runs, height).T
    left, first = np.unique(column, return_index=True)
    upper, lower = np.minimum.reduceat(top, first).tolist(), np.maximum.reduceat(bottom, first).tolist()
    sides = []
    for heights, sign in ((upper, 1), (lower, -1)):
        chain: list[tuple[int, int]] = []
        # Both corners of each column's end: boxes are edges, not centres of pixels.
        for x, y in ((x + step, y) for x, y in zip(left.tolist(), heights, strict=True) for step in (0, 1)):
            while chain and chain[-1][0] == x and sign * (y - chain[-1][1]) <= 0:
                chain.pop()  # of two ends at one x the outer one
            if chain and chain[-1][0] == x:
                continue
            while len(chain) > 1 and sign * _turn(chain[-2], chain[-1], (x, y)) <= 0:
                chain.pop()
            chain.append((x, y))
        sides.append(chain)
    return np.array(sides[0] + sides[1][::-1], dtype=np.float64)


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def _edges(
    runs: _runs.Runs, pieces: NDArray[np.int64], height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """List boundary edges with the set on their right (y down): start, end, owning piece."""
    column, top, bottom = pieces.T
    number = np.arange(len(pieces))
    starts = [np.stack([column, top], 1), np.stack([column + 1, bottom], 1)]
    ends = [np.stack([column + 1, top], 1), np.stack([column, bottom], 1)]
    owners = [number, number]
    for side in (-1, 1):  # edges on the left go up, edges on the right go down
        shifted = runs - side * height  # the neighbour column laid over this one
        bare = _runs.columns(_difference(runs, shifted, height), height)
        x = bare[:, 0] + (side > 0)
        upper, lower = np.stack([x, bare[:, 1]], 1), np.stack([x, bare[:, 2]], 1)
        starts.append(lower if side < 0 else upper)
        ends.append(upper if side < 0 else lower)
        owners.append(np.searchsorted(column * height + top, bare[:, 0] * height + bare[:, 1], side="right") - 1)
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owners)


def _difference(a: _runs.Runs, b: _runs.Runs, height: int) -> _runs.Runs:
    """Keep what is in ``a`` and not in ``b``; ``b`` may reach past the canvas on either side."""
    total = int(a[-1, 1]) + height
    return _runs.intersection(a, _runs.complement(_runs.normalise(np.clip(b, 0, total)), total))


def _link(start: NDArray[np.int64], end: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """Find each edge's successor; where two squares touch at a corner, stay on the same square."""
    stride = height + 1
    start_key, end_key = start[:, 0] * stride + start[:, 1], end[:, 0] * stride + end[:, 1]
    order = np.argsort(start_key, kind="stable")
    low = np.searchsorted(start_key[order], end_key, side="left")
    first = order[low]
    shared = np.searchsorted(start_key[order], end_key, side="right") - low > 1
    second = order[np.minimum(low + 1, len(order) - 1)]
    way = np.sign(end - start)
    right_turn = np.stack([-way[:, 1], way[:, 0]], axis=1)
    fits = (way[first] == right_turn).all(axis=1)
    return np.where(shared & ~fits, second, first)


def _cycles(following: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Take a permutation apart into its cycles."""
    successor = following.tolist()
    seen = bytearray(len(successor))
    cycles = []
    for first in range(len(successor)):
        cycle = []
        edge = first
        while not seen[edge]:
            seen[edge] = 1
            cycle.append(edge)
            edge = successor[edge]
        if cycle:
            cycles.append(np.array(cycle))
    return cycles


def _straighten(ring: NDArray[np.int64]) -> Ring:
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(ring[turns], dtype=np.float64)


def _signed_area(ring: Ring) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
