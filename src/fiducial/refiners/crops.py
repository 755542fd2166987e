"""Crops: the piece of an image that a refiner works on, at a bounded size, and pictures of the work for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Box, Mask, Point
from fiducial.geometry import runs as _runs
from fiducial.images import Image
from fiducial.overlays.colours import Colour
from fiducial.overlays.drawing import outline, stroke_width

Pixels = NDArray[np.uint8]
Window = tuple[int, int, int, int]
"""Left, top, width and height of a piece of an image, in whole pixels."""

SHOWN = 480
"""Longest edge of a picture in pixels; what is smaller is enlarged in whole steps, so that its pixels can be seen."""
BEFORE: Colour = (255, 90, 90)
AFTER: Colour = (60, 230, 120)
_DARK: Colour = (20, 20, 24)


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A piece of an image, shrunk when it is larger than the working size."""

    window: Window
    pixels: Pixels  # (h, w, 3) RGB at working size

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width at working size."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def scale(self) -> float:
        """Working pixels per pixel of the image, at most 1."""
        return math.sqrt(self.shape[0] * self.shape[1] / (self.window[2] * self.window[3]))

    @property
    def one_colour(self) -> bool:
        """Whether every pixel has the same colour."""
        return not np.ptp(self.pixels.reshape(-1, 3), axis=0).any()

    def to_image(self, point: Point) -> Point:
        """Turn x, y of the working size into pixels of the image."""
        x, y, width, height = self.window
        return x + point[0] * width / self.shape[1], y + point[1] * height / self.shape[0]


def pixels_in(box: Box, image: Image) -> Window | None:
    """Return the window of the image's pixels whose centre lies in a box, or None when there is none."""
    # The first pixel whose centre lies at or beyond each edge.
    left, right = (math.ceil(min(max(edge - 0.5, 0), image.width)) for edge in (box[0], box[2]))
    top, bottom = (math.ceil(min(max(edge - 0.5, 0), image.height)) for edge in (box[1], box[3]))
    return (left, top, right - left, bottom - top) if left < right and top < bottom else None


def grown(box: Box, margin: float, image: Image) -> Window:
    """Return the window around a box of whole pixels, with a margin in pixels, clipped to the image."""
    left, top = (max(0, math.floor(edge - margin)) for edge in box[:2])
    right, bottom = min(image.width, math.ceil(box[2] + margin)), min(image.height, math.ceil(box[3] + margin))
    return left, top, right - left, bottom - top


def cut_crop(image: Image, window: Window, working_size: int) -> Crop:
    """Cut a window out of an image; its longest edge becomes ``working_size`` pixels at most."""
    x, y, width, height = window
    piece = np.ascontiguousarray(image.pixels[y : y + height, x : x + width])
    scale = min(1.0, working_size / max(width, height))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        piece = np.asarray(cv2.resize(piece, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Crop(window, piece)


def off_centre(point: Point, crop: Crop) -> float:
    """Measure how far a point of the working size lies from the middle: 1 on the ellipse that touches the edges."""
    height, width = crop.shape
    return math.hypot(2 * point[0] / width - 1, 2 * point[1] / height - 1)


def cut_mask(mask: Mask, window: Window) -> NDArray[np.bool_]:
    """Return the dense (height, width) piece of a mask in a window; the cost follows the runs and the window."""
    x, y, width, height = window
    pieces = _runs.columns(mask.runs.astype(np.int64, copy=False), mask.height)
    pieces = pieces[(pieces[:, 0] >= x) & (pieces[:, 0] < x + width)]
    bounds = np.clip(pieces[:, 1:] - y, 0, height)
    moved = np.concatenate([pieces[:, :1] - x, bounds], axis=1)
    return _runs.to_dense(_runs.from_columns(moved, height), height, width)


def enlarged(pixels: Pixels) -> Pixels:
    """Bring (h, w, 3) pixels to the size at which they are shown."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > SHOWN:
        size = (max(1, round(width * SHOWN / longest)), max(1, round(height * SHOWN / longest)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    times = max(1, SHOWN // longest)
    return np.ascontiguousarray(np.repeat(np.repeat(pixels, times, axis=0), times, axis=1))


def stretched(inside: NDArray[np.bool_], size: Sequence[int]) -> NDArray[np.bool_]:
    """Bring a mask to a height and width, pixel by pixel."""
    return np.asarray(cv2.resize(inside.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST) > 0)


def draw_edge(pixels: Pixels, inside: NDArray[np.bool_], colour: Colour) -> None:
    """Outline a mask in a picture, on a dark rim."""
    width = max(1, 2 * stroke_width(pixels.shape[1], pixels.shape[0]))
    outline(pixels, inside, 0, 0, _DARK, width + 2)
    outline(pixels, inside, 0, 0, colour, width)
