"""Canvases: the size at which a model family is really shown an image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from fiducial.errors import InputError

MAX_ASPECT = 200
"""The largest ratio of the sides that Qwen's processors take."""


class Sizing(Protocol):
    """A rule that says which size a model is shown."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height in pixels of what the model sees."""
        ...

    def limited(self, limits: dict[str, int]) -> Sizing:
        """Return the same rule with other limits.

        Raises:
            InputError: the rule knows no such limit.
        """
        ...


@dataclass(frozen=True, slots=True)
class OwnSize:
    """The image is shown, or counted, at its own size."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the image's own size."""
        return width, height

    def limited(self, limits: dict[str, int]) -> OwnSize:
        """Refuse any limit: there is none to set."""
        _refuse(limits, ())
        return self


@dataclass(frozen=True, slots=True)
class Square:
    """The image is squashed to a square, whatever its aspect.

    Args:
        side: side of the square in pixels.
    """

    side: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the square's size."""
        return self.side, self.side

    def limited(self, limits: dict[str, int]) -> Square:
        """Take another ``side``."""
        _refuse(limits, ("side",))
        return replace(self, **limits)


@dataclass(frozen=True, slots=True)
class SmartResize:
    """Qwen's rule: sides that are multiples of a factor, a number of pixels within bounds, the aspect nearly kept.

    This gives the same sizes as ``smart_resize`` in transformers.

    Args:
        factor: both sides are multiples of this: patch size times merge size.
        min_pixels: least number of pixels, width times height.
        max_pixels: greatest number of pixels.
    """

    factor: int
    min_pixels: int
    max_pixels: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which the processor resizes.

        Raises:
            InputError: one side is more than 200 times the other.
        """
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise InputError(
                f"a {width} x {height} image is too narrow: Qwen's processors take sides up to 1 : {MAX_ASPECT}; cut it"
            )
        new_width, new_height = (round(side / self.factor) * self.factor for side in (width, height))
        if new_width * new_height > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            new_width, new_height = (
                max(self.factor, math.floor(side / shrink / self.factor) * self.factor) for side in (width, height)
            )
        elif new_width * new_height < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            new_width, new_height = (math.ceil(side * grow / self.factor) * self.factor for side in (width, height))
        return new_width, new_height

    def limited(self, limits: dict[str, int]) -> SmartResize:
        """Take other values of ``factor``, ``min_pixels`` and ``max_pixels``."""
        _refuse(limits, ("factor", "min_pixels", "max_pixels"))
        return replace(self, **limits)


def _refuse(limits: dict[str, int], known: tuple[str, ...]) -> None:
    for name, value in limits.items():
        if name not in known:
            raise InputError(f"this dialect's canvas has no limit {name!r}: known: {', '.join(known) or 'none'}")
        if value <= 0:
            raise InputError(f"the canvas limit {name} needs to be positive, got {value}")
