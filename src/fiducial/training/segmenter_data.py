"""What the nano segmenter learns from: objects with their pictures, training crops of them, and batches of those."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.geometry.prompts import Box
from fiducial.segmenters.nano_crops import CONTEXT, Array, network_input
from fiducial.training.configs import SegmenterConfig, SegmenterPrompting, Source
from fiducial.training.sources import corrupted, expand_data_folder, instances_of, recoloured, shares
from fiducial.training.trainer import StepBatches

Matrix = NDArray[np.float64]
Mode = Literal["box", "box_points", "points", "previous"]
"""The kinds of prompts."""
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs (B, 7, S, S), targets (B, S, S) in 0..1, areas outside the crop (B,) in pixels of the crop, and which (B,)
crops wait for a mask of the network's own."""
_MODES: tuple[Mode, ...] = get_args(Mode)


# -- objects --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class TrainingObject:
    """One target; coordinates are x, y in pixels of the picture."""

    picture: int  # its picture's index in the store
    mask: NDArray[np.uint8]  # (h, w), 0 or 255, the piece of the picture inside the target's box
    x: int  # left edge of that piece
    y: int  # and its top edge
    hull: Matrix  # (N, 2) corners of the target's convex hull
    inner: Matrix  # (M, 2) some places well inside the target


@dataclass(slots=True)
class Store:
    """Everything of one source: pictures (H, W, 3), the objects in them to train on, and what is never trained on."""

    source: Source
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    objects: list[TrainingObject] = field(default_factory=list)
    held_out: list[Sample] = field(default_factory=list)
    by_picture: list[list[int]] = field(default_factory=list)

    def draw(self, random: np.random.Generator) -> TrainingObject:
        """Draw an object: half of the time any, half of the time any of any picture, so that crowds do not rule."""
        if random.random() < 0.5:
            return self.objects[int(random.integers(len(self.objects)))]
        of_picture = self.by_picture[int(random.integers(len(self.by_picture)))]
        return self.objects[of_picture[int(random.integers(len(of_picture)))]]

    def targets(self, min_size: float) -> list[tuple[Sample, Mask]]:
        """List the held-out objects, each with its sample."""
        return [(sample, mask) for sample in self.held_out for mask in instances_of(sample, min_size)]


def read_store(source: Source, data: Path, min_size: float) -> Store:
    """Read a dataset into memory, without targets whose longest edge is below ``min_size`` pixels.

    Raises:
        InputError: the dataset cannot be opened, has no masks, or nothing is left to train on.
    """
    store = Store(source)
    for sample in open_dataset(expand_data_folder(source.dataset, data)):
        if is_held_out(group_of(sample, source.group), source.held_out):
            store.held_out.append(sample)
            continue
        if masks := instances_of(sample, min_size):
            store.by_picture.append(list(range(len(store.objects), len(store.objects) + len(masks))))
            store.objects += [training_object(mask, len(store.pictures)) for mask in masks]
            store.pictures.append(sample.image().pixels)
    if not store.objects:
        raise InputError(f"{source.dataset}: no target of at least {min_size:g} pixels is left to train on")
    return store


def training_object(mask: Mask, picture: int) -> TrainingObject:
    """Prepare a mask that is not empty; ``picture`` is its picture's index."""
    inside, x, y = mask.to_patch()
    piece = inside.astype(np.uint8) * 255
    depth = cv2.distanceTransform(np.pad(piece, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.argwhere(depth >= 0.6 * depth.max())[:, ::-1]
    inner = (deep[:: max(1, len(deep) // 64)] + (x, y) + 0.5).astype(np.float64)
    return TrainingObject(picture, piece, x, y, mask.convex_hull(), inner)


# -- crops ----------------------------------------------------------------------------------------


class Crop(NamedTuple):
    """One training crop."""

    inputs: Array  # (7, S, S), the network's input
    target: Array  # (S, S), the part of each pixel that the target covers
    outside: float  # area of the target that lies outside the crop, in pixels of the crop
    wants_prediction: bool  # the network is to put its own mask into the last channel, which is empty


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
    prompting: SegmenterPrompting,
    random: np.random.Generator,
) -> Crop:
    """Make one training crop of an object and its picture (H, W, 3) uint8, with an edge of ``size`` pixels."""
    turn = _turn(random)
    hull = target.hull @ np.linalg.inv(turn).T
    tight = (*hull.min(axis=0).tolist(), *hull.max(axis=0).tolist())
    box: Box | None = _jittered(tight, prompting, random)
    first = None
    if mode == "points" or (mode == "previous" and random.random() < 0.3):
        first = _inside(target, random)
        box = None
    view = _zoom(turn, tight if box is None else box, first if mode == "points" else None, size, random)
    colours = recoloured(view.sample(pixels, 0, 0, cv2.BORDER_REPLICATE), random)
    covered = view.sample(target.mask, target.x, target.y, cv2.BORDER_CONSTANT) / np.float32(255)
    shown_box = None
    if box is not None:
        x1, y1, x2, y2 = ((np.array(box).reshape(2, 2) - view.origin) / view.scale).ravel().tolist()
        shown_box = (x1, y1, x2, y2)
    points = np.zeros((0, 2)) if first is None else view.to_window(first[None])
    labels = [1] * len(points)
    if mode == "box_points" or (mode == "points" and random.random() < 0.3):
        more, more_labels = _points(covered, random)
        points, labels = np.concatenate([points, more]), labels + more_labels
    predicted = mode == "previous" and random.random() < prompting.predicted
    previous = corrupted(covered, random) if mode == "previous" and not predicted else None
    inputs = network_input(colours, shown_box, points, labels, previous)
    whole = np.count_nonzero(target.mask) / (view.scale**2 * abs(float(np.linalg.det(turn))))
    return Crop(inputs, covered, max(0.0, whole - float(covered.sum())), predicted)


def _turn(random: np.random.Generator) -> Matrix:
    """Draw a mirroring, a turn and a stretch."""
    angle = math.pi / 2 * int(random.integers(4))
    if random.random() < 0.35:
        angle += math.radians(random.uniform(-30, 30))
    stretch = math.exp(random.uniform(-0.18, 0.18))
    mirror = 1.0 if random.random() < 0.5 else -1.0
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror * stretch, 1 / stretch])


def _jittered(box: Box, prompting: SegmenterPrompting, random: np.random.Generator) -> Box:
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
    index = int(random.integers(len(rows)))
    return np.array([columns[index] + target.x, rows[index] + target.y]) + random.random(2)


def _zoom(turn: Matrix, around: Box, point: Matrix | None, size: int, random: np.random.Generator) -> _View:
    """Choose the window: around the box as when cutting, around a point at many scales."""
    longest = max(around[2] - around[0], around[3] - around[1])
    centre = np.array([(around[0] + around[2]) / 2, (around[1] + around[3]) / 2])
    if point is not None:
        centre = np.linalg.inv(turn) @ point
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
            index = int(random.integers(len(rows)))
            places.append((columns[index] + 0.5, rows[index] + 0.5))
            labels.append(label)
    return np.array(places, dtype=np.float64).reshape(-1, 2), labels


# -- batches --------------------------------------------------------------------------------------


class SegmenterBatches(StepBatches[Batch]):
    """The batch of each step; the stores are in the order of ``config.data``."""

    def __init__(self, config: SegmenterConfig, stores: Sequence[Store]) -> None:
        super().__init__(config.steps, config.num_workers)
        self._config, self._stores = config, stores
        self._shares = shares(config.data)

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)  # many small pictures: threads cost more than they bring
        phase = self._config.phases[self._config.phase_index(step)]
        prompts = phase.prompts or self._config.prompts
        weights = [getattr(prompts, mode) for mode in _MODES]
        parts = [weight / sum(weights) for weight in weights]
        crops = []
        for index in range(self._config.batch_size):
            random = np.random.default_rng([self._config.seed, step, index])
            store = self._stores[int(random.choice(len(self._stores), p=self._shares))]
            mode = _MODES[int(random.choice(len(_MODES), p=parts))]
            target = store.draw(random)
            picture = store.pictures[target.picture]
            crops.append(training_crop(target, picture, phase.size, mode, prompts, random))
        inputs, targets, outside, wants = zip(*crops, strict=True)
        pixels = (torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets)))
        return *pixels, torch.tensor(outside, dtype=torch.float32), torch.tensor(wants)
