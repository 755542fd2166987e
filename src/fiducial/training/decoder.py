"""Training of the mask decoder of a SAM-family model, its image encoder frozen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fiducial.geometry import Mask, Prompts
from fiducial.provenance import versions
from fiducial.training import losses as mask_losses
from fiducial.training.configs import DecoderConfig, DecoderLosses
from fiducial.training.decoder_data import DecoderPicture, Embeddings, Portion, read_portions
from fiducial.training.decoder_model import TrainedModel
from fiducial.training.prompting import draw_prompts, inside_point, ious_of, jittered_box, true_box
from fiducial.training.runs import read_tensors, write_tensors
from fiducial.training.sources import shares
from fiducial.training.trainer import Task, Trainer

MODEL, BEST = "model", "best.safetensors"
"""What a run leaves: the folder of the whole model with the best decoder and its card, and that decoder alone."""
_LOG_EVERY = 50

Batch = tuple[DecoderPicture, list[Mask], Prompts]
"""A picture, some of its targets and a prompt for each."""


def losses(logits: Tensor, scores: Tensor, targets: Tensor, weights: DecoderLosses) -> dict[str, Tensor]:
    """Compute the losses that count by name, and their weighted sum ``"all"``, as means over N prompts.

    Of several proposals, that which is best already is trained.

    Args:
        logits: (N, M, h, w) of M proposals per prompt.
        scores: (N, M) predicted IoU.
        targets: (N, h, w) in 0..1.
        weights: how much each counts.
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

    def __init__(self, config: DecoderConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio = config.warmup_ratio
        self._config, self._data = config, Path(data)
        self._shares = shares(config.data)
        prompts = {"box": true_box, "jittered_box": jittered_box(config.prompts.jitter), "point": inside_point}
        self._make_prompt = prompts[config.eval_prompt]

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Load the model, encode the pictures, and return the parts that are trained."""
        config, self._trainer = self._config, trainer
        self._portions = read_portions(config, self._data)
        self._model = TrainedModel(config, trainer.device)
        self._held_out = {one.source.title: one.sampled(config) for one in self._portions if one.source.scored}
        self._embeddings = Embeddings(self._model.segmenter, config.embeddings or trainer.run.folder / "embeddings")
        training = [picture for portion in self._portions for picture in portion.training]
        held_out = {picture: None for pairs in self._held_out.values() for picture, _ in pairs}
        computed = 0
        for done in self._embeddings.prepare([*training, *held_out]):
            computed += 1
            if done % _LOG_EVERY == 0:
                trainer.run.log(0, encoded=done, of=len(training) + len(held_out))
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
        how = (self._embeddings.segmenter, self._embeddings.__getitem__, self._make_prompt, self._config.seed)
        return {name: float(ious_of(pairs, *how).mean()) for name, pairs in self._held_out.items()}

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the parts that are trained."""
        write_tensors(self._trainer.run.folder / BEST, network.state_dict(), {"step": step, "held_out": dict(scores)})

    def finish(self, network: nn.Module) -> Path:
        """Put the best decoder back and write the whole model with its card."""
        tensors, notes = read_tensors(self._trainer.run.folder / BEST)
        network.load_state_dict(tensors)
        folder, family, run = self._trainer.run.folder / MODEL, self._model.family.name, self._trainer.run
        card = card_text(self._config, run.command, family, self._portions, self._trainer.before, notes)
        self._model.write(folder, card)
        return folder


# -- the card -------------------------------------------------------------------------------------

_PROMPTS = {
    "box": "their true boxes",
    "jittered_box": "boxes whose edges are shifted by chance by up to {:.0%} of the box",
    "point": "one point well inside",
}
_CARD = """\
# {model}, {trained} trained further

The image encoder is that of `{model}`, bit for bit; the {trained} was trained for {config.steps} steps with fiducial, \
and step {best[step]}, the best on the held-out part, is kept.

```
fiducial cut PICTURE --box x1,y1,x2,y2 --segmenter {segmenter}:THIS_FOLDER
```

## Data

| name | dataset | training pictures | targets | held out | licence |
|---|---|---:|---:|---|---|
{data}

Nothing of the held-out part was trained on.{used} The licences of the data, and that of `{model}`, bind these weights.

## Held-out score

Mean IoU of held-out targets cut from {prompts}.

| data | targets | before | after | change |
|---|---:|---:|---:|---:|
{scores}
{verdict}
## Limits

- The step was chosen by the same held-out targets that the score is from, so the score is a little too good: measure \
on other data before relying on it.
- What differs from the training data in sensor, resolution or kind of target was not looked at; there the weights may \
be worse than `{model}`.
- {masks}
- Targets with a longest edge below {config.min_size:g} pixels were neither trained on nor scored.
- Not for clinical use or any other decision about people.

## Made by

```
{command}
```

Seed {config.seed}. Versions: {versions}. The whole configuration is in `run.json` of the run's folder, the course of \
the training in `log.jsonl`.
"""
_MASKS = {
    "single": "Only the one mask that is cut by default was trained, not the three proposals of `multimask=best`. "
    "SAM 2 and SAM 3 no longer take one of those where the one mask is unstable.",
    "best": "Only the three proposals were trained: use it with `--set segmenter.multimask=best`.",
}


def card_text(
    config: DecoderConfig,
    command: Sequence[str],
    family: str,
    portions: Sequence[Portion],
    before: Mapping[str, float],
    best: Mapping[str, Any],
) -> str:
    """Say in Markdown what made a trained decoder, how good it is, and what it may not be used for.

    Args:
        config: the run's configuration.
        command: the words of the command line, or none.
        family: of the model.
        portions: what was learnt from.
        before: held-out mean IoU by source of the model as it came.
        best: ``"step"`` and ``"held_out"``, mean IoU by source of the decoder that is kept.
    """
    data, scores = [], []
    for portion in portions:
        source, after = portion.source, best["held_out"]
        counts = (len(portion.training), sum(len(picture.targets) for picture in portion.training))
        cut = f"{source.held_out:.0%} by {source.group or 'picture'}"
        licence = source.licence or "not stated in the configuration"
        data.append([source.title, f"`{source.dataset}`", *counts, cut, licence])
        if source.title in before:
            count, was, now = len(portion.sampled(config)), before[source.title], after[source.title]
            scores.append([source.title, count, f"{was:.3f}", f"{now:.3f}", f"{now - was:+.3f}"])
    failed = sum(best["held_out"].values()) <= sum(before.values())
    verdict = "**Training did not help: the model as it came is at least as good on the held-out part.**"
    return _CARD.format(
        config=config,
        model=config.model,
        best=best,
        trained="mask decoder and prompt encoder" if config.prompt_encoder else "mask decoder",
        segmenter=family.replace("_tracker", "").replace("_hq", "-hq"),
        data=_rows(data),
        used="" if config.fraction == 1 else f" Of the training pictures {config.fraction:.0%} was used.",
        prompts=_PROMPTS[config.eval_prompt].format(config.prompts.jitter),
        scores=_rows(scores),
        verdict=f"\n{verdict}\n" if failed else "",
        masks=_MASKS[config.masks],
        command=shlex.join(command) if command else "DecoderConfig.train (from Python)",
        versions=", ".join(f"{name} {version}" for name, version in versions().items()),
    )


def _rows(table: Sequence[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in table)
