"""Outlines: where thresholds and a merge tree of small patches part a picture at working size."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.images import Image
from fiducial.images.watershed import even_markers, watershed

# -- the picture at working size -------------------------------------------------------------------------


WORKING_PIXELS = 360_000
"""Pictures with more pixels are shrunk to about this many: it bounds time and memory."""
WORKING_SIDE = 4096
"""Longest side of a canvas, for pictures that are all length and no height."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One picture at working size."""

    rgb: NDArray[np.uint8]  # (h, w, 3)
    lab: NDArray[np.float32]  # (h, w, 3) CIELAB, L in 0..100, slightly smoothed against noise
    smooth: NDArray[np.float32]  # (h, w, 3) CIELAB, smoothed more, for large regions with texture
    edges: NDArray[np.float32]  # (h, w) strength of the colour change per pixel, in CIELAB units
    scale_x: float  # pixels of the picture per pixel of the canvas
    scale_y: float

    @property
    def height(self) -> int:
        """Height in canvas pixels."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Width in canvas pixels."""
        return int(self.rgb.shape[1])


def make_canvas(image: Image) -> Canvas:
    """Shrink a picture to its working size, never enlarge it, and convert its colours."""
    width, height = working_size(image.width, image.height)
    rgb = image.pixels
    if (width, height) != (image.width, image.height):
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), dtype=np.float32)
    fine, smooth, edges = _blurred(lab, 0.8), _blurred(lab, 3.0), _edges(_blurred(lab, 1.2))
    return Canvas(rgb, fine, smooth, edges, image.width / width, image.height / height)


def working_size(width: int, height: int) -> tuple[int, int]:
    """Return the width and height of the canvas for a picture of width x height pixels."""
    shrink = min(1.0, math.sqrt(WORKING_PIXELS / (width * height)), WORKING_SIDE / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _blurred(lab: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(lab, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(blurred, dtype=np.float32).reshape(lab.shape)


def _edges(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the colour gradient: central differences, so that a step of 10 spread over 2 pixels gives 5."""
    total = np.zeros(lab.shape[:2], dtype=np.float32)
    for axis in (0, 1):
        if lab.shape[axis] > 1:
            total += np.square(np.gradient(lab, axis=axis)).sum(axis=2)
    return np.sqrt(total)


# -- thresholds: every level of every colour channel cuts the picture into blobs -------------------------


Outline = NDArray[np.int32]
"""(K, 2) x, y of the outermost pixels of one region, in order around it."""

LEVELS = 16
"""Levels of the lightness; the other channels have half as many."""
MAX_CHANGES = 0.06
"""Share of neighbouring pixels on different sides of a channel's median above which it counts as noisy."""
LARGEST_SHARE = 0.85
"""Regions that cover more of the picture than this are its ground, not something on it."""


def area_limits(canvas: Canvas) -> tuple[float, float]:
    """Areas in canvas pixels below which a region counts as noise, and above which as the picture's ground."""
    pixels = canvas.width * canvas.height
    return max(9.0, pixels / 10_000), LARGEST_SHARE * pixels


def level_outlines(canvas: Canvas) -> list[Outline]:
    """Outline the blobs above and below every level of every channel, in canvas pixels; holes belong to their blob."""
    found: list[Outline] = []
    for channel, levels in _channels(canvas):
        for level in levels:
            above = (channel > level).astype(np.uint8)
            for binary in (above, 1 - above):
                found += outlines_of(canvas, binary)
    return found


def outlines_of(canvas: Canvas, binary: NDArray[np.uint8]) -> list[Outline]:
    """Outline the connected parts of (h, w) uint8 0 or 1 whose filled area lies within the canvas' limits."""
    smallest, largest = area_limits(canvas)
    contours, hierarchy = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    kept: list[Outline] = []
    for index, contour in enumerate(contours):
        if hierarchy[0, index, 3] >= 0 or len(contour) < 6:
            continue
        outline = np.asarray(contour, dtype=np.int32).reshape(-1, 2)
        if smallest <= filled_area(outline) <= largest:
            kept.append(outline)
    return kept


def filled_area(outline: NDArray[np.int32]) -> float:
    """Number of pixels that an outline encloses, its own pixels included (Pick's theorem)."""
    return float(cv2.contourArea(outline)) + len(outline) / 2 + 1


def _channels(canvas: Canvas) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Lightness, its deviation from the surroundings, two colour axes, vividness, distance from the ground."""
    light, red_green, blue_yellow = (canvas.lab[..., k] for k in range(3))
    sigma = max(canvas.width, canvas.height) / 12
    local = light - _blurred(light, sigma)
    vivid = np.hypot(red_green, blue_yellow)
    ground = _distance_from_ground(canvas)
    calm = [_calmed(channel) for channel in (light, local, red_green, blue_yellow, vivid, ground)]
    return [(channel, _levels(channel, LEVELS if k == 0 else LEVELS // 2)) for k, channel in enumerate(calm)]


def _calmed(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth a channel while its middle level falls into specks: noise and grass would give thousands of blobs."""
    for sigma in (1.5, 3.0, 6.0):
        above = channel > np.median(channel)
        if sum(int(np.diff(above, axis=axis).sum()) for axis in (0, 1)) / (2 * channel.size) <= MAX_CHANGES:
            break
        channel = _blurred(channel, sigma)
    return np.ascontiguousarray(channel)


def _levels(channel: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Spread levels evenly between the extremes; none where nothing varies by a visible amount."""
    low, high = np.percentile(channel, (0.5, 99.5))
    if high - low < 2.0:
        low, high = float(channel.min()), float(channel.max())
    if high - low < 2.0:
        return np.empty(0)
    return np.linspace(low, high, count + 2)[1:-1]


def _distance_from_ground(canvas: Canvas) -> NDArray[np.float32]:
    """Colour distance to the nearest of the colours that prevail along the picture's border."""
    height, width = canvas.height, canvas.width
    band = max(1, min(height, width) // 40)
    rim = np.ones((height, width), dtype=bool)
    rim[band : height - band, band : width - band] = False
    samples = canvas.smooth[rim]
    centres = _prevailing(samples[:: max(1, len(samples) // 4000)])
    distances = [np.linalg.norm(canvas.lab - centre, axis=2) for centre in centres]
    return np.asarray(np.min(distances, axis=0), dtype=np.float32)


def _prevailing(samples: NDArray[np.float32], count: int = 3) -> NDArray[np.float32]:
    """Cluster centres, started along the first sorted channel so that nothing is random."""
    order = np.argsort(samples[:, 0], kind="stable")
    starts = order[np.linspace(0, len(order) - 1, 2 * count + 1).astype(int)[1::2]]
    centres = samples[starts].astype(np.float64)
    for _ in range(10):
        nearest = np.argmin(((samples[:, None] - centres) ** 2).sum(axis=2), axis=1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = samples[nearest == k].mean(axis=0)
    return np.asarray(centres, dtype=np.float32)


# -- merging: patches join their most similar neighbour until one is left; every knot of the tree is a region


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
    """Outline every region of the merge tree, in canvas pixels; nothing for a picture too small for patches."""
    if min(canvas.width, canvas.height) < 8:
        return []
    count = min(PATCHES, canvas.width * canvas.height // 30)
    # roots, so that weak edges are told apart by finer steps than strong ones
    patches = watershed(np.sqrt(canvas.edges), even_markers(canvas.height, canvas.width, count)) - 1
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
    return np.minimum(_blurred(np.abs(light - canvas.smooth[..., 0]), 4.0), np.float32(10))


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
    smallest, largest = area_limits(canvas)
    found: list[Outline] = []
    for knot, (start, stop) in zip(knots, spans, strict=True):
        if not smallest <= knot.area <= largest:
            continue
        (left, top), (right, bottom) = boxes[start:stop, :2].min(axis=0), boxes[start:stop, 2:].max(axis=0)
        piece = ranks[top:bottom, left:right]
        binary = ((piece >= start) & (piece < stop)).astype(np.uint8)
        found += [outline + np.array([left, top], dtype=np.int32) for outline in outlines_of(canvas, binary)]
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
