"""Where the grounder looks, and how closely: one rule, from the size of the picture alone.

A picture is seen at half its size, but not below 256 pixels along its longest edge (small ones stay as they are or are
made larger, at most four times). What is then longer than 800 pixels is seen through overlapping windows of 640, and
once more at a quarter of that size, and so on until one window shows all: small things are found in the windows, large
ones in the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError

HALF = 0.5
"""Scale of usual pictures: with it the network has half the pixels of both, and a quarter of the work."""
LEAST = 256
"""Shortest longest edge that is looked at, in pixels."""
MOST_ENLARGED = 4.0
WHOLE = 800
"""Longest edge that is looked at in one piece."""
WINDOW = 640
"""Edge of a window in pixels of what is looked at."""
OVERLAP = 128
"""What two windows share along an axis: things up to this size lie wholly in one of them."""
COARSER = 4
"""How much smaller each further look is."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture and the size at which it is looked at.

    Args:
        x: left edge in pixels of the picture.
        y: top edge.
        width: in pixels of the picture.
        height: likewise.
        seen: width, height in pixels of what the network sees.
        inner: whether the left, top, right and bottom edge lie inside the picture, so that things may be cut there.
    """

    x: int
    y: int
    width: int
    height: int
    seen: tuple[int, int]
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def pixels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (h, w, 3) what the network sees of a picture (H, W, 3)."""
        part = picture[self.y : self.y + self.height, self.x : self.x + self.width]
        if self.seen == (self.width, self.height):
            return part
        smaller = self.seen[0] < self.width
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, self.seen, interpolation=how), np.uint8)

    def to_picture(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (K, 4) boxes in pixels of what is seen into pixels of the picture, clipped to this window."""
        scale = np.array([self.width / self.seen[0], self.height / self.seen[1]] * 2)
        offset = np.array([self.x, self.y] * 2)
        limit = np.array([self.width, self.height] * 2)
        return np.asarray(np.clip(boxes * scale, 0, limit) + offset)

    def whole(self, boxes: NDArray[np.float64], margin: float = 2.0) -> NDArray[np.bool_]:
        """Say which (K, 4) boxes in pixels of what is seen do not end at an edge that may cut them."""
        width, height = self.seen
        gaps = np.stack([boxes[:, 0], boxes[:, 1], width - boxes[:, 2], height - boxes[:, 3]], axis=1)
        return np.asarray(((gaps > margin) | ~np.array(self.inner)).all(axis=1))


def scale_of(width: int, height: int, zoom: float = 1.0) -> float:
    """Return the scale at which a picture is seen first.

    Args:
        width: of the picture in pixels.
        height: likewise.
        zoom: look so many times closer, or less closely below 1.

    Raises:
        InputError: a zoom that is not above 0.

    Example:
        >>> scale_of(1000, 800), scale_of(400, 300), scale_of(128, 128)
        (0.5, 0.64, 2.0)
    """
    if not zoom > 0:
        raise InputError(f"a zoom is above 0, got {zoom}")
    return min(max(HALF, LEAST / max(width, height)), MOST_ENLARGED) * zoom


def windows_of(width: int, height: int, zoom: float = 1.0) -> list[Window]:
    """List where to look; arguments as for :func:`scale_of`.

    Example:
        >>> windows_of(1000, 800)
        [Window(x=0, y=0, width=1000, height=800, seen=(500, 400), inner=(False, False, False, False))]
        >>> len(windows_of(4000, 3000))
        13
    """
    scale = scale_of(width, height, zoom)
    found: list[Window] = []
    while True:
        found += _level(width, height, scale)
        if max(width, height) * scale <= WHOLE:
            return found
        scale /= COARSER


def _level(width: int, height: int, scale: float) -> Iterator[Window]:
    for y1, y2 in _parts(height, scale):
        for x1, x2 in _parts(width, scale):
            seen = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
            inner = (x1 > 0, y1 > 0, x2 < width, y2 < height)
            yield Window(x1, y1, x2 - x1, y2 - y1, seen, inner)


def _parts(length: int, scale: float) -> list[tuple[int, int]]:
    """Cut one axis: in one piece when it is short enough, else into equal windows that share at least the overlap."""
    if length * scale <= WHOLE:
        return [(0, length)]
    side, step = int(WINDOW / scale), (WINDOW - OVERLAP) / scale
    count = int(np.ceil((length - side) / step)) + 1
    starts = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]
