"""Batches: what step number n sees depends on the seed and n alone, so a run can be gone on with anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fiducial.training.segmenter.config import Mode, SegmenterConfig
from fiducial.training.segmenter.objects import Store
from fiducial.training.segmenter.views import training_crop

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs (B, 7, S, S), targets (B, S, S) in 0..1, areas outside the crop (B,) in pixels of the crop, and which (B,)
crops wait for a mask of the network's own."""

_MODES: tuple[Mode, ...] = get_args(Mode)


class Batches(Dataset[Batch]):
    """The batch of each step.

    Args:
        config: of the run.
        stores: its data, in the order of ``config.data``.
    """

    def __init__(self, config: SegmenterConfig, stores: Sequence[Store]) -> None:
        self._config = config
        self._stores = stores
        self._shares = _parts([source.share for source in config.data])

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)  # many small pictures: threads cost more than they bring
        phase = self._config.phase_at(step)
        prompts = phase.prompts or self._config.prompts
        parts = _parts([getattr(prompts, mode) for mode in _MODES])
        crops = []
        for number in range(self._config.batch):
            random = np.random.default_rng([self._config.seed, step, number])
            store = self._stores[int(random.choice(len(self._stores), p=self._shares))]
            mode = _MODES[int(random.choice(len(_MODES), p=parts))]
            target = store.draw(random)
            picture = store.pictures[target.picture]
            crops.append(training_crop(target, picture, phase.size, mode, prompts, random))
        return (
            torch.from_numpy(np.stack([crop.inputs for crop in crops])),
            torch.from_numpy(np.stack([crop.target for crop in crops])),
            torch.tensor([crop.outside for crop in crops], dtype=torch.float32),
            torch.tensor([crop.own for crop in crops]),
        )

    def loader(self, start: int) -> DataLoader[Batch]:
        """Return the batches from a step on, prepared ahead of time."""
        return DataLoader(self, batch_size=None, sampler=range(start, len(self)), num_workers=self._config.workers)


def _parts(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]
