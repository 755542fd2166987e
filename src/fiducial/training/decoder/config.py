"""The configuration of a run that trains a mask decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from fiducial.errors import InputError
from fiducial.training.segmenter.config import Source

Masks = Literal["single", "best"]
ScorePrompt = Literal["box", "jittered_box", "point"]


@dataclass(frozen=True, slots=True)
class Prompting:
    """Which prompts are trained, as parts of all pictures (relative to their sum), and how bad they are.

    Args:
        box: a box alone.
        box_points: a box and one to ``most_points`` points.
        points: one to ``most_points`` points alone.
        exact: part of the boxes that are tight around the target.
        jitter: largest shift of an edge of the other boxes, as a part of the box's width or height.
        most_points: most points of a prompt; each is any pixel of the target.
        negative: part of the points after the first that lie beside the target instead.

    Raises:
        InputError: a number out of range, or no prompts at all.
    """

    box: float = 0.5
    box_points: float = 0.2
    points: float = 0.3
    exact: float = 0.25
    jitter: float = 0.15
    most_points: int = 3
    negative: float = 0.0

    def __post_init__(self) -> None:
        parts = (self.box, self.box_points, self.points)
        if min(parts) < 0 or not sum(parts):
            raise InputError("prompts: box, box_points and points are not negative, and not all zero")
        for name in ("exact", "negative"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"prompts: {name} is a part in 0..1, got {getattr(self, name):g}")
        if not 0 <= self.jitter < 0.5:
            raise InputError(f"prompts: a jitter of 0.5 can turn a box over, it is 0 up to below that: {self.jitter:g}")
        if self.most_points < 1:
            raise InputError(f"prompts: most_points needs at least 1, got {self.most_points}")


@dataclass(frozen=True, slots=True)
class Losses:
    """How much each loss counts; those with 0 are not computed. See :mod:`fiducial.training.losses`.

    Args:
        cross_entropy: binary cross-entropy per pixel.
        dice: one minus the soft Dice coefficient.
        focal: cross-entropy in which pixels that are right already count little.
        structure: cross-entropy and IoU in which pixels near the edge count more.
        quality: squared error of the predicted IoU.

    Raises:
        InputError: a negative weight, or no loss of the masks at all.
    """

    cross_entropy: float = 1.0
    dice: float = 1.0
    focal: float = 0.0
    structure: float = 0.0
    quality: float = 0.5

    def __post_init__(self) -> None:
        if min(getattr(self, one.name) for one in fields(self)) < 0:
            raise InputError("losses: weights are not negative")
        if not self.cross_entropy + self.dice + self.focal + self.structure:
            raise InputError("losses: one of cross_entropy, dice, focal and structure is needed")


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """A training run of a mask decoder.

    Args:
        model: the model to start from: a folder or an id of the hub.
        data: what to learn from.
        steps: optimiser steps.
        fraction: part of the pictures (or groups, such as patients) that is trained on; smaller parts are subsets
            of larger ones. The held-out part stays the same.
        seed: of everything that is drawn.
        pictures: pictures per step.
        targets: most targets of each of them.
        rate: highest learning rate, after the warm-up.
        warm_up: part of all steps in which the rate rises.
        decay: weight decay of AdamW.
        prompt_encoder: whether the prompt encoder is trained too.
        masks: ``"single"`` trains the one mask that is cut by default; ``"best"`` trains whichever of the three
            proposals is best already, for segmenters with ``multimask=best``.
        zoom: how much finer than the decoder's own logits the grid is on which losses are computed.
        losses: weights of the losses.
        prompts: prompts to train.
        least: targets with a longest edge below so many pixels are left out.
        score_prompt: what held-out targets are cut from: the true ``box``, a ``jittered_box``, or an inside ``point``.
        score_every: steps between two looks at the held-out part.
        score_limit: most held-out targets of each source at such a look.
        save_every: steps between two checkpoints.
        threads: of torch; 0 leaves it to torch.
        embeddings: folder for the pictures' embeddings, which other runs with the same encoder can share; default:
            ``embeddings`` in the run's folder.

    Raises:
        InputError: nothing to learn from, or numbers out of range.
    """

    model: str
    data: tuple[Source, ...]
    steps: int = 2000
    fraction: float = 1.0
    seed: int = 0
    pictures: int = 4
    targets: int = 8
    rate: float = 1e-4
    warm_up: float = 0.05
    decay: float = 0.01
    prompt_encoder: bool = False
    masks: Masks = "single"
    zoom: int = 1
    losses: Losses = field(default_factory=Losses)
    prompts: Prompting = field(default_factory=Prompting)
    least: float = 6.0
    score_prompt: ScorePrompt = "box"
    score_every: int = 200
    score_limit: int = 200
    save_every: int = 100
    threads: int = 0
    embeddings: str = ""

    def __post_init__(self) -> None:
        for name in ("steps", "pictures", "targets", "zoom", "score_every", "score_limit", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: at least 1 is needed, got {getattr(self, name)}")
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction: a part above 0 and up to 1, got {self.fraction:g}")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"rate: a number above 0, got {self.rate:g}")
        if not 0 <= self.warm_up < 1:
            raise InputError(f"warm_up: a part from 0 to below 1, got {self.warm_up:g}")
        if not self.data:
            raise InputError("data: at least one dataset to learn from is needed")
        if any(source.share < 0 for source in self.data) or not sum(source.share for source in self.data):
            raise InputError("data: shares are not negative, and not all zero")
        if not any(source.scored for source in self.data):
            raise InputError("data: one dataset has to be scored, as the best weights are chosen by its held-out part")
