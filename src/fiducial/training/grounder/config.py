"""The configuration of a run that trains the nano grounder."""

from __future__ import annotations

from dataclasses import dataclass, field

from fiducial.errors import InputError
from fiducial.prompters.grounder.network import Shape
from fiducial.training.optimising import Kind


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset to learn from.

    Args:
        dataset: what ``fiducial evaluate`` takes; a leading ``DATA/`` stands for the data folder. Of scenes every thing
            is taken, not only those that the instruction names.
        share: how much of each batch comes from it; shares are relative to their sum.
        held_out: part that is never trained on, cut by ``group``; in 0..1.
        group: key of the samples' meta that must not be cut through, such as ``patient``; "" is the picture.
        name: for reports; default: the name of the folder.
        licence: of the data, for the card of the weights.
        scored: whether held-out pictures of it count when the best weights are chosen.
        names: pairs of a dataset's label and the vocabulary's name for it, where they differ by more than underscores;
            things whose label is paired with "" are neither learned nor taken for background.
        label: what things without a label are called in the vocabulary.
        scale: lowest and highest scale at which pictures are seen.
        turn: pictures are turned by up to so many degrees, either way; 180 is any turn.
    """

    dataset: str
    share: float = 1.0
    held_out: float = 0.15
    group: str = ""
    name: str = ""
    licence: str = ""
    scored: bool = True
    names: tuple[tuple[str, str], ...] = ()
    label: str = ""
    scale: tuple[float, float] = (0.7, 1.4)
    turn: float = 180.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Some steps at one input size.

    Args:
        size: edge of the crops in pixels.
        steps: optimiser steps.
    """

    size: int
    steps: int


@dataclass(frozen=True, slots=True)
class Network:
    """The network's make-up; see :class:`fiducial.prompters.grounder.network.Shape`."""

    widths: tuple[int, ...] = (48, 96, 192, 320)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    pyramid: int = 64
    embedding: int = 64

    def shape(self, words: int) -> Shape:
        """Return the make-up for phrase vectors of so many dimensions."""
        return Shape(self.widths, self.blocks, self.pyramid, self.embedding, words)


@dataclass(frozen=True, slots=True)
class Losses:
    """How much each loss counts.

    Args:
        heat: penalty-reduced focal loss of the heat maps, per thing.
        boxes: one minus the GIoU of the boxes, per thing.
    """

    heat: float = 1.0
    boxes: float = 2.0


@dataclass(frozen=True, slots=True)
class GrounderConfig:
    """A training run of the nano grounder.

    Args:
        data: what to learn from.
        phases: crop sizes and steps, in order.
        seed: of everything that is drawn.
        start: weights to begin with: a file, or ``nano-grounder`` for those of the package; "" begins from nothing.
        batch: crops per step.
        rate: highest learning rate, after the warm-up.
        warm_up: part of all steps in which the rate rises.
        optimiser: ``adamw``, or ``muon`` for the kernels of convolutions and AdamW for the rest.
        decay: weight decay.
        average: decay of the moving average of the weights, which is what is kept.
        network: make-up of the network.
        losses: weights of the losses.
        balanced: part of the crops that show a thing of a name drawn evenly; the others show any place of any picture.
        elsewhere: part of the crops in which the names of the other datasets count as absent.
        kept: a thing of which the crop keeps less than this part is neither learned nor taken for background.
        least: the same for things that are seen with a longest edge below so many pixels.
        score_every: steps between two looks at the held-out part.
        score_limit: most held-out pictures of each source at such a look.
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
    batch: int = 16
    rate: float = 2e-3
    warm_up: float = 0.04
    optimiser: Kind = "adamw"
    decay: float = 0.02
    average: float = 0.999
    network: Network = field(default_factory=Network)
    losses: Losses = field(default_factory=Losses)
    balanced: float = 0.5
    elsewhere: float = 0.2
    kept: float = 0.4
    least: float = 4.0
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
        multiple = self.network.shape(1).multiple
        for phase in self.phases:
            if phase.size < multiple or phase.size % multiple:
                raise InputError(f"phases: a size is a multiple of {multiple} for this network, got {phase.size}")
        if any(source.share < 0 for source in self.data) or not sum(source.share for source in self.data):
            raise InputError("data: shares are not negative, and not all zero")
        for source in self.data:
            if not 0 < source.scale[0] <= source.scale[1]:
                raise InputError(f"data: {source.dataset}: a scale is low, high above 0, got {source.scale}")

    @property
    def steps(self) -> int:
        """All steps."""
        return sum(phase.steps for phase in self.phases)

    def size_at(self, step: int) -> int:
        """Return the crops' edge in pixels at a step, counted from 0."""
        for phase in self.phases:
            if step < phase.steps:
                break
            step -= phase.steps
        return phase.size
