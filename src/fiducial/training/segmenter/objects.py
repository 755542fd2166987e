"""The objects that a segmenter is trained and scored on: one mask each, with the picture it lies in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out, longest_edge
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.training.segmenter.config import Source
from fiducial.training.sources import hull_of, instances_of, spelled_out


@dataclass(frozen=True, slots=True, eq=False)
class TrainingObject:
    """One target.

    Args:
        picture: its picture's number in the store.
        mask: (h, w) uint8, 0 or 255, the piece of the picture inside the target's box.
        x: left edge of the piece in pixels of the picture.
        y: top edge of the piece in pixels of the picture.
        hull: (N, 2) corners x, y of the target's convex hull, in pixels of the picture.
        inner: (M, 2) some places x, y well inside the target.
    """

    picture: int
    mask: NDArray[np.uint8]
    x: int
    y: int
    hull: NDArray[np.float64]
    inner: NDArray[np.float64]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))


@dataclass(slots=True)
class Store:
    """Everything of one source: pictures, and the objects in them by picture.

    Args:
        source: where it comes from.
        pictures: (H, W, 3) uint8 each.
        objects: the objects to train on.
        held_out: samples that are never trained on, each with its whole annotation.
    """

    source: Source
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    objects: list[TrainingObject] = field(default_factory=list)
    held_out: list[Sample] = field(default_factory=list)
    by_picture: list[list[int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The source's name for reports."""
        return self.source.name or self.source.dataset.partition("?")[0].rstrip("/").rpartition("/")[2]

    def draw(self, random: np.random.Generator) -> TrainingObject:
        """Draw an object: half of the time any, half of the time any of any picture, so that crowds do not rule."""
        if random.random() < 0.5:
            return self.objects[int(random.integers(len(self.objects)))]
        of_picture = self.by_picture[int(random.integers(len(self.by_picture)))]
        return self.objects[of_picture[int(random.integers(len(of_picture)))]]


def read_store(source: Source, data: Path, least: float) -> Store:
    """Read a dataset into memory.

    Args:
        source: the dataset, with its held-out part.
        data: the folder that ``DATA/`` stands for.
        least: leave out targets with a longest edge below so many pixels.

    Raises:
        InputError: the dataset cannot be opened, has no masks, or nothing is left to train on.
    """
    store = Store(source)
    for sample in open_dataset(spelled_out(source.dataset, data)):
        if is_held_out(group_of(sample, source.group), source.held_out):
            store.held_out.append(sample)
            continue
        masks = [mask for mask in instances_of(sample) if longest_edge(mask) >= least]
        if masks:
            store.by_picture.append(list(range(len(store.objects), len(store.objects) + len(masks))))
            store.objects += [training_object(mask, len(store.pictures)) for mask in masks]
            store.pictures.append(sample.image().pixels)
    if not store.objects:
        raise InputError(f"{source.dataset}: no target of at least {least:g} pixels is left to train on")
    return store


def training_object(mask: Mask, picture: int) -> TrainingObject:
    """Prepare a mask that is not empty."""
    x1, y1, x2, y2 = (int(edge) for edge in mask.box or (0, 0, 1, 1))
    piece = mask.to_dense()[y1:y2, x1:x2].astype(np.uint8) * 255
    hull = hull_of(mask)
    depth = cv2.distanceTransform(np.pad(piece, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = np.argwhere(depth >= 0.6 * depth.max())[:, ::-1]
    corner = np.array([x1, y1], dtype=np.float64)
    inner = deep[:: max(1, len(deep) // 64)] + corner + 0.5
    return TrainingObject(picture, piece, x1, y1, hull, inner)
