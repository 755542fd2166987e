"""Training of the judge of sizes: which of the masks around one point is meant.

The segmenter is frozen, so every point is cut once, before the first step, and only the figures of its masks are kept.
Half of the points lie deepest in their object, the others anywhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor, nn

from fiducial.checkpoints import network_file
from fiducial.datasets import open_dataset
from fiducial.datasets.sample import Sample
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.geometry import Mask
from fiducial.segmenters.configs import JUDGE, NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_sizes import FIGURES
from fiducial.training.prompting import draw_point
from fiducial.training.sizes_configs import SizesConfig, SizesSource
from fiducial.training.sizes_model import SizesNetwork, listwise_loss
from fiducial.training.sources import expand_data_folder, instances_of
from fiducial.training.trainer import Task, Trainer

WEIGHTS = f"{JUDGE}.safetensors"
"""What a run leaves: the judge with the best score on the validation part, in half precision."""
POINTS = "points.safetensors"
"""The figures of all points, kept so that a run that was stopped need not cut them again."""
_LOG_EVERY = 100
_FLAT = 1e-3
Points = dict[str, NDArray[np.float32]]
"""``figures`` (N, S, F); ``ious`` (N, S), -1 where a point has fewer sizes; ``source`` and ``validation`` (N,)."""


class SizesTask(Task[Tensor]):
    """Figures of all sizes in, the size to take out; scored by the mean IoU of what it takes. Batches are indices."""

    score_name = "iou"

    def __init__(self, config: SizesConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio = config.warmup_ratio
        self._config, self._data = config, Path(data)

    def build(self, trainer: Trainer[Tensor]) -> nn.Module:
        """Cut the points, and make the network."""
        config, self._trainer = self._config, trainer
        points = self._points()
        there = points["ious"] >= 0
        self._learned = np.flatnonzero(points["validation"] == 0)
        self._chosen_by = np.flatnonzero(points["validation"] == 1)
        self._source = points["source"].astype(int)
        counts = np.bincount(self._source[self._learned], minlength=len(config.data))
        drawn = np.array([source.share for source in config.data])[self._source[self._learned]]
        drawn = drawn / counts[self._source[self._learned]]
        self._chances = drawn / drawn.sum()
        self._figures, self._ious, self._there = (
            torch.from_numpy(one).to(trainer.device) for one in (points["figures"], points["ious"], there)
        )
        known = torch.from_numpy(points["figures"][self._learned][there[self._learned]])
        made = config.network
        torch.manual_seed(config.seed)
        return SizesNetwork(known.mean(0), known.std(0) + _FLAT, made.members, made.width, made.dropout, made.rule).to(
            trainer.device
        )

    def batches(self, start: int) -> Iterator[tuple[Tensor]]:
        """Yield indices drawn anew for every step, each source as often as its share says."""
        for step in range(start, self.steps):
            random = np.random.default_rng([self._config.seed, step])
            yield (torch.from_numpy(random.choice(self._learned, self._config.batch_size, p=self._chances)),)

    def loss(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        """Compute the loss of a list of sizes per point."""
        there = self._there[batch]
        return {"all": listwise_loss(network(self._figures[batch], there), self._ious[batch].clamp(min=0), there)}

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return by source the mean IoU of the masks that are taken around the points of the validation part."""
        if not len(self._chosen_by):
            return {}
        which = torch.from_numpy(self._chosen_by)
        taken = network(self._figures[which], self._there[which]).mean(0).argmax(1, keepdim=True)
        ious = self._ious[which].gather(1, taken)[:, 0].cpu().numpy()
        source = self._source[self._chosen_by]
        titles = {index: one.title for index, one in enumerate(self._config.data)}
        return {titles[index]: float(ious[source == index].mean()) for index in sorted(set(source.tolist()))}

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the judge."""
        notes = {"step": step, "validation": dict(scores), "seed": self._config.seed}
        write_atomically(self._trainer.run.folder / WEIGHTS, network_file(network.state_dict(), {"notes": notes}))

    def finish(self, network: nn.Module) -> Path:
        """Return the file of the best judge."""
        return self._trainer.run.folder / WEIGHTS

    def _points(self) -> Points:
        run = self._trainer.run
        path = run.folder / POINTS
        if path.exists():
            return _read_points(path)
        segmenter = NanoSegmenter.from_config(NanoConfig(model=self._config.segmenter, sizes=""))
        rows: list[tuple[NDArray[np.float32], NDArray[np.float32], int, bool]] = []
        for index, source in enumerate(self._config.data):
            for sample, mask, deepest, random in self._drawn(source, index):
                if len(rows) % _LOG_EVERY == 0:
                    run.log(0, source=source.title, points=len(rows))
                point = mask.inner_point() if deepest else draw_point(mask, random)
                assert point is not None  # the mask is not empty
                sizes = segmenter.sizes_around(sample.image(), point)
                ious = np.array([one.iou(mask) for one in sizes.masks], np.float32)
                validation = is_held_out(group_of(sample, source.group), self._config.validation, "validation")
                rows.append((sizes.figures(), ious, index, validation))
        points = stacked(rows)
        run.open()
        write_atomically(path, save(points))
        return points

    def _drawn(self, source: SizesSource, index: int) -> Iterator[tuple[Sample, Mask, bool, np.random.Generator]]:
        """Yield objects to point at, picture by picture, and whether the point is the deepest one."""
        random = np.random.default_rng([self._config.seed, index])
        found = [
            (sample, mask)
            for sample in open_dataset(expand_data_folder(source.dataset, self._data))
            if not is_held_out(group_of(sample, source.group), source.held_out)
            for mask in instances_of(sample, self._config.min_size)
        ]
        if not found:
            raise InputError(f"{source.dataset}: no target of at least {self._config.min_size:g} pixels is left")
        whole, rest = divmod(source.points, len(found))
        more = set(random.permutation(len(found))[:rest].tolist())
        for number, (sample, mask) in enumerate(found):
            for _ in range(whole + (number in more)):
                yield sample, mask, bool(random.random() < 0.5), random


def stacked(rows: list[tuple[NDArray[np.float32], NDArray[np.float32], int, bool]]) -> Points:
    """Put points together: (sizes, F) figures, (sizes,) true IoUs, the source's index, whether it is for validation."""
    count, most = len(rows), max(len(ious) for _, ious, _, _ in rows)
    figures = np.zeros((count, most, len(FIGURES)), np.float32)
    truth = np.full((count, most), -1, np.float32)
    for row, (told, ious, _, _) in enumerate(rows):
        figures[row, : len(ious)], truth[row, : len(ious)] = told, ious
    source, validation = (np.array([one[column] for one in rows], np.float32) for column in (2, 3))
    return {"figures": figures, "ious": truth, "source": source, "validation": validation}


def _read_points(path: Path) -> Points:
    try:
        points: Points = load_file(path)
        if points["figures"].shape != (*points["ious"].shape, len(FIGURES)):
            raise InputError(f"{path}: holds figures of shape {points['figures'].shape}: delete it to cut again")
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: holds no points ({error}): delete it to cut again") from None
    return points
