"""The training loop of a mask decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fiducial.checkpoints import pick_device
from fiducial.errors import ModelError
from fiducial.training import losses as mask_losses
from fiducial.training.configs import as_plain
from fiducial.training.decoder.card import Card
from fiducial.training.decoder.config import DecoderConfig, Losses
from fiducial.training.decoder.embeddings import Embeddings
from fiducial.training.decoder.model import TrainedModel
from fiducial.training.decoder.pictures import Picture, Portion, read_portions
from fiducial.training.decoder.prompting import draw_prompts
from fiducial.training.decoder.scoring import mean_iou, prompting_of
from fiducial.training.optimising import decay_groups
from fiducial.training.runs import BEST, TrainingRun, read_tensors
from fiducial.training.schedules import warm_cosine

MODEL = "model"
"""What a run leaves: the folder of the whole model with the best decoder, and its card."""
_FREE = ("threads", "save_every", "embeddings")
_TELL_EVERY = 50


def train(
    config: DecoderConfig,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    command: Sequence[str] = (),
    quiet: bool = False,
) -> Path:
    """Train a mask decoder, or go on where the run in the folder stopped.

    The image encoder is frozen: every picture is encoded once, and its embedding is kept on the disk.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.
        out: the run's folder; see :class:`fiducial.training.runs.TrainingRun`.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        command: the words of the command line, for the run's card.
        quiet: write the log without printing it.

    Returns:
        The folder of the best model, which ``SamSegmenter.from_pretrained`` loads; its card lies in it.

    Raises:
        InputError: the data cannot be read or cut as asked for, or the folder holds another run.
        UnknownNameError: the model is none of the SAM families.
        HubError: the model's files are neither here nor to be had.
        ModelError: the loss is no longer a finite number.
    """
    portions = read_portions(config, Path(data))
    target = pick_device(device)
    model = TrainedModel(config.model, target, prompt_encoder=config.prompt_encoder, masks=config.masks)
    run = TrainingRun(out, as_plain(config), command, free=_FREE, quiet=quiet)
    if config.threads:
        torch.set_num_threads(config.threads)
    return _Training(config, run, portions, model, command).finish()


def losses(logits: Tensor, scores: Tensor, targets: Tensor, weights: Losses) -> dict[str, Tensor]:
    """Compute the losses of some prompts; of several proposals, that which is best already is trained.

    Args:
        logits: (N, M, h, w) of M proposals per prompt.
        scores: (N, M) predicted IoU.
        targets: (N, h, w) in 0..1.
        weights: how much each counts.

    Returns:
        Each loss that counts by name, and their weighted sum ``"all"``; means over the prompts.
    """
    wide = targets[:, None].expand_as(logits)
    kinds = {
        "cross_entropy": mask_losses.cross_entropy,
        "dice": mask_losses.dice,
        "focal": mask_losses.focal,
        "structure": mask_losses.structure,
    }
    each = {name: kind(logits, wide) for name, kind in kinds.items() if getattr(weights, name)}
    masks = torch.stack([getattr(weights, name) * value for name, value in each.items()]).sum(0)
    best = masks.detach().argmin(1, keepdim=True)
    found = {name: value.gather(1, best).mean() for name, value in each.items()}
    total = masks.gather(1, best).mean()
    if weights.quality:
        # Every proposal's estimate is trained: which of them is taken depends on all.
        found["quality"] = (scores - mask_losses.true_iou(logits, wide)).square().mean()
        total = total + weights.quality * found["quality"]
    return {**found, "all": total}


class _Training:
    def __init__(
        self,
        config: DecoderConfig,
        run: TrainingRun,
        portions: Sequence[Portion],
        model: TrainedModel,
        command: Sequence[str],
    ) -> None:
        self._config, self._run, self._portions, self._model = config, run, portions, model
        self._command = command
        self._embeddings = Embeddings(model.segmenter, config.embeddings or run.folder / "embeddings")
        self._held_out = {
            portion.name: portion.sampled(config.score_limit, config.seed)
            for portion in portions
            if portion.source.scored
        }
        self._optimiser = torch.optim.AdamW(decay_groups(model.trained, config.decay), lr=config.rate)
        shares = np.array([portion.source.share for portion in portions])
        self._shares = shares / shares.sum()

    def finish(self) -> Path:
        self._encode()
        notes = self._run.resume(dict(self._model.parts.items()), self._optimiser)
        step, best = int(notes["step"]), float(notes.get("best", -1.0))
        before = notes.get("before") or self._before()
        self._model.trust_the_trained_mask()
        sums: dict[str, float] = {}
        since = 0
        while step < self._config.steps:
            for name, value in self._step(step).items():
                sums[name] = sums.get(name, 0.0) + value
            step, since = step + 1, since + 1
            last = step == self._config.steps
            if step % self._config.score_every == 0 or last:
                best = self._look(step, {name: value / since for name, value in sums.items()}, best)
                sums, since = {}, 0
            if step % self._config.save_every == 0 or last:
                self._run.save(step, dict(self._model.parts.items()), self._optimiser, best=best, before=before)
        return self._write(before)

    def _encode(self) -> None:
        training = [picture for portion in self._portions for picture in portion.training]
        held_out = {picture: None for pairs in self._held_out.values() for picture, _ in pairs}
        every = [*training, *held_out]

        def tell(done: int) -> None:
            if done % _TELL_EVERY == 0:
                self._run.log(0, encoded=done, of=len(every))

        computed = self._embeddings.prepare(every, tell)
        self._run.log(0, training=len(training), held_out=len(held_out), encoded_now=computed)

    def _before(self) -> dict[str, float]:
        """Score the decoder as it came, all its habits included."""
        scores = self._scores()
        self._run.log(0, **scores, held_out=_mean(scores))
        return scores

    def _step(self, step: int) -> dict[str, float]:
        # Drawn from seed and step alone, so that a run that was stopped goes on as if it had not been.
        random = np.random.default_rng([self._config.seed, step])
        for group in self._optimiser.param_groups:
            group["lr"] = warm_cosine(step, self._config.steps, self._config.rate, self._config.warm_up)
        self._optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for _ in range(self._config.pictures):
            found = self._losses_of(self._draw(random), random)
            if not torch.isfinite(found["all"]):
                raise ModelError(f"step {step}: the loss is no longer a finite number: try a smaller rate")
            (found["all"] / self._config.pictures).backward()  # type: ignore[no-untyped-call]
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / self._config.pictures
        nn.utils.clip_grad_norm_(self._model.trained, 1.0)
        self._optimiser.step()
        return sums

    def _draw(self, random: np.random.Generator) -> Picture:
        portion = self._portions[int(random.choice(len(self._portions), p=self._shares))]
        return portion.training[int(random.integers(len(portion.training)))]

    def _losses_of(self, picture: Picture, random: np.random.Generator) -> dict[str, Tensor]:
        order = random.permutation(len(picture.targets))[: self._config.targets]
        masks = [picture.targets[int(number)] for number in order]
        prompts = draw_prompts(masks, self._config.prompts, random)
        logits, scores, grid = self._model.logits(self._embeddings[picture], prompts, self._config.zoom)
        targets = torch.from_numpy(np.stack([grid.target(mask) for mask in masks])).to(logits.device)
        return losses(logits, scores, targets, self._config.losses)

    def _look(self, step: int, means: dict[str, float], best: float) -> float:
        """Score the decoder on the held-out part and keep it when it is the best so far."""
        scores = self._scores()
        reached = _mean(scores)
        rate = self._optimiser.param_groups[0]["lr"]
        self._run.log(step, **means, rate=rate, **scores, held_out=reached)
        if reached <= best:
            return best
        self._run.save_best(self._model.parts, step=step, held_out=scores)
        return reached

    def _scores(self) -> dict[str, float]:
        """Return the mean IoU by source."""
        prompting, seed = prompting_of(self._config), self._config.seed
        return {name: mean_iou(self._embeddings, pairs, prompting, seed) for name, pairs in self._held_out.items()}

    def _write(self, before: dict[str, float]) -> Path:
        """Put the best decoder back and write the whole model."""
        tensors, notes = read_tensors(self._run.folder / BEST)
        self._model.parts.load_state_dict(tensors)
        folder = self._run.folder / MODEL
        card = Card(self._config, self._command, self._model.family.name, self._portions, before, notes)
        self._model.write(folder, card.text())
        return folder


def _mean(scores: dict[str, float]) -> float:
    return sum(scores.values()) / len(scores)
