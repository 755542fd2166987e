"""Outlines: closed curves as points, and where they are put."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing drawn around (0, 0) goes: scaled, then turned, then moved.

    Args:
        x: of the thing's origin, in pixels.
        y: likewise.
        angle: in radians, clockwise as seen on the picture.
        scale: pixels per unit of the thing's own drawing.
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
    """Return a smooth closed curve around the unit circle.

    Args:
        rng: makes it irregular.
        roughness: how far it strays from the circle, in 0..1.
        steps: number of points.
        waves: the most bulges that are counted around it.
    """
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
