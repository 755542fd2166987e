"""Placing: where things go without lying on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Places:
    """Discs that are taken, and a search for free ones.

    Args:
        height: in pixels.
        width: in pixels.
        rng: draws the places.
    """

    height: int
    width: int
    rng: np.random.Generator
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def is_free(self, x: float, y: float, radius: float, overlap: float = 0.0) -> bool:
        """Say whether a disc keeps clear of all taken ones, up to a share of its radius."""
        return all(math.hypot(x - u, y - v) >= (radius + r) * (1 - overlap) for u, v, r in self.taken)

    def take(self, x: float, y: float, radius: float) -> None:
        """Mark a disc as taken."""
        self.taken.append((x, y, radius))

    def take_line(self, start: tuple[float, float], end: tuple[float, float], radius: float) -> None:
        """Mark a band of half width ``radius`` as taken."""
        steps = max(2, math.ceil(math.dist(start, end) / max(radius, 1.0)))
        for t in np.linspace(0, 1, steps).tolist():
            self.take(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]), radius)

    def find(
        self,
        radius: float,
        *,
        inside: tuple[float, float, float, float] | None = None,
        overlap: float = 0.0,
        tries: int = 60,
    ) -> tuple[float, float] | None:
        """Find and take a free disc.

        Args:
            radius: in pixels.
            inside: x1, y1, x2, y2 that the disc keeps within; default: the picture.
            overlap: share of the radii by which discs may overlap.
            tries: how many places are looked at.

        Returns:
            Its centre, or None when no place was found.
        """
        x1, y1, x2, y2 = inside or (0.0, 0.0, float(self.width), float(self.height))
        for _ in range(tries):
            if x2 - x1 <= 2 * radius or y2 - y1 <= 2 * radius:
                return None
            x = float(self.rng.uniform(x1 + radius, x2 - radius))
            y = float(self.rng.uniform(y1 + radius, y2 - radius))
            if self.is_free(x, y, radius, overlap):
                self.take(x, y, radius)
                return x, y
        return None
