"""The training loop of the nano grounder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fiducial.checkpoints import pick_device
from fiducial.errors import InputError
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.network import GrounderNetwork, network_input
from fiducial.prompters.grounder.weights import Grounder, Name, load_grounder, save_grounder
from fiducial.results import write_atomically
from fiducial.training.configs import as_plain
from fiducial.training.grounder.batches import Batch, Batches
from fiducial.training.grounder.calibration import calibrated
from fiducial.training.grounder.config import GrounderConfig
from fiducial.training.grounder.lexicon import Lexicon
from fiducial.training.grounder.losses import losses
from fiducial.training.grounder.pictures import Labelled, Store, read_store
from fiducial.training.grounder.scoring import findings_of, mean_precision
from fiducial.training.optimising import follow, make_optimiser
from fiducial.training.runs import TrainingRun
from fiducial.training.schedules import warm_cosine

WEIGHTS = "nano-grounder.safetensors"
"""What a run leaves: the averaged weights with the best held-out score, calibrated, in half precision."""
_FREE = ("threads", "workers", "save_every")


def train(
    config: GrounderConfig,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    quiet: bool = False,
    lexicon: Lexicon | None = None,
) -> Path:
    """Train, or go on where the run in the folder stopped.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.
        out: the run's folder; see :class:`fiducial.training.runs.TrainingRun`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.
        lexicon: names with their phrases; default: the vocabulary and word table of the package. Only names of which
            the data shows something are learned.

    Returns:
        The file of the best weights, which ``NanoDetector.from_pretrained`` loads.

    Raises:
        InputError: the data cannot be read, or the folder holds another run.
    """
    words = Lexicon.shipped() if lexicon is None else lexicon
    resolved = {**as_plain(config), "words": words.digest}
    run = TrainingRun(out, resolved, command, free=_FREE, quiet=quiet)
    if config.threads:
        torch.set_num_threads(config.threads)
    stores = [read_store(source, Path(data), words.names) for source in config.data]
    for store in stores:
        run.log(0, source=store.name, pictures=len(store.pictures), held_out=len(store.held_out), names=store.names)
    learned = words.only([name for store in stores for name in store.names])
    _Training(config, run, stores, learned, pick_device(device)).finish()
    return run.folder / WEIGHTS


class _Training:
    def __init__(
        self,
        config: GrounderConfig,
        run: TrainingRun,
        stores: Sequence[Store],
        lexicon: Lexicon,
        device: torch.device,
    ) -> None:
        self._config, self._run, self._stores, self._lexicon, self._device = config, run, stores, lexicon, device
        torch.manual_seed(config.seed)
        network = _beginning(config, lexicon.size)
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._optimiser = make_optimiser(config.optimiser, self._network.parameters(), config.rate, config.decay)
        self._sums: dict[str, float] = {}
        self._best: dict[str, Any] = {}

    def finish(self) -> None:
        modules = {"network": self._network, "average": self._average}
        notes = self._run.resume(modules, self._optimiser)
        step = int(notes["step"])
        self._sums, self._best = notes.get("sums", {}), notes.get("best", {})
        for batch in Batches(self._config, self._stores, self._lexicon).loader(step):
            for name, value in self._step(step, batch).items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            step += 1
            last = step == self._config.steps
            if step % self._config.score_every == 0 or last:
                self._look(step)
            if step % self._config.save_every == 0 or last:
                self._run.save(step, modules, self._optimiser, best=self._best, sums=self._sums)
        self._calibrate(step)

    def _step(self, step: int, batch: Batch) -> dict[str, float]:
        pixels, phrases, heat, boxes, weight = (part.to(self._device) for part in batch)
        for group in self._optimiser.param_groups:
            group["lr"] = warm_cosine(step, self._config.steps, self._config.rate, self._config.warm_up)
        self._network.train()
        places, sides = self._network(network_input(pixels))
        found = losses(self._network.heat(places, phrases), sides, (heat, boxes, weight), self._config.losses)
        self._optimiser.zero_grad(set_to_none=True)
        found["all"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimiser.step()
        follow(self._average, self._network, step, self._config.average)
        return {name: float(value.detach()) for name, value in found.items()}

    def _look(self, step: int) -> None:
        """Score the average on the held-out part and keep it when it is the best so far."""
        count = step % self._config.score_every or self._config.score_every
        means = {name: value / count for name, value in self._sums.items()}
        self._sums = {}
        grounder = self._grounder()
        detector = NanoDetector(grounder, threshold=0.0, flips=False, device=self._device)
        scores = {
            store.name: mean_precision(findings_of(detector, self._held_out(store)))
            for store in self._stores
            if store.source.scored and store.held_out
        }
        reached = sum(scores.values()) / max(1, len(scores))
        rate = warm_cosine(step - 1, self._config.steps, self._config.rate, self._config.warm_up)
        self._run.log(step, **means, rate=rate, **scores, ap50=reached)
        if reached >= self._best.get("mean", 0.0):
            self._best = {"step": step, "mean": reached, "ap50": scores}
            write_atomically(self._run.folder / WEIGHTS, save_grounder(grounder, **self._best))

    def _held_out(self, store: Store) -> list[Labelled]:
        """Return the pictures that are looked at, evenly spread over the held-out part."""
        count = min(len(store.held_out), self._config.score_limit)
        return [store.held_out[number * len(store.held_out) // count] for number in range(count)]

    def _grounder(self) -> Grounder:
        names = zip(self._lexicon.names, self._lexicon.domains, strict=True)
        return Grounder(self._average, tuple(Name(*pair) for pair in names), self._lexicon.mean_vectors())

    def _calibrate(self, step: int) -> None:
        """Give the best weights scores that say how likely a detection is right, and thresholds."""
        path = self._run.folder / WEIGHTS
        held_out = [labelled for store in self._stores for labelled in store.held_out]
        if not held_out:
            return
        grounder, _ = load_grounder(path)
        plain = replace(grounder, names=tuple(Name(one.name, one.domain) for one in grounder.names))
        findings = findings_of(NanoDetector(plain, threshold=0.0, device=self._device), held_out)
        names, report = calibrated(plain.names, findings)
        self._run.log(step, calibration=report)
        notes = {**self._best, "seed": self._config.seed, "calibration": report}
        write_atomically(path, save_grounder(replace(plain, names=names), **notes))


def _beginning(config: GrounderConfig, words: int) -> GrounderNetwork:
    """Return the network to begin with.

    Raises:
        InputError: the weights to begin with are missing, or of another make-up.
    """
    made = config.network.shape(words)
    if not config.start:
        return GrounderNetwork(made)
    network = load_grounder(config.start)[0].network
    if network.shape != made:
        raise InputError(f"start: {config.start} holds a network of {network.shape}, the configuration one of {made}")
    return network
