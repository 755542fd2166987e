"""How large an overlay picture is shown, and masks at that size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Mask, Point
from fiducial.images import Image
from fiducial.overlays.drawing import cut_out

MOST_SIDE = 4096
"""No side of a shown picture is longer, in pixels."""

MOST_PIXELS = 4_000_000
"""No shown picture has more pixels."""

LEAST_SIDE = 640
"""Small pictures are enlarged by a whole factor until their longer side is about this long."""


@dataclass(frozen=True, slots=True)
class Display:
    """A picture's size on an overlay.

    Args:
        width: of the original image in pixels.
        height: of the original image in pixels.
        shown_width: in pixels of the overlay.
        shown_height: in pixels of the overlay.
    """

    width: int
    height: int
    shown_width: int
    shown_height: int

    @classmethod
    def fit(cls, width: int, height: int) -> Display:
        """Choose the shown size: tiny pictures by a whole factor larger, huge ones smaller, others as they are."""
        longest = max(width, height)
        scale = min(1.0, MOST_SIDE / longest, math.sqrt(MOST_PIXELS / (width * height)))
        if scale == 1.0:
            scale = max(1.0, float(round(LEAST_SIDE / longest)))
        return cls(width, height, max(1, int(width * scale)), max(1, int(height * scale)))

    def resize(self, image: Image) -> NDArray[np.uint8]:
        """Return the image's pixels at the shown size, a fresh (shown_height, shown_width, 3) array."""
        if (self.shown_width, self.shown_height) == (self.width, self.height):
            return image.pixels.copy()
        size = (self.shown_width, self.shown_height)
        return np.asarray(cv2.resize(image.pixels, size, interpolation=self._interpolation), dtype=np.uint8)

    def coverage(self, mask: Mask) -> tuple[NDArray[np.uint8], int, int]:
        """Return how far shown pixels are covered by a mask.

        Returns:
            (h, w) uint8 in 0..255 around the mask, and the column and row of its corner; no pixels for an
            empty mask. Where a mask would vanish, being smaller than a shown pixel, it keeps one.
        """
        inside, left, top = cut_out(mask)
        if not inside.size:
            return inside.astype(np.uint8), 0, 0
        scale_x, scale_y = self.shown_width / self.width, self.shown_height / self.height
        x, y = math.floor(left * scale_x), math.floor(top * scale_y)
        right = min(max(math.ceil((left + inside.shape[1]) * scale_x), x + 1), self.shown_width)
        bottom = min(max(math.ceil((top + inside.shape[0]) * scale_y), y + 1), self.shown_height)
        dense = inside.astype(np.uint8) * np.uint8(255)
        resized = cv2.resize(dense, (right - x, bottom - y), interpolation=self._interpolation)
        shown = np.asarray(resized, dtype=np.uint8).reshape(bottom - y, right - x)
        if not (shown >= 128).any():
            shown = np.where(shown >= max(1, int(shown.max())), 255, shown).astype(np.uint8)
        return shown, x, y

    def place(self, point: Sequence[float]) -> Point:
        """Convert x, y from pixels of the image to shown pixels."""
        return point[0] * self.shown_width / self.width, point[1] * self.shown_height / self.height

    def box(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Convert x1, y1, x2, y2 from pixels of the image to shown pixels."""
        return (*self.place(box[:2]), *self.place(box[2:]))

    @property
    def mean_side(self) -> float:
        """Square root of the shown pixels: what strokes and letters are measured by."""
        return math.sqrt(self.shown_width * self.shown_height)

    @property
    def _interpolation(self) -> int:
        # Enlarged pixels stay squares, so that the mask's true edge can be seen.
        return cv2.INTER_NEAREST if self.shown_width > self.width else cv2.INTER_AREA
