"""Training of the mask decoder of a SAM-family model, its image encoder frozen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from fiducial.checkpoints import pick_device
from fiducial.geometry import Mask, Prompts
from fiducial.provenance import versions
from fiducial.training import losses as mask_losses
from fiducial.training.configs import DecoderConfig, DecoderLosses, shares
from fiducial.training.decoder_data import DecoderPicture, Embeddings, Portion, read_portions
from fiducial.training.decoder_model import TrainedModel
from fiducial.training.prompting import PROMPTINGS, draw_prompts, jittered_box, score
from fiducial.training.runs import read_tensors, write_tensors
from fiducial.training.trainer import Task, Trainer, TrainerOptions

MODEL, BEST = "model", "best.safetensors"
"""What a run leaves: the folder of the whole model with the best decoder and its card, and that decoder alone."""
_LOG_EVERY = 50

Batch = tuple[DecoderPicture, list[Mask], Prompts]
"""A picture, some of its targets and a prompt for each."""


def train(config: DecoderConfig, data: str | Path, out: str | Path, **options: Unpack[TrainerOptions]) -> Path:
    """Train a mask decoder, or go on where the run in the folder stopped.

    The image encoder is frozen: every picture is encoded once, and its embedding is kept on the disk.
    ``data`` is the folder that ``DATA/`` stands for; options are those of :class:`fiducial.training.trainer.Trainer`.

    Returns:
        The folder of the best model, which ``SamSegmenter.from_pretrained`` loads; its card lies in it.

    Raises:
        InputError: the data cannot be read or cut as asked for, or the folder holds another run.
        UnknownNameError: the model is none of the SAM families.
        HubError: the model's files are neither here nor to be had.
        ModelError: the loss is no longer a finite number.
    """
    task = DecoderTask(config, data, pick_device(options.get("device", "auto")), options.get("command", ()))
    return Trainer(task, out, **options).fit()


def losses(logits: Tensor, scores: Tensor, targets: Tensor, weights: DecoderLosses) -> dict[str, Tensor]:
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


class DecoderTask(Task[Batch]):
    """Embeddings and prompts in, masks out; scored by the mean IoU of held-out targets, also before the first step."""

    max_grad_norm = 1.0
    score_first = True

    def __init__(self, config: DecoderConfig, data: str | Path, device: torch.device, command: Sequence[str]) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio = config.warmup_ratio
        self._config, self._command = config, command
        self._portions = read_portions(config, Path(data))
        self._model = TrainedModel(config.model, device, prompt_encoder=config.prompt_encoder, masks=config.masks)
        self._shares = shares(config.data)
        self._held_out = {
            portion.source.title: portion.sampled(config.eval_limit, config.seed)
            for portion in self._portions
            if portion.source.scored
        }
        self._make_prompt = {
            "box": PROMPTINGS["true box"],
            "jittered_box": jittered_box(config.prompts.jitter),
            "point": PROMPTINGS["one point well inside"],
        }[config.eval_prompt]

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Encode the pictures, and return the parts that are trained."""
        self._trainer = trainer
        self._embeddings = Embeddings(
            self._model.segmenter, self._config.embeddings or trainer.run.folder / "embeddings"
        )
        training = [picture for portion in self._portions for picture in portion.training]
        held_out = {picture: None for pairs in self._held_out.values() for picture, _ in pairs}
        total = len(training) + len(held_out)

        def report(done: int) -> None:
            if done % _LOG_EVERY == 0:
                trainer.run.log(0, encoded=done, of=total)

        computed = self._embeddings.prepare([*training, *held_out], report)
        trainer.run.log(0, training=len(training), held_out=len(held_out), encoded_now=computed)
        return self._model.parts

    def batches(self, start: int) -> Iterator[list[Batch]]:
        """Yield some pictures per step, each with its prompts."""
        self._model.trust_the_trained_mask()  # not before: the first score is that of the decoder as it came
        for step in range(start, self.steps):
            random = np.random.default_rng([self._config.seed, step])
            yield [self._draw(random) for _ in range(self._config.batch_size)]

    def _draw(self, random: np.random.Generator) -> Batch:
        portion = self._portions[int(random.choice(len(self._portions), p=self._shares))]
        picture = portion.training[int(random.integers(len(portion.training)))]
        order = random.permutation(len(picture.targets))[: self._config.max_targets]
        masks = [picture.targets[int(index)] for index in order]
        return picture, masks, draw_prompts(masks, self._config.prompts, random)

    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of one picture's targets."""
        picture, masks, prompts = batch
        logits, scores, grid = self._model.logits(self._embeddings[picture], prompts, self._config.upsampling)
        targets = torch.from_numpy(np.stack([grid.target(mask) for mask in masks])).to(logits.device)
        return losses(logits, scores, targets, self._config.losses)

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean IoU by source."""
        segmenter, seed, encode = self._embeddings.segmenter, self._config.seed, self._embeddings.__getitem__
        return {
            name: score(segmenter, pairs, self._make_prompt, seed, encode).mean
            for name, pairs in self._held_out.items()
        }

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the parts that are trained."""
        write_tensors(self._trainer.run.folder / BEST, network.state_dict(), {"step": step, "held_out": dict(scores)})

    def finish(self, network: nn.Module) -> Path:
        """Put the best decoder back and write the whole model with its card."""
        tensors, notes = read_tensors(self._trainer.run.folder / BEST)
        network.load_state_dict(tensors)
        folder, before = self._trainer.run.folder / MODEL, self._trainer.before
        card = Card(self._config, self._command, self._model.family.name, self._portions, before, notes)
        self._model.write(folder, card.text())
        return folder


# -- the card -------------------------------------------------------------------------------------

_PROMPTS = {
    "box": "their true boxes",
    "jittered_box": "boxes whose edges are shifted by chance by up to {:.0%} of the box",
    "point": "one point well inside",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What made a trained decoder, how good it is, and what it may not be used for.

    Args:
        config: the run's configuration.
        command: the words of the command line, or none.
        family: the model's family.
        portions: what was learnt from.
        before: held-out mean IoU by source of the model as it came.
        best: ``"step"`` and ``"held_out"``, mean IoU by source of the decoder that is kept.
    """

    config: DecoderConfig
    command: Sequence[str]
    family: str
    portions: Sequence[Portion]
    before: Mapping[str, float]
    best: Mapping[str, Any]

    def text(self) -> str:
        """Return the card as Markdown."""
        parts = [self._made(), self._data(), self._scores(), self._limits(), self._again()]
        return "\n\n".join(parts) + "\n"

    def _made(self) -> str:
        trained = "mask decoder and prompt encoder" if self.config.prompt_encoder else "mask decoder"
        segmenter = self.family.replace("_tracker", "").replace("_hq", "-hq")
        return (
            f"# {self.config.model}, {trained} trained further\n\n"
            f"The image encoder is that of `{self.config.model}`, bit for bit; the {trained} was trained for "
            f"{self.config.steps} steps with fiducial, and step {self.best['step']}, the best on the held-out part, "
            "is kept.\n\n"
            f"```\nfiducial cut PICTURE --box x1,y1,x2,y2 --segmenter {segmenter}:THIS_FOLDER\n```"
        )

    def _data(self) -> str:
        rows = [
            f"| {portion.source.title} | `{portion.source.dataset}` | {len(portion.training)} | "
            f"{sum(len(picture.targets) for picture in portion.training)} | "
            f"{portion.source.held_out:.0%} by {portion.source.group or 'picture'} | "
            f"{portion.source.licence or 'not stated in the configuration'} |"
            for portion in self.portions
        ]
        used = "" if self.config.fraction == 1 else f" Of the training pictures {self.config.fraction:.0%} was used."
        return "\n".join(
            [
                "## Data\n",
                "| name | dataset | training pictures | targets | held out | licence |",
                "|---|---|---:|---:|---|---|",
                *rows,
                "",
                f"Nothing of the held-out part was trained on.{used} The licences of the data, and that of "
                f"`{self.config.model}`, bind these weights.",
            ]
        )

    def _scores(self) -> str:
        prompts = _PROMPTS[self.config.eval_prompt].format(self.config.prompts.jitter)
        rows = []
        for portion in self.portions:
            if (name := portion.source.title) in self.before:
                count = len(portion.sampled(self.config.eval_limit, self.config.seed))
                before, after = self.before[name], self.best["held_out"][name]
                rows.append(f"| {name} | {count} | {before:.3f} | {after:.3f} | {after - before:+.3f} |")
        lines = [
            "## Held-out score\n",
            f"Mean IoU of held-out targets cut from {prompts}.\n",
            "| data | targets | before | after | change |",
            "|---|---:|---:|---:|---:|",
            *rows,
        ]
        if sum(self.best["held_out"].values()) <= sum(self.before.values()):
            lines.append("\n**Training did not help: the model as it came is at least as good on the held-out part.**")
        return "\n".join(lines)

    def _limits(self) -> str:
        limits = [
            "The step was chosen by the same held-out targets that the score is from, so the score is a little too "
            "good: measure on other data before relying on it.",
            "What differs from the training data in sensor, resolution or kind of target was not looked at; there "
            f"the weights may be worse than `{self.config.model}`.",
            f"Targets with a longest edge below {self.config.min_size:g} pixels were neither trained on nor scored.",
            "Not for clinical use or any other decision about people.",
        ]
        if self.config.masks == "single":
            limits.insert(
                2,
                "Only the one mask that is cut by default was trained, not the three proposals of `multimask=best`. "
                "SAM 2 and SAM 3 no longer take one of those where the one mask is unstable.",
            )
        else:
            limits.insert(2, "Only the three proposals were trained: use it with `--set segmenter.multimask=best`.")
        return "\n".join(["## Limits\n", *(f"- {limit}" for limit in limits)])

    def _again(self) -> str:
        command = shlex.join(self.command) if self.command else "fiducial.training.decoder.train (from Python)"
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        return (
            f"## Made by\n\n```\n{command}\n```\n\nSeed {self.config.seed}. Versions: {used}. The whole configuration "
            "is in `run.json` of the run's folder, the course of the training in `log.jsonl`."
        )
