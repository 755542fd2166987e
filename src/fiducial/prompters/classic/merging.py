"""Outlines by merging: small patches join their most similar neighbour until one is left.

Thresholds cannot find what has several colours or a texture; a merge tree over watershed patches can.
Every knot of the tree is a region.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from fiducial.prompters.classic.canvas import Canvas
from fiducial.prompters.classic.levels import LARGEST_SHARE, Outline, outlines_of, smallest_area

PATCHES = 900
"""Number of watershed patches that merging starts from."""


@dataclass(slots=True)
class _Knot:
    """A region of the tree: sums over its pixels, and its shared edges (length, strength) per neighbour."""

    area: float
    colour: list[float]
    children: tuple[int, ...] = ()
    edges: dict[int, tuple[float, float]] = field(default_factory=dict)


def merged_outlines(canvas: Canvas) -> list[Outline]:
    """Outline every region of the merge tree.

    Args:
        canvas: the picture at working size.

    Returns:
        Outer outlines in canvas pixels; nothing for a picture too small for patches.
    """
    if min(canvas.width, canvas.height) < 8:
        return []
    count = min(PATCHES, canvas.width * canvas.height // 30)
    patches = watershed(canvas.edges, markers=count) - 1  # type: ignore[no-untyped-call]
    knots = _leaves(canvas, patches)
    count = len(knots)
    _merge(knots)
    order, spans = _spans(knots)
    rank = np.empty(count, dtype=np.int32)
    rank[order] = np.arange(count)
    return _outlines(canvas, rank[patches], knots, spans)


def _leaves(canvas: Canvas, patches: NDArray[np.int32]) -> list[_Knot]:
    count = int(patches.max()) + 1
    flat = patches.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    channels = [*np.moveaxis(canvas.lab, 2, 0), _texture(canvas)]
    colour = np.stack([np.bincount(flat, channel.ravel(), count) for channel in channels], axis=1)
    means = colour / np.maximum(area, 1)[:, None]
    knots = [_Knot(a, c) for a, c in zip(area.tolist(), means.tolist(), strict=True)]
    edges = canvas.edges
    _note_edges(knots, patches[:, :-1], patches[:, 1:], np.maximum(edges[:, :-1], edges[:, 1:]))
    _note_edges(knots, patches[:-1], patches[1:], np.maximum(edges[:-1], edges[1:]))
    return knots


def _note_edges(knots: list[_Knot], a: NDArray[np.int32], b: NDArray[np.int32], strength: NDArray[np.float32]) -> None:
    """Add up, for every pair of patches that touch between ``a`` and ``b``, how long and strong their edge is."""
    apart = a != b
    low, high = np.minimum(a, b)[apart].astype(np.int64), np.maximum(a, b)[apart].astype(np.int64)
    pairs, which = np.unique(low * len(knots) + high, return_inverse=True)
    lengths = np.bincount(which, minlength=len(pairs))
    sums = np.bincount(which, strength[apart], len(pairs))
    for pair, length, total in zip(pairs.tolist(), lengths.tolist(), sums.tolist(), strict=True):
        i, j = divmod(pair, len(knots))
        before = knots[i].edges.get(j, (0.0, 0.0))
        knots[i].edges[j] = knots[j].edges[i] = (before[0] + length, before[1] + total)


def _texture(canvas: Canvas) -> NDArray[np.float32]:
    """Local contrast of the lightness, damped so that edges of objects do not count as texture."""
    light = canvas.lab[..., 0]
    rough = cv2.GaussianBlur(np.abs(light - canvas.smooth[..., 0]), (0, 0), 4.0, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(rough, 10.0), dtype=np.float32).reshape(light.shape)


def _cost(a: _Knot, b: _Knot, edge: tuple[float, float]) -> float:
    """How unlike two neighbours are: colour and texture, the edge between them; small ones join sooner."""
    # Plain floats: an array of four numbers costs ten times as much as its arithmetic.
    gaps = [one - other for one, other in zip(a.colour, b.colour, strict=True)]
    colour = math.sqrt(sum(gap * gap for gap in gaps))
    strength = edge[1] / edge[0]
    return (colour + 3.0 * strength) * math.sqrt(math.sqrt(min(a.area, b.area)))


def _merge(knots: list[_Knot]) -> None:
    """Join the cheapest pair of neighbours again and again; joined knots are appended."""
    heap = [
        (_cost(knot, knots[j], edge), i, j) for i, knot in enumerate(knots) for j, edge in knot.edges.items() if i < j
    ]
    heapq.heapify(heap)
    alive = [True] * len(knots)
    while heap:
        _, i, j = heapq.heappop(heap)
        if not (alive[i] and alive[j]):
            continue
        new = len(knots)
        knots.append(_joined(knots, i, j))
        alive[i] = alive[j] = False
        alive.append(True)
        for k, edge in knots[new].edges.items():
            theirs = knots[k].edges
            theirs.pop(i, None)
            theirs.pop(j, None)
            theirs[new] = edge
            heapq.heappush(heap, (_cost(knots[new], knots[k], edge), k, new))


def _joined(knots: list[_Knot], i: int, j: int) -> _Knot:
    a, b = knots[i], knots[j]
    area = a.area + b.area
    edges = {k: edge for k, edge in a.edges.items() if k != j}
    for k, (length, total) in b.edges.items():
        if k != i:
            before = edges.get(k, (0.0, 0.0))
            edges[k] = (before[0] + length, before[1] + total)
    colour = [(one * a.area + other * b.area) / area for one, other in zip(a.colour, b.colour, strict=True)]
    return _Knot(area, colour, (i, j), edges)


def _spans(knots: list[_Knot]) -> tuple[list[int], list[tuple[int, int]]]:
    """Order the patches so that every knot is a run of them; return the order and each knot's run."""
    order: list[int] = []
    spans = [(0, 0)] * len(knots)
    inner = {child for knot in knots for child in knot.children}
    stack = [(root, False) for root in range(len(knots) - 1, -1, -1) if root not in inner]
    begins = [0] * len(knots)
    while stack:
        knot, left = stack.pop()
        if left:
            spans[knot] = (begins[knot], len(order))
            continue
        begins[knot] = len(order)
        if knots[knot].children:
            stack.append((knot, True))
            stack += [(child, False) for child in reversed(knots[knot].children)]
        else:
            order.append(knot)
            spans[knot] = (begins[knot], len(order))
    return order, spans


def _outlines(
    canvas: Canvas, ranks: NDArray[np.int32], knots: list[_Knot], spans: list[tuple[int, int]]
) -> list[Outline]:
    boxes = _patch_boxes(ranks)
    smallest, largest = smallest_area(canvas), LARGEST_SHARE * canvas.width * canvas.height
    found: list[Outline] = []
    for knot, (start, stop) in zip(knots, spans, strict=True):
        if not smallest <= knot.area <= largest:
            continue
        (left, top), (right, bottom) = boxes[start:stop, :2].min(axis=0), boxes[start:stop, 2:].max(axis=0)
        piece = ranks[top:bottom, left:right]
        binary = ((piece >= start) & (piece < stop)).astype(np.uint8)
        found += [outline + np.array([left, top], dtype=np.int32) for outline in outlines_of(binary, smallest, largest)]
    return found


def _patch_boxes(ranks: NDArray[np.int32]) -> NDArray[np.int64]:
    """(N, 4) box left, top, right, bottom of every patch."""
    count = int(ranks.max()) + 1
    rows, columns = np.indices(ranks.shape)
    flat = ranks.ravel()
    boxes = np.empty((count, 4), dtype=np.int64)
    for k, values in enumerate((columns.ravel(), rows.ravel())):
        low = np.full(count, values.max() + 1)
        high = np.zeros(count, dtype=np.int64)
        np.minimum.at(low, flat, values)
        np.maximum.at(high, flat, values + 1)
        boxes[:, k], boxes[:, k + 2] = low, high
    return boxes
