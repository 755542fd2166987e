"""What scenes are drawn with: outlines and where they are put, smooth noise, and a search for free places."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.geometry import Box

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing drawn around (0, 0) goes: scaled, then turned, then moved.

    Its origin goes to x, y in pixels; the angle is in radians, clockwise as seen on the picture.
    """

    x: float
    y: float
    angle: float = 0.0
    scale: float = 1.0

    def place(self, points: ArrayLike) -> Points:
        """Return (N, 2) points of the thing's own drawing as pixels x, y."""
        given = np.asarray(points, dtype=np.float64) * self.scale
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        turned = given @ np.array([[cosine, sine], [-sine, cosine]])
        return np.asarray(turned + np.array([self.x, self.y]))


def rectangle(width: float, height: float, x: float = 0.0, y: float = 0.0) -> Points:
    """Return the corners of a rectangle centred on (x, y)."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    return np.asarray(corners * (width, height) + (x, y))


def ellipse(width: float, height: float, x: float = 0.0, y: float = 0.0, steps: int = 64) -> Points:
    """Return points on an ellipse centred on (x, y)."""
    turn = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    return np.stack([np.cos(turn) * width / 2 + x, np.sin(turn) * height / 2 + y], axis=1)


def arc(radius: float, start: float, end: float, x: float = 0.0, y: float = 0.0, steps: int = 24) -> Points:
    """Return points along an arc between two angles in radians."""
    turn = np.linspace(start, end, steps)
    return np.stack([np.cos(turn) * radius + x, np.sin(turn) * radius + y], axis=1)


def polygon(corners: int, first: float = -math.pi / 2) -> Points:
    """Return a regular polygon with corners on the unit circle."""
    turn = first + 2 * math.pi * np.arange(corners) / corners
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def star(points: int = 5, inner: float = 0.42) -> Points:
    """Return a star with its points on the unit circle and its notches on a circle of radius ``inner``."""
    radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.asarray(polygon(2 * points) * radius[:, None])


def cross(thickness: float = 0.36) -> Points:
    """Return a cross inside the unit square around (0, 0), with arms of a thickness."""
    t = thickness
    quarter = [(-t, -1), (t, -1), (t, -t), (1, -t), (1, t), (t, t), (t, 1), (-t, 1), (-t, t), (-1, t), (-1, -t)]
    return np.array([*quarter, (-t, -t)], dtype=np.float64)


def stadium(length: float, width: float) -> Points:
    """Return a rectangle of ``length - width`` by ``width`` with half discs at its ends: a running track."""
    straight = (length - width) / 2
    right = arc(width / 2, -math.pi / 2, math.pi / 2, straight)
    left = arc(width / 2, math.pi / 2, 3 * math.pi / 2, -straight)
    return np.concatenate([right, left])


def rounded(width: float, height: float, radius: float, x: float = 0.0, y: float = 0.0) -> Points:
    """Return a rectangle with round corners, centred on (x, y)."""
    u, v = width / 2 - radius, height / 2 - radius
    quarters = [(u, -v, -0.5), (u, v, 0.0), (-u, v, 0.5), (-u, -v, 1.0)]
    corners = [arc(radius, a * math.pi, (a + 0.5) * math.pi, p + x, q + y, 6) for p, q, a in quarters]
    return np.concatenate(corners)


def blob(rng: np.random.Generator, roughness: float = 0.12, steps: int = 72, waves: int = 5) -> Points:
    """Return a smooth closed curve around the unit circle, from which it strays by about ``roughness`` in 0..1."""
    turn = np.linspace(0, 2 * math.pi, steps, endpoint=False)
    radius = np.ones(steps)
    for wave in range(2, waves + 1):
        radius += roughness * rng.normal() / wave * np.cos(wave * turn + rng.uniform(0, 2 * math.pi))
    radius = np.clip(radius, 0.4, 1.7)
    return np.stack([np.cos(turn) * radius, np.sin(turn) * radius], axis=1)


def band(line: ArrayLike, width: float) -> Points:
    """Return the outline of a band of a width along a line of (N, 2) points: a river, a road."""
    points = np.asarray(line, dtype=np.float64)
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * width / 2
    return np.concatenate([points + across, (points - across)[::-1]])


Field = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> Field:
    """Return a random field whose bumps are about ``cell`` pixels wide, at least 1.

    It is (H, W) float32, mean about 0, standard deviation about 1.
    """
    height, width = size
    rows, columns = (max(2, round(extent / cell) + 2) for extent in size)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    field = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def fractal_noise(rng: np.random.Generator, size: tuple[int, int], cell: float, octaves: int = 4) -> Field:
    """Add up random fields, each of half the width and 0.6 of the strength of the one before.

    The widest bumps are ``cell`` pixels wide; (H, W) float32, mean 0, standard deviation 1.
    """
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        total += np.float32(0.6**octave) * smooth_noise(rng, size, max(1.0, cell / 2**octave))
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), dtype=np.float32)


@dataclass
class Places:
    """Discs that are taken, and a search for free ones."""

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
        self, radius: float, *, inside: Box | None = None, overlap: float = 0.0, tries: int = 60
    ) -> tuple[float, float] | None:
        """Find and take a free disc inside x1, y1, x2, y2 (default: the picture); return its centre, or None.

        Discs may overlap by a share of their radii.
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
