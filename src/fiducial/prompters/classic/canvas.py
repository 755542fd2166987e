"""The canvas: a picture at a bounded working size, in the colours that its regions are looked for in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.images import Image

WORKING_PIXELS = 360_000
"""Pictures with more pixels are shrunk to about this many: it bounds time and memory."""
WORKING_SIDE = 4096
"""Longest side of a canvas, for pictures that are all length and no height."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """One picture at working size.

    Args:
        rgb: (h, w, 3) uint8 RGB.
        lab: (h, w, 3) float32 CIELAB, L in 0..100, slightly smoothed against noise.
        smooth: (h, w, 3) float32 CIELAB, smoothed more, for large regions with texture.
        edges: (h, w) float32 strength of the colour change per pixel, in CIELAB units.
        scale_x: pixels of the picture per pixel of the canvas, along x.
        scale_y: the same along y.
    """

    rgb: NDArray[np.uint8]
    lab: NDArray[np.float32]
    smooth: NDArray[np.float32]
    edges: NDArray[np.float32]
    scale_x: float
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
    """Shrink a picture to its working size, never enlarge it, and convert its colours.

    Args:
        image: any picture.
    """
    width, height = working_size(image.width, image.height)
    rgb = image.pixels
    if (width, height) != (image.width, image.height):
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), dtype=np.float32)
    fine = _blurred(lab, 0.8)
    smooth = _blurred(lab, 3.0)
    return Canvas(rgb, fine, smooth, _edges(_blurred(lab, 1.2)), image.width / width, image.height / height)


def working_size(width: int, height: int) -> tuple[int, int]:
    """Return the width and height of the canvas for a picture of width x height pixels."""
    shrink = min(1.0, math.sqrt(WORKING_PIXELS / (width * height)), WORKING_SIDE / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _blurred(lab: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    blurred = cv2.GaussianBlur(lab, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32).reshape(lab.shape)


def _edges(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the colour gradient: central differences, so that a step of 10 spread over 2 pixels gives 5."""
    total = np.zeros(lab.shape[:2], dtype=np.float32)
    for axis in (0, 1):
        if lab.shape[axis] > 1:
            total += np.square(np.gradient(lab, axis=axis)).sum(axis=2)
    return np.sqrt(total)
