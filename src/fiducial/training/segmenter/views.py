"""Training crops: one object seen through a random turn, stretch and zoom, with a random prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.geometry.prompts import Box
from fiducial.segmenters.nano_network import CONTEXT, Array, network_input
from fiducial.training.recolouring import recoloured
from fiducial.training.segmenter.config import Mode, Prompting
from fiducial.training.segmenter.corruption import corrupted
from fiducial.training.segmenter.objects import TrainingObject

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One training crop.

    Args:
        inputs: (7, S, S) float32, the network's input.
        target: (S, S) float32, the part of each pixel that the target covers.
        outside: area of the target that lies outside the crop, in pixels of the crop.
        own: the network is to put its own mask into the last channel, which is empty.
    """

    inputs: Array
    target: Array
    outside: float
    own: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A square window on a picture that may be turned, mirrored and stretched.

    A place p of the window (pixels 0..size) shows the place ``turn @ (p * scale + origin)`` of the picture.
    """

    turn: Matrix
    origin: Matrix
    scale: float
    size: int

    def to_window(self, places: Matrix) -> Matrix:
        """Turn (N, 2) places of the picture into places of the window."""
        return (places @ np.linalg.inv(self.turn).T - self.origin) / self.scale

    def sample(self, pixels: NDArray[np.uint8], x: int, y: int, border: int) -> Array:
        """Look at pixels that begin at x, y of the picture; large ones are averaged before."""
        corners = np.array([(0, 0), (self.size, 0), (0, self.size), (self.size, self.size)], dtype=np.float64)
        seen = (corners * self.scale + self.origin) @ self.turn.T - (x, y)
        height, width = pixels.shape[:2]
        left, top = np.clip(np.floor(seen.min(axis=0)).astype(int) - 4, 0, (width - 1, height - 1))
        right, bottom = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 4, (left + 1, top + 1), (width, height))
        part: NDArray[Any] = pixels[top:bottom, left:right]
        factor = max(1, int(self.scale))
        if factor > 1:
            # Whole blocks of factor x factor pixels: the rest of a block repeats the last pixels.
            pad = (-part.shape[0] % factor, -part.shape[1] % factor)
            part = cv2.copyMakeBorder(part, 0, pad[0], 0, pad[1], border, value=0)
            size = (part.shape[1] // factor, part.shape[0] // factor)
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        shift = (self.turn @ (self.origin + self.scale / 2) - (x + left, y + top)) / factor - 0.5
        matrix = np.hstack([self.turn * (self.scale / factor), shift[:, None]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen_pixels = cv2.warpAffine(part, matrix, (self.size, self.size), flags=how, borderMode=border, borderValue=0)
        return np.asarray(seen_pixels, np.float32)


def training_crop(
    target: TrainingObject,
    pixels: NDArray[np.uint8],
    size: int,
    mode: Mode,
    prompting: Prompting,
    random: np.random.Generator,
) -> Crop:
    """Make one training crop.

    Args:
        target: the object.
        pixels: (H, W, 3) uint8, its picture.
        size: edge S of the crop in pixels.
        mode: the kind of prompt.
        prompting: how bad prompts are.
        random: where chance comes from.
    """
    turn = _turn(random)
    hull = target.hull @ np.linalg.inv(turn).T
    tight = (*hull.min(axis=0).tolist(), *hull.max(axis=0).tolist())
    box: Box | None = _jittered(tight, prompting, random)
    first = None
    if mode == "points" or (mode == "previous" and random.random() < 0.3):
        first = _inside(target, random)
        box = None
    view = _zoom(turn, tight, box, first, size, random, points_alone=mode == "points")
    colours = recoloured(view.sample(pixels, 0, 0, cv2.BORDER_REPLICATE), random)
    covered = view.sample(target.mask, target.x, target.y, cv2.BORDER_CONSTANT) / np.float32(255)
    shown_box = None
    if box is not None:
        x1, y1, x2, y2 = ((np.array(box).reshape(2, 2) - view.origin) / view.scale).ravel().tolist()
        shown_box = (x1, y1, x2, y2)
    points = np.zeros((0, 2)) if first is None else view.to_window(first[None])
    labels = [1] * len(points)
    if mode == "box_points" or (mode == "points" and random.random() < 0.3):
        more, kinds = _points(covered, random)
        points, labels = np.concatenate([points, more]), labels + kinds
    own = mode == "previous" and random.random() < prompting.own
    previous = corrupted(covered, random) if mode == "previous" and not own else None
    inputs = network_input(colours, shown_box, points, labels, previous)
    whole = target.area / (view.scale**2 * abs(float(np.linalg.det(turn))))
    return Crop(inputs, covered, max(0.0, whole - float(covered.sum())), own)


def _turn(random: np.random.Generator) -> Matrix:
    """Draw a mirroring, a turn and a stretch."""
    angle = math.pi / 2 * int(random.integers(4))
    if random.random() < 0.35:
        angle += math.radians(random.uniform(-30, 30))
    stretch = math.exp(random.uniform(-0.18, 0.18))
    mirror = 1.0 if random.random() < 0.5 else -1.0
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror * stretch, 1 / stretch])


def _jittered(box: Box, prompting: Prompting, random: np.random.Generator) -> Box:
    """Shift each edge by a part of the box's width or height; some boxes stay tight."""
    if random.random() < prompting.exact:
        return box
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    shifts = random.uniform(-1, 1, 4) * random.uniform(0, prompting.jitter) * (width, height, width, height)
    x1, y1, x2, y2 = (np.array(box) + shifts).tolist()
    return x1, y1, max(x2, x1 + 0.2 * width), max(y2, y1 + 0.2 * height)


def _inside(target: TrainingObject, random: np.random.Generator) -> Matrix:
    """Draw a place on the target, half of the time well inside."""
    if random.random() < 0.5:
        return np.asarray(target.inner[int(random.integers(len(target.inner)))])
    rows, columns = np.nonzero(target.mask)
    number = int(random.integers(len(rows)))
    return np.array([columns[number] + target.x, rows[number] + target.y]) + random.random(2)


def _zoom(
    turn: Matrix,
    tight: Box,
    box: Box | None,
    first: Matrix | None,
    size: int,
    random: np.random.Generator,
    *,
    points_alone: bool,
) -> _View:
    """Choose the window: around the box as when cutting, around a point at many scales."""
    around = tight if box is None else box
    longest = max(around[2] - around[0], around[3] - around[1])
    centre = np.array([(around[0] + around[2]) / 2, (around[1] + around[3]) / 2])
    if first is not None and points_alone:
        centre = np.linalg.inv(turn) @ first
        fitting = random.random() < 0.75
        side = longest * math.exp(random.uniform(*((0.15, 1.2) if fitting else (-1.2, 2.0))))
    else:
        side = longest * CONTEXT * math.exp(random.uniform(-0.17, 0.2))
        centre = centre + random.uniform(-0.04, 0.04, 2) * side
    side = max(side, 8.0)
    return _View(turn, centre - side / 2, side / size, size)


def _points(covered: Array, random: np.random.Generator) -> tuple[Matrix, list[int]]:
    """Draw one to three points on the target or beside it, as it lies in the crop."""
    places, labels = [], []
    for _ in range(int(random.integers(1, 4))):
        label = int(random.random() < 0.6)
        rows, columns = np.nonzero(covered > 0.5 if label else covered == 0)
        if len(rows):
            number = int(random.integers(len(rows)))
            places.append((columns[number] + 0.5, rows[number] + 0.5))
            labels.append(label)
    return np.array(places, dtype=np.float64).reshape(-1, 2), labels
