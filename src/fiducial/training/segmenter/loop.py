"""The training loop of the nano segmenter."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import pick_device
from fiducial.errors import InputError
from fiducial.results import write_atomically
from fiducial.segmenters.configs import NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_network import NanoNetwork, Shape, load_network, save_network
from fiducial.training import losses as mask_losses
from fiducial.training.configs import as_plain
from fiducial.training.optimising import follow, make_optimiser
from fiducial.training.runs import TrainingRun
from fiducial.training.schedules import warm_cosine
from fiducial.training.segmenter.batches import Batch, Batches
from fiducial.training.segmenter.config import Losses, SegmenterConfig
from fiducial.training.segmenter.objects import Store, read_store
from fiducial.training.segmenter.scoring import Target, score, targets_of, true_box

WEIGHTS = "nano-segmenter.safetensors"
"""What a run leaves: the averaged weights with the best held-out score, in half precision."""
_FREE = ("threads", "workers", "save_every")


def train(
    config: SegmenterConfig,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    quiet: bool = False,
) -> Path:
    """Train, or go on where the run in the folder stopped.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.
        out: the run's folder; see :class:`fiducial.training.runs.TrainingRun`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Returns:
        The file of the best weights, which ``NanoSegmenter.from_pretrained`` loads.

    Raises:
        InputError: the data cannot be read, or the folder holds another run.
    """
    run = TrainingRun(out, as_plain(config), command, free=_FREE, quiet=quiet)
    if config.threads:
        torch.set_num_threads(config.threads)
    stores = [read_store(source, Path(data), config.least) for source in config.data]
    for store in stores:
        run.log(0, source=store.name, pictures=len(store.pictures), objects=len(store.objects))
    _Training(config, run, stores, pick_device(device)).finish()
    return run.folder / WEIGHTS


def rate_at(config: SegmenterConfig, step: int) -> float:
    """Return the learning rate of a step: a straight rise, then half a cosine down to a hundredth."""
    return warm_cosine(step, config.steps, config.rate, config.warm_up)


def losses(logits: Tensor, quality: Tensor, targets: Tensor, outside: Tensor, weights: Losses) -> dict[str, Tensor]:
    """Compute the losses of a batch.

    Args:
        logits: (B, S, S) of the mask.
        quality: (B,) logits of the expected IoU.
        targets: (B, S, S) in 0..1.
        outside: (B,) area of each target outside its crop, in pixels.
        weights: how much each counts.

    Returns:
        ``"cross_entropy"``, ``"dice"``, ``"quality"`` and their weighted sum ``"all"``.
    """
    edges = _edges(targets)
    importance = 1 + weights.edge * edges
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, importance) / importance.mean()
    wrong = (torch.sigmoid(quality) - true_iou(logits, targets, outside)).square()
    found = {"cross_entropy": entropy, "dice": mask_losses.dice(logits, targets).mean(), "quality": wrong.mean()}
    total = weights.cross_entropy * entropy + weights.dice * found["dice"] + weights.quality * found["quality"]
    return {**found, "all": total}


def true_iou(logits: Tensor, targets: Tensor, outside: Tensor) -> Tensor:
    """Return the IoU (B,) of each mask with its whole target, what lies outside the crop counted as missed."""
    mask, truth = logits.detach() > 0, targets > 0.5
    both, either = (mask & truth).sum((1, 2)), (mask | truth).sum((1, 2))
    return both / (either + outside).clamp(min=1)


def _edges(targets: Tensor) -> Tensor:
    """Mark (B, S, S) the pixels within two of the target's edge."""
    grown = functional.max_pool2d(targets[:, None], 5, stride=1, padding=2)
    shrunk = -functional.max_pool2d(-targets[:, None], 5, stride=1, padding=2)
    return (grown - shrunk)[:, 0]


class _Training:
    def __init__(
        self, config: SegmenterConfig, run: TrainingRun, stores: Sequence[Store], device: torch.device
    ) -> None:
        self._config, self._run, self._stores, self._device = config, run, stores, device
        torch.manual_seed(config.seed)
        network = _beginning(config)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._optimiser = make_optimiser(config.optimiser, self._network.parameters(), config.rate, config.decay)
        self._targets: dict[str, list[Target]] = {
            store.name: targets_of(store.held_out, least=config.least, limit=config.score_limit, seed=config.seed)
            for store in stores
            if store.source.scored
        }

    def finish(self) -> None:
        modules = {"network": self._network, "average": self._average}
        notes = self._run.resume(modules, self._optimiser)
        step, best = int(notes["step"]), float(notes.get("best", -1.0))
        sums: dict[str, float] = {}
        for batch in Batches(self._config, self._stores).loader(step):
            found = self._step(step, batch)
            step += 1
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value
            last = step == self._config.steps
            if step % self._config.score_every == 0 or last:
                count = step % self._config.score_every or self._config.score_every
                best = self._look(step, {name: value / count for name, value in sums.items()}, best)
                sums = {}
            if step % self._config.save_every == 0 or last:
                self._run.save(step, modules, self._optimiser, best=best)

    def _step(self, step: int, batch: Batch) -> dict[str, float]:
        inputs, targets, outside, own = (part.to(self._device) for part in batch)
        if own.any():
            self._show_own(inputs, own)
        for group in self._optimiser.param_groups:
            group["lr"] = rate_at(self._config, step)
        self._network.train()
        logits, quality = self._network(inputs.contiguous(memory_format=torch.channels_last))
        found = losses(logits, quality, targets, outside, self._config.losses)
        self._optimiser.zero_grad(set_to_none=True)
        found["all"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimiser.step()
        follow(self._average, self._network, step, self._config.average)
        return {name: float(value.detach()) for name, value in found.items()}

    def _show_own(self, inputs: Tensor, own: Tensor) -> None:
        """Put the average's masks into the channel of earlier masks, where a crop waits for one."""
        with torch.no_grad():
            logits, _ = self._average.eval()(inputs[own].contiguous(memory_format=torch.channels_last))
            inputs[own, -1] = 2 * torch.sigmoid(logits) - 1

    def _look(self, step: int, means: dict[str, float], best: float) -> float:
        """Score the average on the held-out part and keep it when it is the best so far."""
        segmenter = NanoSegmenter(self._average, NanoConfig(passes=1))
        scores = {name: score(segmenter, targets, true_box).mean for name, targets in self._targets.items() if targets}
        reached = sum(scores.values()) / max(1, len(scores))
        self._run.log(step, **means, rate=rate_at(self._config, step - 1), **scores, held_out=reached)
        if reached < best:
            return best
        notes = {"step": step, "held_out": scores, "seed": self._config.seed}
        write_atomically(self._run.folder / WEIGHTS, save_network(self._average, **notes))
        return reached


def _beginning(config: SegmenterConfig) -> NanoNetwork:
    """Return the network to begin with.

    Raises:
        InputError: the weights to begin with are missing, or of another make-up.
    """
    made = Shape(config.network.widths, config.network.encoder, config.network.decoder)
    if not config.start:
        return NanoNetwork(made)
    network, _ = load_network(config.start)
    if network.shape != made:
        raise InputError(f"start: {config.start} holds a network of {network.shape}, the configuration one of {made}")
    return network
