"""Training of the nano grounder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.files import write_atomically
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.network import (
    GrounderNetwork,
    Shape,
    Taught,
    boxes_of,
    load_taught,
    network_input,
    save_taught,
)
from fiducial.prompters.grounder.weights import Name
from fiducial.training.configs import GrounderConfig, GrounderLosses
from fiducial.training.exporting import export
from fiducial.training.grounder_data import Batch, GrounderBatches, Lexicon, read_store
from fiducial.training.grounder_scoring import calibrated, findings_of, mean_precision
from fiducial.training.trainer import Task, Trainer, initial_network

WEIGHTS = "nano-grounder.safetensors"
"""What a run leaves: the averaged weights with the best held-out score, calibrated, in half precision."""


class GrounderTask(Task[Batch]):
    """Crops and phrase vectors in, heat maps and boxes out; scored by the mean over names of AP50.

    The lexicon is by default the vocabulary and word table of the package; only names of which the data shows something
    are learned.
    """

    max_grad_norm = 5.0
    score_name = "ap50"

    def __init__(self, config: GrounderConfig, data: str | Path, lexicon: Lexicon | None = None) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio, self.ema_decay = config.warmup_ratio, config.ema_decay
        self._config, self._data, self._lexicon = config, Path(data), lexicon or Lexicon.shipped()
        self.digests = {"words": self._lexicon.digest}

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Read the data and make the network."""
        self._trainer = trainer
        self._stores = [read_store(source, self._data, self._lexicon.names) for source in self._config.data]
        for store in self._stores:
            figures = {"pictures": len(store.pictures), "held_out": len(store.held_out), "names": store.names}
            trainer.run.log(0, source=store.source.title, **figures)
        self._lexicon = self._lexicon.only([name for store in self._stores for name in store.names])
        made = self._config.network
        network = initial_network(
            self._config.initial_weights,
            GrounderNetwork(Shape(made.widths, made.blocks, made.pyramid, made.embedding, self._lexicon.size)),
            lambda weights: load_taught(weights)[0].network,
        )
        return network.to(trainer.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batches(self, start: int) -> Iterable[Sequence[Batch]]:
        """Yield batches of crops."""
        return GrounderBatches(self._config, self._stores, self._lexicon).parts(start)

    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch."""
        assert isinstance(network, GrounderNetwork)
        pixels, phrases, heat, boxes, weight = (part.to(self._trainer.device) for part in batch)
        places, sides = network(network_input(pixels))
        return losses(network.heat(places, phrases), sides, (heat, boxes, weight), self._config.losses)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean AP50 by source."""
        detector = NanoDetector(self._taught(network).running(), threshold=0.0, flips=False)
        found = {}
        for store in self._stores:
            if store.source.scored and store.held_out:
                count = min(len(store.held_out), self._config.eval_limit)  # evenly spread
                some = [store.held_out[index * len(store.held_out) // count] for index in range(count)]
                found[store.source.title] = mean_precision(findings_of(detector, some))
        return found

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the weights in half precision."""
        write_atomically(self._trainer.run.folder / WEIGHTS, save_taught(self._taught(network), **self._notes()))

    def finish(self, network: nn.Module) -> Path:
        """Give the best weights scores that say how likely a detection is right, thresholds, and a graph."""
        path = self._trainer.run.folder / WEIGHTS
        held_out = [picture for store in self._stores for picture in store.held_out]
        if held_out:
            taught, _ = load_taught(path)
            plain = replace(taught, names=tuple(Name(one.name, one.domain) for one in taught.names))
            running = plain.running(str(self._trainer.device))
            findings = findings_of(NanoDetector(running, threshold=0.0, flips=True), held_out)
            names, report = calibrated(plain.names, findings)
            self._trainer.run.log(self._trainer.step, calibration=report)
            notes = {**self._notes(), "seed": self._config.seed, "calibration": report}
            write_atomically(path, save_taught(replace(plain, names=names), **notes))
        export(path)
        return path

    def _notes(self) -> dict[str, Any]:
        best = self._trainer.best
        return {"step": best.get("step"), "mean": best.get("mean"), "ap50": best.get("scores")}

    def _taught(self, network: nn.Module) -> Taught:
        assert isinstance(network, GrounderNetwork)
        names = zip(self._lexicon.names, self._lexicon.domains, strict=True)
        return Taught(network, tuple(Name(*pair) for pair in names), self._lexicon.mean_vectors())


# -- losses ---------------------------------------------------------------------------------------


def losses(
    heat: Tensor, sides: Tensor, targets: tuple[Tensor, Tensor, Tensor], weights: GrounderLosses
) -> dict[str, Tensor]:
    """Compute the losses of a batch by name, and their weighted sum ``"all"``.

    Args:
        heat: (B, N, h, w) logits.
        sides: (B, 4, h, w) positive distances in pixels.
        targets: heat, boxes and weight of :class:`fiducial.training.grounder_crops.Targets`, stacked.
        weights: how much each counts.
    """
    true_heat, true_boxes, weight = targets
    places = weight > 0
    found = boxes_of(sides).permute(0, 2, 3, 1)[places]
    apart = 1 - giou(found, true_boxes.permute(0, 2, 3, 1)[places])
    boxes = (weight[places] * apart).sum() / weight.sum().clamp(min=1)
    parts = {"heat": focal(heat, true_heat), "boxes": boxes}
    if weights.names:
        parts["names"] = told_apart(heat, true_heat, weight)
    every = torch.stack([getattr(weights, name) * part for name, part in parts.items()])
    return {**parts, "all": every.sum()}


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng, 2018, eq. 1; alpha 2, beta 4), divided by the number of centres.

    Targets are 1 at centres, less about them, and below 0 where nothing is to be learned.
    """
    likely = torch.sigmoid(logits)
    centre = (targets >= 1).to(logits.dtype)
    learned = (targets >= 0).to(logits.dtype)
    hit = centre * (1 - likely).square() * functional.softplus(-logits)
    far = (learned - centre) * (1 - targets.clamp(min=0)).pow(4)
    wrong = far * likely.square() * functional.softplus(logits)
    return (hit + wrong).sum() / centre.sum().clamp(min=1)


def told_apart(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of the right name among those that a crop teaches, at the places of things; the mean over things.

    Args:
        logits: (B, N, h, w).
        targets: (B, N, h, w) as for :func:`focal`.
        weight: (B, h, w) of each place; 0 where there is no thing.
    """
    likeliest, name = targets.max(dim=1)
    places = (weight > 0) & (likeliest > 0)
    among = logits.masked_fill(targets < 0, -torch.inf).permute(0, 2, 3, 1)[places]
    apart = functional.cross_entropy(among, name[places], reduction="none")
    return (weight[places] * apart).sum() / weight.sum().clamp(min=1)


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU (M,) in -1..1 of (M, 4) boxes xyxy, row by row."""
    shared = (torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])).clamp(min=0).prod(1)
    union = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - shared
    around = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(1)
    return shared / union.clamp(min=1e-6) - (around - union) / around.clamp(min=1e-6)
