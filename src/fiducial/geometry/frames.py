"""Frames: which numbers mean which place in one image.

Coordinates are continuous: pixel (row i, column j) covers x in [j, j + 1) and y in [i, i + 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import FrameError, GeometryError


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate frame of one image: where its top left and bottom right corners lie, and nothing else.

    Args:
        left: x of the image's left edge.
        top: y of the image's top edge.
        right: x of the image's right edge; may be smaller than ``left`` (a mirrored axis).
        bottom: y of the image's bottom edge; may be smaller than ``top`` (y pointing up).

    Example:
        >>> Frame.thousand().points_to([[500, 250]], Frame.pixels(640, 480)).tolist()
        [[320.0, 120.0]]
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        for name in ("left", "top", "right", "bottom"):
            object.__setattr__(self, name, _number(getattr(self, name), name))
        edges = (self.left, self.top, self.right, self.bottom)
        if not all(math.isfinite(edge) for edge in edges):
            raise FrameError(f"a frame needs finite edges, got {edges}")
        if self.left == self.right or self.top == self.bottom:
            raise FrameError(f"a frame needs an extent along both axes, got {edges}")

    @classmethod
    def pixels(cls, width: float, height: float) -> Frame:
        """Pixels of the original image: (0, 0) to (width, height)."""
        return cls._sized(0.0, 0.0, width, height)

    @classmethod
    def unit(cls) -> Frame:
        """Fractions of the image: (0, 0) to (1, 1)."""
        return cls(0.0, 0.0, 1.0, 1.0)

    @classmethod
    def thousand(cls, maximum: float = 1000.0) -> Frame:
        """Thousandths of the image: (0, 0) to (1000, 1000), or to another ``maximum`` (999, 1024)."""
        return cls(0.0, 0.0, maximum, maximum)

    @classmethod
    def canvas(cls, width: float, height: float) -> Frame:
        """Pixels of the image after it was resized, aspect kept or not, to width x height."""
        return cls._sized(0.0, 0.0, width, height)

    @classmethod
    def crop(cls, x: float, y: float, width: float, height: float) -> Frame:
        """Pixels counted from the corner (x, y) of a crop; ``width`` and ``height`` are the *whole* image's."""
        return cls._sized(-x, -y, width, height)

    @classmethod
    def letterbox(
        cls, width: float, height: float, canvas_width: float, canvas_height: float, *, centred: bool = True
    ) -> Frame:
        """Pixels of a canvas into which the image was fitted with its aspect kept, then padded.

        The padding is on both sides, or, where not ``centred``, at the right and bottom, as SAM does it.
        """
        if min(width, height, canvas_width, canvas_height) <= 0:
            raise FrameError(
                f"a letterbox needs positive sizes, got image {width} x {height} "
                f"on canvas {canvas_width} x {canvas_height}"
            )
        scale = min(canvas_width / width, canvas_height / height)
        shown_width, shown_height = width * scale, height * scale
        x = (canvas_width - shown_width) / 2 if centred else 0.0
        y = (canvas_height - shown_height) / 2 if centred else 0.0
        return cls(x, y, x + shown_width, y + shown_height)

    @classmethod
    def centred(cls) -> Frame:
        """The frame of Text2Centroid: (-1, 1) at the top left, (1, -1) at the bottom right, y up."""
        return cls(-1.0, 1.0, 1.0, -1.0)

    @classmethod
    def _sized(cls, left: float, top: float, width: float, height: float) -> Frame:
        width, height = _number(width, "width"), _number(height, "height")
        if not (width > 0 and height > 0):
            raise FrameError(f"a frame needs a positive width and height, got {width} x {height}")
        return cls(left, top, left + width, top + height)

    @property
    def width(self) -> float:
        """Extent of the image along x, in this frame's unit, never negative."""
        return abs(self.right - self.left)

    @property
    def height(self) -> float:
        """Extent of the image along y, in this frame's unit, never negative."""
        return abs(self.bottom - self.top)

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether x, and whether y, runs against the image's direction."""
        return self.right < self.left, self.bottom < self.top

    @property
    def extents(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Smallest and largest x, then y, of the image, whichever way the axes run."""
        return (
            (min(self.left, self.right), max(self.left, self.right)),
            (min(self.top, self.bottom), max(self.top, self.bottom)),
        )

    def clip_point(self, point: Sequence[float]) -> tuple[float, float]:
        """Return the point x, y of the image, border included, that is closest to one of this frame."""
        (left, right), (top, bottom) = self.extents
        return min(max(point[0], left), right), min(max(point[1], top), bottom)

    def clip_box(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Move a box's edges that lie outside the image onto its border; what lay wholly outside loses its extent."""
        return (*self.clip_point(box[:2]), *self.clip_point(box[2:]))

    def points_to(self, points: ArrayLike, other: Frame) -> NDArray[np.float64]:
        """Convert (..., 2) points x, y of this frame into another frame of the same image; a fresh float64 array.

        The image's corners are mapped to the corners exactly, whatever the numbers; points may lie outside.
        """
        given = np.array(_as_floats(points, "points"))
        if given.shape[-1:] != (2,):
            raise FrameError(f"points need shape (..., 2), got {given.shape}")
        if self == other:
            return given
        start = np.array([self.left, self.top])
        along = (given - start) / (np.array([self.right, self.bottom]) - start)
        return np.asarray(
            (1.0 - along) * np.array([other.left, other.top]) + along * np.array([other.right, other.bottom])
        )

    def boxes_to(self, boxes: ArrayLike, other: Frame) -> NDArray[np.float64]:
        """Convert boxes of this frame into another frame of the same image.

        Boxes are (..., 4) x1, y1, x2, y2 with x1 <= x2 and y1 <= y2. Where an axis runs the other way there, its two
        edges change places, so that this still holds.
        """
        given = _as_floats(boxes, "boxes")
        if given.shape[-1:] != (4,):
            raise FrameError(f"boxes need shape (..., 4), got {given.shape}")
        corners = self.points_to(given.reshape(*given.shape[:-1], 2, 2), other)
        swap_x, swap_y = (a != b for a, b in zip(self.flips, other.flips, strict=True))
        if swap_x:
            corners[..., 0] = corners[..., ::-1, 0].copy()
        if swap_y:
            corners[..., 1] = corners[..., ::-1, 1].copy()
        return corners.reshape(given.shape)

    def require(self, other: Frame, what: str = "coordinates") -> None:
        """Raise FrameError when ``other`` is not this frame: mixing frames is an error, not a rescale."""
        if not isinstance(other, Frame):
            raise FrameError(f"{what} need a Frame, got {type(other).__name__}")
        if self != other:
            raise FrameError(f"{what} are in {other}, but {self} is needed: convert with .to(frame)")

    def __str__(self) -> str:
        return f"frame ({self.left:g}, {self.top:g})-({self.right:g}, {self.bottom:g})"


def numbers(values: Sequence[float], count: int, what: str) -> Any:
    """Return so many finite numbers as a tuple of floats, or raise GeometryError about what they are."""
    try:
        given = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise GeometryError(f"{what} needs {count} numbers, got {values!r}") from None
    if len(given) != count or not all(map(math.isfinite, given)):
        raise GeometryError(f"{what} needs {count} finite numbers, got {values!r}")
    return given


def _number(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise FrameError(f"a frame needs a number as {what}, got {value!r}") from None


def _as_floats(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise FrameError(f"{what} need numbers, got {values!r}") from None
