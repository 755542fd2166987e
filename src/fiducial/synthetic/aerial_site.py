"""The site: one aerial picture while it is drawn, with its light and scale, and what a sensor makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from fiducial.synthetic.canvas import NOBODY, Canvas
from fiducial.synthetic.drawing import Places, Points, smooth_noise


@dataclass(frozen=True, eq=False)
class Site:
    """What every drawer of an aerial picture needs.

    Args:
        canvas: what is painted on.
        places: what room is taken.
        rng: makes every choice.
        unit: pixels per step of the drawing; 1 on a picture of 512 x 512.
        sun: direction in which shadows fall, in radians.
    """

    canvas: Canvas
    places: Places
    rng: np.random.Generator
    unit: float
    sun: float

    @classmethod
    def empty(cls, size: tuple[int, int], rng: np.random.Generator) -> Site:
        """Start a picture of height, width in pixels."""
        return cls(Canvas(*size), Places(*size, rng), rng, min(size) / 512, float(rng.uniform(0, 2 * math.pi)))

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.canvas.height

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.canvas.width

    def fill(self, outline: ArrayLike, colour: ArrayLike, thing: int | None = None, opacity: float = 1.0) -> None:
        """Paint an outline in pixels."""
        self.canvas.paint(self.canvas.cover(outline), colour, thing, opacity=opacity)

    def line(
        self,
        points: ArrayLike,
        thickness: float,
        colour: ArrayLike,
        *,
        thing: int | None = None,
        opacity: float = 1.0,
        closed: bool = False,
    ) -> None:
        """Paint a line through points in pixels."""
        self.canvas.paint(self.canvas.stroke(points, thickness, closed=closed), colour, thing, opacity=opacity)

    def shadow(self, outlines: Sequence[Points], height: float, strength: float = 0.5) -> None:
        """Let things throw a shadow whose end lies ``height`` pixels from them and takes ``strength`` of the light."""
        off = np.array([math.cos(self.sun), math.sin(self.sun)]) * height
        reach = [outline + off * t for outline in outlines for t in (0.35, 0.7, 1.0)]
        self.canvas.shade(self.canvas.cover(*reach), 1 - strength)

    def pick(self, colours: Sequence[tuple[int, int, int]], jitter: float = 5.0) -> Points:
        """Draw one of some colours and vary it a little."""
        base = np.array(colours[int(self.rng.integers(len(colours)))], dtype=np.float64)
        return np.asarray(np.clip(base + self.rng.uniform(-jitter, jitter, 3), 0, 255))

    def angle(self) -> float:
        """Draw any direction."""
        return float(self.rng.uniform(0, 2 * math.pi))

    def cover_up(self, outline: ArrayLike, colour: ArrayLike) -> None:
        """Paint something that is nobody and hides what is below it."""
        self.canvas.paint(self.canvas.cover(outline), colour, NOBODY)


def expose(site: Site) -> None:
    """Add haze, blur, contrast, a colour cast and grain."""
    canvas, rng = site.canvas, site.rng
    haze = np.float32(rng.choice([0.02, 0.06, 0.14, 0.24], p=[0.35, 0.35, 0.2, 0.1]))
    veil = haze * (1 + 0.25 * np.clip(smooth_noise(rng, canvas.size, 300 * site.unit), -2, 2))[..., None]
    pixels = canvas.pixels * (1 - veil) + np.array((196, 204, 212), dtype=np.float32) * veil
    pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.45, 0.95))), dtype=np.float32)
    pixels = 255 * np.clip(pixels / 255, 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    pixels *= rng.uniform(0.96, 1.04, 3).astype(np.float32) * np.float32(rng.uniform(0.9, 1.08))
    grain = rng.standard_normal((*canvas.size, 1), dtype=np.float32) * np.float32(rng.uniform(1.5, 4.5))
    colour_grain = rng.standard_normal((*canvas.size, 3), dtype=np.float32) * np.float32(rng.uniform(0.5, 2.0))
    canvas.pixels = np.asarray(pixels + grain + colour_grain, dtype=np.float32)
