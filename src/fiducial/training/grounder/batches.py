"""Batches: what step number n sees depends on the seed and n alone, so a run can be gone on with anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fiducial.training.grounder.config import GrounderConfig, Source
from fiducial.training.grounder.lexicon import Lexicon
from fiducial.training.grounder.pictures import IGNORED, Store, Thing
from fiducial.training.grounder.targets import Seen, Targets, targets_of
from fiducial.training.grounder.views import View, draw_view, recolour

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Pixels (B, S, S, 3) uint8, phrase vectors (B, N, D), and of the targets heat (B, N, h, w), boxes (B, 4, h, w) and
weight (B, h, w)."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One training crop.

    Args:
        pixels: (S, S, 3) uint8.
        phrases: (N, D) one phrase vector per name.
        targets: what is to be said of it.
    """

    pixels: NDArray[np.uint8]
    phrases: NDArray[np.float32]
    targets: Targets


class Batches(Dataset[Batch]):
    """The batch of each step.

    Args:
        config: of the run.
        stores: its data, in the order of ``config.data``.
        lexicon: the names that are learned.
    """

    def __init__(self, config: GrounderConfig, stores: Sequence[Store], lexicon: Lexicon) -> None:
        self._config, self._stores, self._lexicon = config, stores, lexicon
        shares = np.array([source.share for source in config.data])
        self._shares = shares / shares.sum()

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)  # many small pictures: threads cost more than they bring
        size = self._config.size_at(step)
        crops = [
            self.crop(np.random.default_rng([self._config.seed, step, n]), size) for n in range(self._config.batch)
        ]
        return (
            torch.from_numpy(np.stack([crop.pixels for crop in crops])),
            torch.from_numpy(np.stack([crop.phrases for crop in crops])),
            torch.from_numpy(np.stack([crop.targets.heat for crop in crops])),
            torch.from_numpy(np.stack([crop.targets.boxes for crop in crops])),
            torch.from_numpy(np.stack([crop.targets.weight for crop in crops])),
        )

    def crop(self, random: np.random.Generator, size: int) -> Crop:
        """Draw one crop of an edge of so many pixels."""
        store = self._stores[int(random.choice(len(self._stores), p=self._shares))]
        source: Source = store.source
        picture, thing = store.draw(bool(random.random() < self._config.balanced), random)
        pixels = store.pictures[picture]
        view = draw_view(pixels.shape, thing, size, source.scale, source.turn, random)
        counted = np.array([name in store.names for name in self._lexicon.names])
        if random.random() < self._config.elsewhere:
            counted[:] = True
        targets = targets_of(self._seen(store.things[picture], view), counted, size)
        colours = recolour(view.pixels(pixels), random)
        return Crop(colours, self._lexicon.drawn_vectors(random), targets)

    def loader(self, start: int) -> DataLoader[Batch]:
        """Return the batches from a step on, prepared ahead of time."""
        return DataLoader(self, batch_size=None, sampler=range(start, len(self)), num_workers=self._config.workers)

    def _seen(self, things: Sequence[Thing], view: View) -> list[Seen]:
        seen = []
        for thing in things:
            box, part = view.shown(thing.hull)
            if box is None:
                continue
            longest = max(box[2] - box[0], box[3] - box[1])
            learned = thing.name != IGNORED and part >= self._config.kept and longest >= self._config.least
            name = None if thing.name == IGNORED else self._lexicon.names.index(thing.name)
            seen.append(Seen(name, box, learned))
        return seen
