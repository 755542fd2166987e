"""Distinctness: how clearly an outline parts a compact region from what lies around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.prompters.classic.canvas import Canvas
from fiducial.prompters.classic.levels import Outline, filled_area

SAMPLES = 40
"""Places along an outline at which inside and outside are compared."""
CLEAR_STEP = 12.0
"""Colour difference in CIELAB units that counts as clear (the contrast there is 1 - 1/e)."""
VISIBLE_STEP = 4.0
"""Colour difference in CIELAB units below which an outline counts as open."""


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What an outline says about its region, N numbers each.

    Args:
        areas: filled area in canvas pixels.
        contrast: mean over the outline of 1 - exp(-d / 12), d the CIELAB difference between just
            inside and just outside; 0..1.
        closed: share of the outline along which that difference can be seen at all; 0..1.
        solidity: area over the area of the convex hull; 0..1.
        visible: share of the outline that does not run along the picture's border; 0..1.
    """

    areas: NDArray[np.float64]
    contrast: NDArray[np.float64]
    closed: NDArray[np.float64]
    solidity: NDArray[np.float64]
    visible: NDArray[np.float64]

    @property
    def distinctness(self) -> NDArray[np.float64]:
        """Contrast x closedness x compactness, less for what the border cuts: 0..1, and no probability."""
        return np.asarray(self.contrast * self.closed * self.solidity * np.sqrt(self.visible))


def measure(canvas: Canvas, outlines: Sequence[Outline]) -> Measures:
    """Measure how clearly each outline parts its region from the surroundings.

    Args:
        canvas: the picture at working size.
        outlines: N outlines, one at least.
    """
    points, normals = _sampled(outlines)
    areas = np.array([filled_area(outline) for outline in outlines])
    # The outline runs through the middles of the outermost pixels: the edge is half a pixel further out.
    edge = points + 0.5 * normals
    wide = np.clip(0.08 * np.sqrt(areas), 1.0, 4.0)[:, None, None] * normals
    outer, visible = _colours(canvas, edge + wide, areas)
    step = np.linalg.norm(_colours(canvas, edge - wide, areas)[0] - outer, axis=2)
    # Close by, the step is steepest where the outline really lies on the edge.
    near = np.linalg.norm(_fine(canvas, edge - 0.6 * normals) - _fine(canvas, edge + 0.6 * normals), axis=2)
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
    x, y = np.rint(points[..., 0]).astype(int), np.rint(points[..., 1]).astype(int)
    inside = (x >= 0) & (x < canvas.width) & (y >= 0) & (y < canvas.height)
    x, y = np.clip(x, 0, canvas.width - 1), np.clip(y, 0, canvas.height - 1)
    large = areas > 1500
    colours = np.empty((*x.shape, 3))
    colours[large] = canvas.smooth[y[large], x[large]]
    colours[~large] = canvas.lab[y[~large], x[~large]]
    return colours, inside


def _fine(canvas: Canvas, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Look up the hardly smoothed colours at points."""
    x = np.clip(np.rint(points[..., 0]).astype(int), 0, canvas.width - 1)
    y = np.clip(np.rint(points[..., 1]).astype(int), 0, canvas.height - 1)
    return np.asarray(canvas.lab[y, x])
