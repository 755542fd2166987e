"""One training loop for every system: seeded, logged, scored on held-out data, and exact when it is gone on with.

A system is a :class:`Task`. ``Trainer(task, out).fit()`` calls its hooks in this order::

    build(trainer)                       once: read data, make the network (torch is seeded by then)
    score(network)                       once, where ``score_first`` says so: how good the network is as it came
    batches(start)                       once: the batches of every step from ``start`` on
    for every step:
        loss(network, batch)             for each part of the step's batch; gradients are averaged over the parts
    every ``eval_every`` steps, and after the last:
        score(average)                   higher is better; the mean over its values decides
        save(average, step, scores)      when the mean is the best so far
    finish(average)                      once: what the run leaves

Between these the trainer sets the learning rate, clips gradients, moves the optimiser and the moving average of the
weights, writes ``log.jsonl`` and, every ``save_every`` steps, the checkpoint. A run that was stopped goes on from its
checkpoint and gives the same weights on the same machine as one that was not, as long as ``batches`` depends on the
seed and the step alone; torch's own generators are seeded anew at every step.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fiducial.checkpoints import pick_device
from fiducial.errors import InputError, ModelError
from fiducial.training.configs import RunConfig
from fiducial.training.optimisers import make_optimiser
from fiducial.training.runs import Progress, TrainingRun

Batch = TypeVar("Batch")
N = TypeVar("N", bound=nn.Module)


class Task(ABC, Generic[Batch]):
    """What is particular to one system; the module says when each hook is called.

    Attributes may be set in :meth:`build`: ``steps`` to do, and those between two evaluations, ``eval_every``, are not
    in every configuration.
    """

    warmup_ratio = 0.0
    """Part of all steps in which the learning rate rises."""
    ema_decay = 0.0
    """Of the moving average of the weights, which is what is scored and saved; 0: no average, the network itself."""
    max_grad_norm = math.inf
    """Norm to which the gradient is clipped."""
    score_name = "held_out"
    """What the log calls the mean score."""
    score_first = False
    """Whether the network is scored before the first step: see :attr:`Trainer.before`."""
    digests: Mapping[str, str] = MappingProxyType({})
    """What else than the configuration has to be the same for a run to go on, by name."""

    def __init__(self, config: RunConfig, steps: int = 0, eval_every: int = 0) -> None:
        self.config, self.steps, self.eval_every = config, steps, eval_every

    @abstractmethod
    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Return the network to train, on the trainer's device; what needs no gradient is not trained."""

    @abstractmethod
    def batches(self, start: int) -> Iterable[Sequence[Batch]]:
        """Yield for each step from ``start`` on the parts of its batch; one part is the rule."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return losses to report by name, and as ``"all"`` the one that is minimised."""

    @abstractmethod
    def score(self, network: nn.Module) -> dict[str, float]:
        """Return how good the network is on held-out data, such as by source; {} where there is none."""

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Keep the network, which is the best so far."""

    @abstractmethod
    def finish(self, network: nn.Module) -> Path:
        """Write what the run leaves, and return it; ``network`` is the last one, not the best."""

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser of the weights that are trained."""
        trained = (weight for weight in network.parameters() if weight.requires_grad)
        config = self.config
        return make_optimiser(config.optimiser, trained, config.learning_rate, config.weight_decay)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return warmup_cosine(step, self.steps, self.config.learning_rate, self.warmup_ratio)


class Trainer(Generic[Batch]):
    """Runs a :class:`Task`, or goes on where the run in the folder stopped.

    Args:
        task: what to train.
        out: the run's folder; see :class:`fiducial.training.runs.TrainingRun`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Raises:
        InputError: no such device, or the folder holds another run.
    """

    def __init__(
        self,
        task: Task[Batch],
        out: str | Path,
        *,
        device: str = "auto",
        command: Sequence[str] = (),
        quiet: bool = False,
    ) -> None:
        self.task = task
        self.device = pick_device(device)
        self.run = TrainingRun(out, task.config, command, digests=task.digests, quiet=quiet)
        self.step = 0  # steps done
        self.before: dict[str, float] = {}
        """Scores before the first step, where the task asks for them."""
        self.network: nn.Module
        self.average: nn.Module
        self._optimiser: torch.optim.Optimizer
        self.best: dict[str, Any] = {}
        """Of the network that was saved: ``"step"``, ``"mean"`` and ``"scores"``."""
        self._sums: dict[str, float] = {}
        self._summed = 0

    def fit(self) -> Path:
        """Train to the last step, and return what the task leaves.

        Raises:
            InputError: the checkpoint is of another network.
            ModelError: the loss is no longer a finite number.
        """
        task, config = self.task, self.task.config
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        torch.manual_seed(config.seed)
        with self.run.beginning():
            self.network = task.build(self)
        self.average = copy.deepcopy(self.network).requires_grad_(False) if task.ema_decay else self.network
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        self._optimiser = task.optimiser(self.network)
        self._resume()
        if task.score_first and not self.before:
            self.before = self._scores()
            self.run.log(0, **self.before, **{task.score_name: _mean(self.before)})
        self.run.say_start(self.step, task.steps)
        progress = Progress(self.run, self.step, task.steps)
        try:
            for parts in task.batches(self.step):
                self._train(parts, trained)
                progress(self.step, self._sums["all"] / self._summed)
                last = self.step == task.steps
                if last or self.step % task.eval_every == 0:
                    self._evaluate()
                if last or self.step % config.save_every == 0:
                    self._save()
        except KeyboardInterrupt:
            self.run.say(f"stopped after step {self.step}: the same command goes on from the last checkpoint")
            raise
        return task.finish(self.average)

    def _train(self, parts: Sequence[Batch], trained: Sequence[nn.Parameter]) -> None:
        """Do one step."""
        for group in self._optimiser.param_groups:
            group["lr"] = self.task.learning_rate(self.step) * group.get("rate_factor", 1.0)
        # Dropout and the like depend on seed and step alone.
        torch.manual_seed(int(np.random.SeedSequence([self.task.config.seed, self.step]).generate_state(1)[0]))
        self._optimiser.zero_grad(set_to_none=True)
        self.network.train()
        for part in parts:
            losses = self.task.loss(self.network, part)
            if not torch.isfinite(losses["all"]):
                raise ModelError(
                    f"step {self.step}: the loss is no longer a finite number: try a smaller learning_rate"
                )
            (losses["all"] / len(parts)).backward()  # type: ignore[no-untyped-call]
            for name, value in losses.items():
                self._sums[name] = self._sums.get(name, 0.0) + float(value.detach()) / len(parts)
        nn.utils.clip_grad_norm_(trained, self.task.max_grad_norm)
        self._optimiser.step()
        if self.task.ema_decay:
            update_ema(self.average, self.network, self.step, self.task.ema_decay)
        self.step += 1
        self._summed += 1

    def _evaluate(self) -> None:
        """Score the average on held-out data, and let the task keep it when it is the best so far."""
        means = {name: value / self._summed for name, value in self._sums.items()}
        self._sums, self._summed = {}, 0
        scores = self._scores()
        reached = _mean(scores)
        rate = self.task.learning_rate(self.step - 1)
        self.run.log(self.step, **means, learning_rate=rate, **scores, **{self.task.score_name: reached})
        if reached >= self.best.get("mean", -math.inf):
            self.best = {"step": self.step, "mean": reached, "scores": scores}
            self.task.save(self.average, self.step, scores)

    def _scores(self) -> dict[str, float]:
        with torch.no_grad():
            return self.task.score(self.average.eval())

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"network": self.network, **({"average": self.average} if self.task.ema_decay else {})}

    def _save(self) -> None:
        notes = {"step": self.step, "best": self.best, "before": self.before}
        self.run.save(self._modules, self._optimiser, **notes, sums=self._sums, summed=self._summed)

    def _resume(self) -> None:
        notes = self.run.resume(self._modules, self._optimiser)
        self.step, self.before = int(notes.get("step", 0)), notes.get("before") or {}
        best = notes.get("best", {})
        # Older checkpoints hold the mean alone, or the scores under the name of the mean.
        best = best if isinstance(best, dict) else {"mean": best}
        self.best = best | {"scores": best.get("scores", best.get(self.task.score_name))} if best else {}
        self._summed = int(notes.get("summed", 0))
        self._sums = notes.get("sums", {}) if self._summed else {}


class StepBatches(Dataset[Batch]):
    """The batch of each step; subclasses draw it in ``__getitem__`` from the seed and the step alone."""

    def __init__(self, steps: int, num_workers: int) -> None:
        self._steps, self._num_workers = steps, num_workers

    def __len__(self) -> int:
        return self._steps

    def parts(self, start: int) -> Iterator[tuple[Batch]]:
        """Yield the batches from a step on, prepared ahead of time, as :meth:`Task.batches` does."""
        loader = DataLoader(self, batch_size=None, sampler=range(start, len(self)), num_workers=self._num_workers)
        return ((batch,) for batch in loader)


def initial_network(initial_weights: str, made: N, load: Callable[[str], N]) -> N:
    """Return the network as it was made, or that of the weights to begin with, if it is of the same ``shape``."""
    if not initial_weights:
        return made
    network = load(initial_weights)
    if network.shape != made.shape:
        raise InputError(
            f"initial_weights: {initial_weights} holds a network of {network.shape}, not of {made.shape}, as configured"
        )
    return network


def update_ema(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the moving average of a network's weights towards them, in place.

    ``decay``, in 0..1, is how much of the average is kept at a step, counted from 0; the first are forgotten quickly.
    """
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)


def warmup_cosine(step: int, steps: int, learning_rate: float, warmup_ratio: float) -> float:
    """Return the learning rate of a step, counted from 0: a straight rise, then half a cosine down to a hundredth.

    ``learning_rate`` is the highest one, ``warmup_ratio``, in 0..1, the part of all steps in which it rises.

    Example:
        >>> [round(warmup_cosine(step, 10, 1.0, 0.2), 3) for step in (0, 1, 9)]
        [0.5, 1.0, 0.01]
    """
    done = (step + 1) / steps
    if done < warmup_ratio:
        return learning_rate * done / warmup_ratio
    part = (done - warmup_ratio) / max(1e-9, 1 - warmup_ratio)
    return learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, part))) / 2)


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / max(1, len(scores))
