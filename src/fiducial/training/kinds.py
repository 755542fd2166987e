"""Training of the judge of kinds: pictures in, one logit per kind out, each kind against everything else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fiducial.files import write_atomically
from fiducial.prompters.kinds.judge import EMBEDDED, Kind, network_input
from fiducial.prompters.kinds.network import KindNetwork, Shape, load_kinds, save_kinds
from fiducial.training.exporting import export
from fiducial.training.kinds_configs import KindsConfig, KindSource
from fiducial.training.kinds_data import Batch, KindBatches, Pixels, read_store
from fiducial.training.sources import subset
from fiducial.training.trainer import Task, Trainer

WEIGHTS = f"{EMBEDDED}.safetensors"
"""What a run leaves: the averaged weights with the best validation score, with thresholds, in half precision."""
REPORT = "kinds.json"
"""And what they are worth on the test part."""
_AT_ONCE = 64
Logits = NDArray[np.float32]


class KindsTask(Task[Batch]):
    """Scored by the AUROC of each kind's logit against all other validation pictures."""

    max_grad_norm = 5.0
    score_name = "auroc"

    def __init__(self, config: KindsConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio, self.ema_decay = config.warmup_ratio, config.ema_decay
        self._config, self._data = config, Path(data)

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Read the pictures and make the network."""
        config, self._trainer = self._config, trainer
        self._stores = [read_store(source, self._data, config.seed) for source in config.data]
        for one in self._stores:
            figures = {"train": len(one.train), "validation": len(one.validation), "test": len(one.test)}
            trainer.run.log(0, source=one.source.title, **figures)
        network = KindNetwork(Shape(config.widths, len(config.kinds)))
        return network.to(trainer.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batches(self, start: int) -> Iterable[Sequence[Batch]]:
        """Yield batches of varied pictures."""
        return KindBatches(self._config, self._stores).parts(start)

    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the cross-entropy of each kind against the others, summed over kinds."""
        pictures, truths = (part.to(self._trainer.device) for part in batch)
        (logits,) = network(pictures.contiguous(memory_format=torch.channels_last))
        return {"all": functional.binary_cross_entropy_with_logits(logits, truths) * truths.shape[1]}

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the AUROC by kind."""
        shown = subset([one for _, one in self._looks("validation")], self._config.eval_limit, self._config.seed)
        logits, kinds = self._judged(network, [pixels for pixels, _ in shown]), np.array([kind for _, kind in shown])
        found = {}
        for place, kind in enumerate(self._config.kinds):
            own = kinds == kind
            if own.any() and not own.all():
                found[kind] = auroc(logits[own, place], logits[~own, place])
        return found

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the weights in half precision, without thresholds yet."""
        self._write(network, [Kind(name) for name in self._config.kinds], step=step)

    def finish(self, network: nn.Module) -> Path:
        """Give the best weights thresholds by the validation part, report on the test part, and make the graph."""
        path = self._trainer.run.folder / WEIGHTS
        best, _ = load_kinds(path)  # as they are kept, in half precision
        best = best.to(self._trainer.device).eval()
        shown = [one for _, one in self._looks("validation")]
        logits, truth = self._judged(best, [pixels for pixels, _ in shown]), [kind for _, kind in shown]
        kinds = thresholds(self._config.kinds, logits, truth, self._config.keep, self._config.refuse)
        self._write(best, kinds, step=self._trainer.best.get("step"), seed=self._config.seed)
        looks = self._looks("test")
        titles, truth = [source.title for source, _ in looks], [kind for _, (_, kind) in looks]
        found = report(kinds, self._judged(best, [pixels for _, (pixels, _) in looks]), truth, titles)
        write_atomically(self._trainer.run.folder / REPORT, json.dumps(found, indent=1))
        self._trainer.run.log(self._trainer.step, **{kind: one["refused"] for kind, one in found.items()})
        export(path)
        return path

    def _looks(self, part: str) -> list[tuple[KindSource, tuple[Pixels, str]]]:
        """List a part's pictures with their kinds; those of which channels count alone, as each of them too."""
        found = []
        for store in self._stores:
            source = store.source
            for pixels in getattr(store, part):
                found.append((source, (pixels, source.kind)))
                for channel, kind in enumerate(source.channels):
                    alike = np.abs(pixels[..., channel].astype(int) - pixels[..., 1]).mean() < 2
                    alone = np.repeat(pixels[..., channel : channel + 1], 3, axis=2)
                    found.append((source, (alone, source.channels[1] if alike else kind)))
        return found

    def _judged(self, network: nn.Module, pictures: Sequence[Pixels]) -> Logits:
        """Return (N, K) logits of pictures as they are."""
        found = []
        with torch.no_grad():
            for start in range(0, len(pictures), _AT_ONCE):
                inputs = torch.from_numpy(network_input(pictures[start : start + _AT_ONCE])).to(self._trainer.device)
                (logits,) = network(inputs.contiguous(memory_format=torch.channels_last))
                found.append(logits.float().cpu().numpy())
        return np.concatenate(found) if found else np.zeros((0, len(self._config.kinds)), np.float32)

    def _write(self, network: nn.Module, kinds: Sequence[Kind], **notes: Any) -> None:
        assert isinstance(network, KindNetwork)
        write_atomically(self._trainer.run.folder / WEIGHTS, save_kinds(network, kinds, **notes))


def auroc(own: NDArray[Any], others: NDArray[Any]) -> float:
    """Return how often a picture of the kind has a higher logit than another picture; ties count half.

    Example:
        >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    others = np.sort(others)
    below = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
    return float(below.mean() / (2 * len(others)))


def thresholds(
    names: Sequence[str], logits: Logits, truth: Sequence[str], kept: float, refused: float
) -> tuple[Kind, ...]:
    """Set each kind's threshold by pictures that were not trained on.

    It is at most as high as keeps the part ``kept`` of its own pictures at or above it; where a lower one refuses the
    part ``refused`` of the others already, it lies in the middle between the two.

    Args:
        names: the kinds, in the order of the logits.
        logits: (N, K).
        truth: the kind of each picture.
        kept: in 0..1.
        refused: in 0..1.
    """
    every, kinds = np.array(truth), []
    for place, name in enumerate(names):
        own, others = np.sort(logits[every == name, place]), np.sort(logits[every != name, place])
        if not len(own) or not len(others):
            kinds.append(Kind(name))
            continue
        highest = own[len(own) - math.ceil(round(kept * len(own), 6))]
        enough = others[min(len(others) - 1, math.ceil(round(refused * len(others), 6)))]
        kinds.append(Kind(name, float(min(highest, (highest + enough) / 2))))
    return tuple(kinds)


def report(
    kinds: Sequence[Kind], logits: Logits, truth: Sequence[str], titles: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Say for each kind what its threshold keeps of its own pictures and refuses of the others, and which are worst.

    Args:
        kinds: with their thresholds.
        logits: (N, K) of test pictures.
        truth: the kind of each.
        titles: the source of each.

    Returns:
        By kind: ``own`` and ``strangers`` (numbers), ``kept`` and ``refused`` (parts, 0..1), ``auroc``, and by source
        the part of its pictures that was let through: ``own_by_source`` and ``let_through`` (strangers, worst first).
    """
    every, where, found = np.array(truth), np.array(titles), {}
    for place, kind in enumerate(kinds):
        own, passed = every == kind.name, logits[:, place] >= kind.threshold
        if not own.any() or own.all():
            continue

        def by_source(some: NDArray[np.bool_], passed: NDArray[np.bool_] = passed) -> dict[str, list[float]]:
            parts = {str(one): passed[some & (where == one)] for one in dict.fromkeys(where[some])}
            return {name: [round(float(part.mean()), 4), len(part)] for name, part in parts.items()}

        strangers = sorted(by_source(~own).items(), key=lambda one: -one[1][0])
        found[kind.name] = {
            "threshold": round(kind.threshold, 3),
            "own": int(own.sum()),
            "strangers": int((~own).sum()),
            "kept": round(float(passed[own].mean()), 4),
            "refused": round(float(1 - passed[~own].mean()), 4),
            "auroc": round(auroc(logits[own, place], logits[~own, place]), 5),
            "own_by_source": by_source(own),
            "let_through": {name: part for name, part in strangers if part[0]},
        }
    return found
