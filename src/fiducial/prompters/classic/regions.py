"""Regions: the distinct parts of a picture, whatever they may be called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.images import Image
from fiducial.prompters.classic.outlines import (
    Canvas,
    Outline,
    filled_area,
    level_outlines,
    make_canvas,
    merged_outlines,
)

# -- how clearly an outline parts a compact region from what lies around it ------------------------------


SAMPLES = 40
"""Places along an outline at which inside and outside are compared."""
CLEAR_STEP = 12.0
"""Colour difference in CIELAB units that counts as clear (the contrast there is 1 - 1/e)."""
VISIBLE_STEP = 4.0
"""Colour difference in CIELAB units below which an outline counts as open."""


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What an outline says about its region, N numbers each; all but the areas in 0..1."""

    areas: NDArray[np.float64]  # filled area in canvas pixels
    # Mean over the outline of 1 - exp(-d / 12), d the CIELAB difference between just inside and just outside.
    contrast: NDArray[np.float64]
    closed: NDArray[np.float64]  # share of the outline along which that difference can be seen at all
    solidity: NDArray[np.float64]  # area over the area of the convex hull
    visible: NDArray[np.float64]  # share of the outline that does not run along the picture's border

    @property
    def distinctness(self) -> NDArray[np.float64]:
        """Contrast x closedness x compactness, less for what the border cuts: 0..1, and no probability."""
        return np.asarray(self.contrast * self.closed * self.solidity * np.sqrt(self.visible))


def measure(canvas: Canvas, outlines: Sequence[Outline]) -> Measures:
    """Measure how clearly each of N >= 1 outlines parts its region from the surroundings."""
    points, normals = _sampled(outlines)
    areas = np.array([filled_area(outline) for outline in outlines])
    # The outline runs through the middles of the outermost pixels: the edge is half a pixel further out.
    edge = points + 0.5 * normals
    wide = np.clip(0.08 * np.sqrt(areas), 1.0, 4.0)[:, None, None] * normals
    outer, visible = _colours(canvas, edge + wide, areas)
    step = np.linalg.norm(_colours(canvas, edge - wide, areas)[0] - outer, axis=2)
    # Close by, the step is steepest where the outline really lies on the edge.
    inner, beyond = (canvas.lab[_places(canvas, edge + reach * normals)[:2]] for reach in (-0.6, 0.6))
    near = np.linalg.norm(inner - beyond, axis=2)
    clear = 1 - (np.exp(-step / CLEAR_STEP) + np.exp(-near / CLEAR_STEP)) / 2
    total = np.maximum(visible.sum(axis=1), 1)
    hulls = np.array([filled_area(np.asarray(cv2.convexHull(outline), dtype=np.int32)) for outline in outlines])
    return Measures(
        areas=areas,
        contrast=(clear * visible).sum(axis=1) / total,
        closed=((step > VISIBLE_STEP) * visible).sum(axis=1) / total,
        solidity=np.minimum(areas / hulls, 1.0),
        visible=visible.mean(axis=1),
    )


def _sampled(outlines: Sequence[Outline]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, S, 2) points spread along each outline and the unit normals that point outwards."""
    counts = np.array([len(outline) for outline in outlines])[:, None]
    begins = np.cumsum(counts)[:, None] - counts
    line = np.concatenate(outlines).astype(np.float64)
    at = np.arange(SAMPLES) * counts // SAMPLES
    reach = np.maximum(2, counts // 20)
    points = line[begins + at]
    tangents = line[begins + (at + reach) % counts] - line[begins + (at - reach) % counts]
    # With (dx, dy) along the outline, (dy, -dx) points outwards when the signed area is positive.
    normals = np.stack([tangents[..., 1], -tangents[..., 0]], axis=2)
    turning = (points * np.roll(points[..., ::-1], -1, axis=1) * np.array([1.0, -1.0])).sum(axis=(1, 2))
    normals *= np.where(turning > 0, 1.0, -1.0)[:, None, None]
    return points, normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-9)


def _colours(
    canvas: Canvas, points: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Look up the colours at points; large regions are compared on the smoother picture."""
    rows, columns, inside = _places(canvas, points)
    large = (areas > 1500)[:, None, None]
    return np.where(large, canvas.smooth[rows, columns], canvas.lab[rows, columns]).astype(np.float64), inside


def _places(
    canvas: Canvas, points: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Return rows and columns of the pixels nearest to points, and which of these lie inside the canvas."""
    x, y = np.rint(points[..., 0]).astype(int), np.rint(points[..., 1]).astype(int)
    inside = (x >= 0) & (x < canvas.width) & (y >= 0) & (y < canvas.height)
    return np.clip(y, 0, canvas.height - 1), np.clip(x, 0, canvas.width - 1), inside


# -- regions ---------------------------------------------------------------------------------------------


MAX_REGIONS = 200
"""The most regions that are kept of one picture."""
GROUND_RIM = 0.45
"""What takes more than this share of the picture's border is its ground, not something on it."""
SAME_BOX = 0.75
"""Boxes with at least this intersection over union count as one region."""
MIN_DISTINCTNESS = 0.05
"""What is less distinct than this cannot be seen."""
MAX_SHARED = 0.3
"""Of two things set apart, none shares more of its pixels with the other than this."""
CLEARLY_LESS = 0.45
"""What is less distinct than this part of the most distinct region is no thing of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One distinct part of a picture."""

    outline: Outline
    distinctness: float  # contrast x closedness x compactness in 0..1; no probability
    prominence: float  # what regions are ranked by: distinctness, size, and how many cuts agree on it
    solidity: float  # area over that of the convex hull, in 0..1
    apart: bool = False  # it overlaps no other that is apart: a thing that one would count

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in canvas pixels; right and bottom lie behind the last pixel."""
        left, top, width, height = cv2.boundingRect(self.outline)
        return left, top, left + width, top + height

    def mask(self) -> NDArray[np.uint8]:
        """(h, w) uint8, 0 or 1: the filled region inside its box."""
        left, top, right, bottom = self.box
        mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
        cv2.drawContours(mask, [self.outline - np.array([left, top], dtype=np.int32)], -1, 1, cv2.FILLED)
        return mask


def find_regions(image: Image) -> tuple[Canvas, list[Region]]:
    """Return a picture's canvas and its distinct regions, at most 200, nested ones too, the most prominent first."""
    canvas = make_canvas(image)
    outlines = level_outlines(canvas) + merged_outlines(canvas)
    return canvas, set_apart(canvas, _ranked(canvas, *_voted(outlines)))


def set_apart(canvas: Canvas, regions: Sequence[Region]) -> list[Region]:
    """Set ``apart`` of the regions that one would count: distinct ones that neither overlap nor hold one another."""
    least = CLEARLY_LESS * max((region.distinctness for region in regions), default=0.0)
    taken = np.zeros((canvas.height, canvas.width), dtype=np.int32)
    areas = [1.0]
    apart: set[int] = set()
    for k in sorted(range(len(regions)), key=lambda k: -regions[k].prominence * regions[k].solidity):
        if regions[k].distinctness < least:
            continue
        left, top, right, bottom = regions[k].box
        mask = regions[k].mask().astype(bool)
        piece = taken[top:bottom, left:right]
        shared = np.bincount(piece[mask], minlength=len(areas))
        if shared[1:].sum() > MAX_SHARED * mask.sum() or (shared[1:] > MAX_SHARED * np.array(areas[1:])).any():
            continue
        piece[mask] = len(areas)
        areas.append(float(mask.sum()))
        apart.add(k)
    return [replace(region, apart=k in apart) for k, region in enumerate(regions)]


def _voted(outlines: Sequence[Outline]) -> tuple[list[Outline], NDArray[np.float64]]:
    """Keep one or two of the outlines whose boxes nearly agree, and count how many agreed."""
    cells: dict[tuple[int, ...], list[Outline]] = {}
    for outline in outlines:
        left, top, width, height = cv2.boundingRect(outline)
        step = max(1.5, 0.1 * (width * height) ** 0.5)
        size = int(np.log2(width * height) * 2)
        cell = (size, *(int(edge / step) for edge in (left, top, left + width, top + height)))
        cells.setdefault(cell, []).append(outline)
    kept: list[Outline] = []
    votes: list[float] = []
    for members in cells.values():
        for outline in members[:: max(1, len(members) - 1)][:2]:
            kept.append(outline)
            votes.append(len(members) / min(2, len(members)))
    return kept, np.array(votes)


def _ranked(canvas: Canvas, outlines: list[Outline], votes: NDArray[np.float64]) -> list[Region]:
    on_ground = [_rim_share(canvas, outline) <= GROUND_RIM for outline in outlines]
    outlines = [outline for outline, keep in zip(outlines, on_ground, strict=True) if keep]
    votes = votes[on_ground]
    if not outlines:
        return []
    measures = measure(canvas, outlines)
    boxes = np.array([cv2.boundingRect(outline) for outline in outlines], dtype=np.float64)
    boxes[:, 2:] += boxes[:, :2]
    worth = _prominence(measures, boxes)
    worth[measures.distinctness < MIN_DISTINCTNESS] = 0.0
    order = np.argsort(-worth, kind="stable")[:2000]
    order = order[worth[order] > 0]
    if not len(order):
        return []
    chosen, agreed = _without_duplicates(boxes[order], votes[order])
    best = order[chosen]
    worth = worth[best] * agreed**0.6
    ranking = np.argsort(-worth, kind="stable")[:MAX_REGIONS]
    distinct = measures.distinctness
    scale = worth[ranking[0]]
    return [
        Region(outlines[best[k]], float(distinct[best[k]]), float(worth[k] / scale), float(measures.solidity[best[k]]))
        for k in ranking
    ]


def _rim_share(canvas: Canvas, outline: Outline) -> float:
    """Share of the picture's border pixels that an outline runs along."""
    left, top, width, height = cv2.boundingRect(outline)
    if left > 0 and top > 0 and left + width < canvas.width and top + height < canvas.height:
        return 0.0
    x, y = outline[:, 0], outline[:, 1]
    on_rim = (x == 0) | (y == 0) | (x == canvas.width - 1) | (y == canvas.height - 1)
    return float(on_rim.sum() / (2 * (canvas.width + canvas.height)))


def _prominence(measures: Measures, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank by contrast and closedness, then size and a box that is not a splinter.

    The exponents were set by hand to raise the recall of objects in aerial and everyday photographs.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    splinter = sides.min(axis=1) / sides.max(axis=1)
    strength = (measures.contrast * measures.closed) ** 1.5 * measures.visible
    return np.asarray(strength * measures.areas**0.25 * splinter**0.6)


def _without_duplicates(
    boxes: NDArray[np.float64], votes: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Drop boxes (N, 4) that nearly repeat a better one before them, which gets their votes."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    free = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    agreed: list[float] = []
    for k in range(len(boxes)):
        if not free[k]:
            continue
        rest = k + np.flatnonzero(free[k:])
        corner = np.minimum(boxes[rest, 2:], boxes[k, 2:]) - np.maximum(boxes[rest, :2], boxes[k, :2])
        shared = np.clip(corner, 0, None).prod(axis=1)
        same = rest[shared >= SAME_BOX * (areas[rest] + areas[k] - shared)]
        kept.append(k)
        agreed.append(float(votes[same].sum()))
        free[same] = False
    return np.array(kept), np.array(agreed)
