"""Regions: the distinct parts of a picture, whatever they may be called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.images import Image
from fiducial.prompters.classic.canvas import Canvas, make_canvas
from fiducial.prompters.classic.distinctness import Measures, measure
from fiducial.prompters.classic.levels import Outline, level_outlines
from fiducial.prompters.classic.merging import merged_outlines

MOST_REGIONS = 200
"""The most regions that are kept of one picture."""
GROUND_RIM = 0.45
"""What takes more than this share of the picture's border is its ground, not something on it."""
SAME_BOX = 0.75
"""Boxes with at least this intersection over union count as one region."""
LEAST_DISTINCT = 0.05
"""What is less distinct than this cannot be seen."""
MOST_SHARED = 0.3
"""Of two things set apart, none shares more of its pixels with the other than this."""
CLEARLY_LESS = 0.45
"""What is less distinct than this part of the most distinct region is no thing of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One distinct part of a picture.

    Args:
        outline: (K, 2) int32 x, y of its outermost pixels, in canvas pixels.
        distinctness: contrast x closedness x compactness in 0..1; no probability.
        prominence: what regions are ranked by: distinctness, size, and how many cuts agree on it.
        solidity: area over that of the convex hull, in 0..1.
        apart: True for the regions that do not overlap: the things one would count.
    """

    outline: Outline
    distinctness: float
    prominence: float
    solidity: float
    apart: bool = False

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
    """Find the distinct regions of a picture, the most prominent first.

    Args:
        image: any picture.

    Returns:
        The canvas that the regions are measured on, and at most 200 regions, nested ones included.
    """
    canvas = make_canvas(image)
    outlines = level_outlines(canvas) + merged_outlines(canvas)
    return canvas, set_apart(canvas, _ranked(canvas, *_voted(outlines)))


def set_apart(canvas: Canvas, regions: Sequence[Region]) -> list[Region]:
    """Mark the regions that one would count: distinct ones that neither overlap nor hold one another.

    Args:
        canvas: what the regions were measured on.
        regions: the most prominent first.

    Returns:
        The same regions in the same order, with ``apart`` set.
    """
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
        if shared[1:].sum() > MOST_SHARED * mask.sum() or (shared[1:] > MOST_SHARED * np.array(areas[1:])).any():
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
    worth[measures.distinctness < LEAST_DISTINCT] = 0.0
    order = np.argsort(-worth, kind="stable")[:2000]
    order = order[worth[order] > 0]
    if not len(order):
        return []
    chosen, agreed = _without_duplicates(boxes[order], votes[order])
    best = order[chosen]
    worth = worth[best] * agreed**0.6
    ranking = np.argsort(-worth, kind="stable")[:MOST_REGIONS]
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
    """Drop boxes that nearly repeat a better one, to which their votes go.

    Args:
        boxes: (N, 4) boxes, best first.
        votes: (N,) votes of each.

    Returns:
        Indices of the boxes kept, and the votes of each.
    """
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
