"""What the nano network sees: a crop of the image, with its prompt drawn into channels beside the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.geometry import Box, Point

SIZE = 128
"""Edge of the network's input in pixels."""
CONTEXT = 1.6
"""Edge of the crop as a multiple of the box's longest edge."""
CHANNELS = 7
"""Red, green, blue, box, points on the target, points off it, previous mask."""
SPOT = 0.03
"""Standard deviation of the bump that a point makes, as a part of the crop's edge."""
MIN_CROP = 8
"""Smallest edge of a crop in pixels of the image."""
MIN_DEVIATION = 4.0
"""Smallest standard deviation that colours are divided by: a flat crop keeps its noise small."""
MAX_PADDED = 4096
"""Edge in pixels above which a crop that reaches past its image is shrunk before it is padded."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of whole pixels of an image, from its left and top edge; it may reach past the image."""

    x: int
    y: int
    side: int

    @classmethod
    def around(cls, box: Box, context: float = CONTEXT) -> Crop:
        """Return the crop around a box in pixels of the image."""
        side = max(MIN_CROP, round(context * max(box[2] - box[0], box[3] - box[1])))
        return cls.centred(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), side)

    @classmethod
    def centred(cls, centre: Point, side: int) -> Crop:
        """Return the crop of an edge whose middle is as near to a place as whole pixels allow."""
        return cls(round(centre[0] - side / 2), round(centre[1] - side / 2), side)

    def points(self, points: ArrayLike, size: int) -> NDArray[np.float64]:
        """Turn (N, 2) places x, y in pixels of the image into pixels of the network's input."""
        places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return (places - (self.x, self.y)) * (size / self.side)

    def box(self, box: Box, size: int) -> Box:
        """Turn a box in pixels of the image into pixels of the network's input."""
        (x1, y1), (x2, y2) = self.points([box[:2], box[2:]], size).tolist()
        return x1, y1, x2, y2

    def cut(self, pixels: NDArray[np.uint8], size: int) -> Array:
        """Cut (size, size, 3) float32 in 0..255 out of (H, W, 3) uint8 pixels, whose edge is repeated outside."""
        left, top, right, bottom = self._inside(*pixels.shape[:2])
        return self._scaled(pixels[top:bottom, left:right], left, top, cv2.BORDER_REPLICATE, size)

    def cut_values(self, values: Array, x: int, y: int, size: int) -> Array:
        """Cut the crop out of (h, w) float32 values that begin at x, y of the image; zero where there are none."""
        height, width = values.shape
        left, top = max(x, self.x), max(y, self.y)
        right, bottom = min(x + width, self.x + self.side), min(y + height, self.y + self.side)
        if left >= right or top >= bottom:
            return np.zeros((size, size), np.float32)
        return self._scaled(values[top - y : bottom - y, left - x : right - x], left, top, cv2.BORDER_CONSTANT, size)

    def back(self, values: Array, height: int, width: int) -> tuple[Array, int, int]:
        """Bring (size, size) float32 values of the network's output back to pixels of an image of height x width.

        Returns:
            The values inside the image as (h, w) float32, and where they begin: x, y in pixels of the image.
        """
        how = cv2.INTER_AREA if self.side < values.shape[0] else cv2.INTER_LINEAR
        left, top, right, bottom = self._inside(height, width)
        rows, columns = slice(top - self.y, bottom - self.y), slice(left - self.x, right - self.x)
        if min(rows.start, columns.start) < 0 or max(rows.start, columns.start) >= self.side:
            return np.zeros((0, 0), np.float32), left, top
        # One axis at a time, the shorter side first: the whole square around a very long picture would not fit.
        part: NDArray[Any] = values
        if right - left <= bottom - top:
            part = cv2.resize(part, (self.side, len(part)), interpolation=how)[:, columns]
            part = cv2.resize(part, (right - left, self.side), interpolation=how)[rows]
        else:
            part = cv2.resize(part, (part.shape[1], self.side), interpolation=how)[rows]
            part = cv2.resize(part, (self.side, bottom - top), interpolation=how)[:, columns]
        return np.asarray(part, np.float32), left, top

    def _scaled(self, part: NDArray[Any], left: int, top: int, border: int, size: int) -> Array:
        """Pad what begins at ``left``, ``top`` of the image to the whole square, and bring it to a size."""
        part = self._padded(part, left, top, border)
        how = cv2.INTER_AREA if self.side > size else cv2.INTER_LINEAR
        return cv2.resize(part, (size, size), interpolation=how).astype(np.float32)

    def _padded(self, part: NDArray[Any], left: int, top: int, border: int) -> NDArray[Any]:
        height, width = part.shape[:2]
        if (height, width) == (self.side, self.side):
            return part
        side, x, y = self.side, left - self.x, top - self.y
        if side > MAX_PADDED:  # as around a very long picture, whose square would not fit into memory
            scale, side = MAX_PADDED / side, MAX_PADDED
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
            part = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
            x, y = round(x * scale), round(y * scale)
        x, y = min(max(x, 0), side - width), min(max(y, 0), side - height)
        return cv2.copyMakeBorder(part, y, side - height - y, x, side - width - x, borderType=border)

    def _inside(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of the part inside the image: at least one pixel."""
        left, top = min(max(self.x, 0), width - 1), min(max(self.y, 0), height - 1)
        right, bottom = max(min(self.x + self.side, width), left + 1), max(min(self.y + self.side, height), top + 1)
        return left, top, right, bottom


def network_input(
    colours: Array,
    box: Box | None = None,
    points: ArrayLike = (),
    labels: Sequence[int] = (),
    previous: Array | None = None,
) -> Array:
    """Put a crop and its prompt together.

    Args:
        colours: (S, S, 3) float32 in 0..255.
        box: x1, y1, x2, y2 in pixels of the crop at size S.
        points: (N, 2) places x, y in the same pixels.
        labels: N labels, 1 on the target and 0 off it.
        previous: (S, S) float32 probabilities of an earlier mask in 0..1.

    Returns:
        (CHANNELS, S, S) float32: colours with their mean taken off, channel by channel, divided by their common
        deviation; the part of each pixel that the box covers; a bump of height 1 per point, on the target and
        off it; the earlier mask as -1..1, zero where there is none.
    """
    size = colours.shape[0]
    result = np.zeros((CHANNELS, size, size), np.float32)
    centred = colours - colours.mean(axis=(0, 1))
    result[:3] = centred.transpose(2, 0, 1) / max(float(centred.std()), MIN_DEVIATION)
    if box is not None:
        result[3] = np.outer(_coverage(box[1], box[3], size), _coverage(box[0], box[2], size))
    places = np.asarray(points, dtype=np.float32).reshape(-1, 2)
    for (x, y), label in zip(places, labels, strict=True):
        channel = result[4 if label else 5]
        np.maximum(channel, np.outer(_bump(y, size), _bump(x, size)), out=channel)
    if previous is not None:
        result[6] = 2 * previous - 1
    return result


def _coverage(start: float, end: float, size: int) -> Array:
    """Return how much of each of ``size`` pixels in a row lies between two places."""
    pixels = np.arange(size, dtype=np.float32)
    return np.asarray(np.clip(np.minimum(pixels + 1, end) - np.maximum(pixels, start), 0, 1), np.float32)


def _bump(place: float, size: int) -> Array:
    distance = (np.arange(size, dtype=np.float32) + 0.5 - place) / (SPOT * size)
    return np.asarray(np.exp(-(distance**2) / 2), dtype=np.float32)
