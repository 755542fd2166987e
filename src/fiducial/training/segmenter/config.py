"""The configuration of a run that trains the nano segmenter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fiducial.errors import InputError
from fiducial.training.optimising import Kind

Mode = Literal["box", "box_points", "points", "previous"]


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset to learn from.

    Args:
        dataset: what ``fiducial evaluate`` takes; a leading ``DATA/`` stands for the data folder.
        share: how much of each batch comes from it; shares are relative to their sum.
        held_out: part that is never trained on, cut by ``group``; in 0..1.
        group: key of the samples' meta that must not be cut through, such as ``patient``; "" is the picture.
        name: for reports; default: the name of the folder.
        licence: of the data, for the card of the weights.
        scored: whether held-out objects of it count when the best weights are chosen.
    """

    dataset: str
    share: float = 1.0
    held_out: float = 0.15
    group: str = ""
    name: str = ""
    licence: str = ""
    scored: bool = True


@dataclass(frozen=True, slots=True)
class Prompting:
    """Which prompts are trained, as parts of all crops (relative to their sum), and how bad they are.

    Args:
        box: a box alone.
        box_points: a box and one to three points.
        points: points alone.
        previous: an earlier mask, with its box or with a point.
        exact: part of the boxes that are tight around the target.
        jitter: largest shift of an edge of the other boxes, as a part of the box's width or height.
        own: part of the earlier masks that the network makes itself; the others are true masks made worse.
    """

    box: float = 0.55
    box_points: float = 0.08
    points: float = 0.24
    previous: float = 0.13
    exact: float = 0.4
    jitter: float = 0.25
    own: float = 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Some steps at one input size.

    Args:
        size: edge of the network's input in pixels.
        steps: optimiser steps.
        prompts: prompts to train in this phase; default: those of the run.
    """

    size: int
    steps: int
    prompts: Prompting | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """The network's make-up; see :class:`fiducial.segmenters.nano_network.Shape`."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    encoder: tuple[int, ...] = (1, 1, 2, 3)
    decoder: int = 1


@dataclass(frozen=True, slots=True)
class Losses:
    """How much each loss counts.

    Args:
        cross_entropy: binary cross-entropy per pixel.
        dice: one minus the soft Dice coefficient per crop.
        quality: squared error of the expected IoU.
        edge: how much more a pixel at the target's edge counts in the cross-entropy.
    """

    cross_entropy: float = 1.0
    dice: float = 1.0
    quality: float = 0.5
    edge: float = 2.0


@dataclass(frozen=True, slots=True)
class SegmenterConfig:
    """A training run of the nano segmenter.

    Args:
        data: what to learn from.
        phases: input sizes and steps, in order.
        seed: of everything that is drawn.
        start: weights to begin with: a file, or ``nano-segmenter`` for those of the package; "" begins from nothing.
        batch: crops per step.
        rate: highest learning rate, after the warm-up.
        warm_up: part of all steps in which the rate rises.
        optimiser: ``adamw``, or ``muon`` for the kernels of convolutions and AdamW for the rest.
        decay: weight decay.
        average: decay of the moving average of the weights, which is what is kept.
        network: make-up of the network.
        losses: weights of the losses.
        prompts: prompts to train.
        least: targets with a longest edge below so many pixels are left out.
        score_every: steps between two looks at the held-out part.
        score_limit: most held-out objects of each source at such a look.
        save_every: steps between two checkpoints.
        threads: of the network; 0 leaves it to torch. One thread beside other work is far faster than two.
        workers: processes that prepare batches.

    Raises:
        InputError: nothing to learn from, or numbers out of range.
    """

    data: tuple[Source, ...]
    phases: tuple[Phase, ...]
    seed: int = 0
    start: str = ""
    batch: int = 32
    rate: float = 2e-3
    warm_up: float = 0.04
    optimiser: Kind = "adamw"
    decay: float = 0.02
    average: float = 0.998
    network: Network = field(default_factory=Network)
    losses: Losses = field(default_factory=Losses)
    prompts: Prompting = field(default_factory=Prompting)
    least: float = 6.0
    score_every: int = 500
    score_limit: int = 60
    save_every: int = 200
    threads: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not self.data:
            raise InputError("data: at least one dataset to learn from is needed")
        if not self.phases or any(phase.steps < 1 for phase in self.phases):
            raise InputError("phases: at least one phase with at least one step is needed")
        if self.batch < 2:
            raise InputError(f"batch: the network's normalisation needs at least 2 crops, got {self.batch}")
        multiple = 2 ** len(self.network.widths)
        for phase in self.phases:
            if phase.size < multiple or phase.size % multiple:
                raise InputError(f"phases: a size is a multiple of {multiple} for this network, got {phase.size}")
        if any(source.share < 0 for source in self.data) or not sum(source.share for source in self.data):
            raise InputError("data: shares are not negative, and not all zero")

    @property
    def steps(self) -> int:
        """All steps."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """Return the phase of a step, counted from 0, with the prompts that it trains."""
        for phase in self.phases:
            if step < phase.steps:
                break
            step -= phase.steps
        return replace(phase, prompts=phase.prompts or self.prompts)
