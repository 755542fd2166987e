"""Attributes: a region as a candidate that phrases can choose, measured in pixels of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Box, Frame, Point, Prompt
from fiducial.images import Image
from fiducial.language.candidates import Candidate
from fiducial.prompters.classic.canvas import Canvas
from fiducial.prompters.classic.regions import Region
from fiducial.prompters.measuring import look_of

FULL_SIZE = 0.03
"""From this share of the picture on, a region's score is its distinctness; smaller ones score less."""


def as_candidate(image: Image, canvas: Canvas, region: Region, label: str | None = None) -> Candidate:
    """Measure a region.

    Args:
        image: the picture.
        canvas: its canvas.
        region: a region on the canvas.
        label: the user's word for it, if there is one.

    Returns:
        A candidate in the pixels of the picture: a box and the inner point that is furthest from the
        outline; area and length; roundness, the area over that of the disc across its length;
        luminance and colours of its inside. The score is :func:`score_of`.
    """
    mask = region.mask()
    left, top, right, bottom = region.box
    scale = np.array([canvas.scale_x, canvas.scale_y])
    area = float(mask.sum()) * canvas.scale_x * canvas.scale_y
    length = _length((region.outline + 0.5) * scale, float(scale.max()))
    brightness, colours = look_of(canvas.rgb[top:bottom, left:right][_core(mask)])
    prompt = Prompt(
        image.frame,
        box=_box(image.frame, (left, top, right, bottom), canvas),
        points=(_inner_point(mask, left, top, canvas),),
        label=label,
        score=score_of(region.distinctness, area / (image.width * image.height)),
    )
    return Candidate(
        prompt,
        area=area,
        length=length,
        roundness=min(1.0, area / (math.pi / 4 * length**2)),
        brightness=brightness,
        colours=colours,
    )


def score_of(distinctness: float, share: float) -> float:
    """Return distinctness, less for what covers less than 3 % of the picture: 0..1, and no probability.

    Args:
        distinctness: contrast x closedness x compactness, in 0..1.
        share: share of the picture that the region covers, in 0..1.
    """
    return float(min(1.0, distinctness * min(1.0, share / FULL_SIZE) ** 0.25))


def _box(frame: Frame, box: tuple[int, int, int, int], canvas: Canvas) -> Box:
    left, top, right, bottom = box
    return (
        left * canvas.scale_x,
        top * canvas.scale_y,
        min(right * canvas.scale_x, frame.width),
        min(bottom * canvas.scale_y, frame.height),
    )


def _inner_point(mask: NDArray[np.uint8], left: int, top: int, canvas: Canvas) -> Point:
    """Return the middle of the pixel that is furthest from everything outside the region."""
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return (left + float(column) + 0.5) * canvas.scale_x, (top + float(row) + 0.5) * canvas.scale_y


def _core(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Leave out the mixed colours of the rim, unless nothing much would be left."""
    core = cv2.erode(np.pad(mask, 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return np.asarray(core if core.sum() * 4 >= mask.sum() else mask).astype(bool)


def _length(points: NDArray[np.float64], pixel: float) -> float:
    """Return the largest distance between two pixels' middles, and one pixel for their halves."""
    hull = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2)
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    return float(apart.max()) + pixel
