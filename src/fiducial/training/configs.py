"""What a training run can be given: one typed description per system."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from fiducial.config import Config, class_value, option
from fiducial.errors import InputError, extra_needed

# -- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source(Config):
    """One dataset to learn from."""

    dataset: str = option(help="what `fiducial evaluate` takes; a leading DATA/ stands for the data folder")
    share: float = option(1.0, "how much of each batch comes from it, relative to the sum of all shares", minimum=0)
    held_out: float = option(0.15, "part that is never trained on, cut by group", minimum=0, maximum=1)
    group: str = option("", "key of the samples' meta that must not be cut through, such as patient; default: picture")
    name: str = option("", "for reports; default: the name of the folder")
    licence: str = option("", "of the data, for the card of the weights")
    scored: bool = option(True, "whether its held-out part counts when the best weights are chosen")

    @property
    def title(self) -> str:
        """The name for reports."""
        return self.name or self.dataset.partition("?")[0].rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class GrounderSource(Source):
    """One dataset of named things; of scenes every thing is taken, not only those that the instruction names."""

    names: tuple[tuple[str, str], ...] = option(
        (),
        "pairs of a dataset's label and the vocabulary's name, where they differ by more than underscores; paired with "
        '"" things are neither learned nor taken for background',
    )
    label: str = option("", "what things without a label are called in the vocabulary")
    scale: tuple[float, float] = option((0.7, 1.4), "lowest and highest scale at which pictures are seen", above=0)
    rotation: float = option(180.0, "largest rotation of a picture, either way", unit="degrees", minimum=0)
    haze: float = option(0.0, "part of the crops that are seen through haze", minimum=0, maximum=1)

    def check(self) -> None:
        """Refuse a scale upside down."""
        if self.scale[0] > self.scale[1]:
            raise InputError(f"{self.dataset}: a scale is low, high, got {self.scale}")


def check_data(sources: Sequence[Source]) -> None:
    """Refuse no data at all, and shares that are all zero."""
    if not sources:
        raise InputError("data: at least one dataset to learn from is needed")
    if not any(source.share for source in sources):
        raise InputError("data: shares are not all zero")


# -- runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(Config):
    """What every training run has; read by :class:`fiducial.training.trainer.Trainer`."""

    task: ClassVar[str]
    """The :class:`fiducial.training.trainer.Task` to train, ``module:Class``; it is made of configuration and data."""
    changeable: ClassVar[frozenset[str]] = frozenset({"num_threads", "save_every"})
    """Fields that may differ when a run is gone on with."""

    seed: int = option(0, "of everything that is drawn", minimum=0)
    learning_rate: float = option(2e-3, "the highest one, after the warm-up", above=0)
    optimiser: Literal["adamw", "muon"] = option("adamw", "muon is for kernels of convolutions, AdamW for the rest")
    weight_decay: float = option(0.02, "of all weights but biases and normalisation", minimum=0)
    save_every: int = option(200, "steps between two checkpoints", minimum=1)
    num_threads: int = option(0, "of torch, 0 leaves it to torch; beside other work one is far faster", minimum=0)

    def train(self, data: Path, out: Path, **options: Any) -> Path:
        """Train, or go on where the run in the folder ``out`` stopped, and return what the run leaves.

        ``data`` is the folder that ``DATA/`` stands for; options are those of the trainer.

        Raises:
            InputError: the data cannot be read, or the folder holds another run.
            MissingExtraError: torch, or another package of the extra ``train``, is not installed.
            ModelError: the loss is no longer a finite number.
        """
        module, _, name = self.task.partition(":")
        with extra_needed(f"train {class_value(type(self), 'name')}", "train"):
            from fiducial.training.trainer import Trainer

            return Trainer(getattr(importlib.import_module(module), name)(self, data), out, **options).fit()

    def with_steps(self, steps: int) -> Self:
        """Return the configuration with another number of optimiser steps."""
        return self.with_settings({"steps": steps})


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedConfig(RunConfig):
    """A run of so many steps, in which the learning rate rises, then falls."""

    steps: int = option(2000, "optimiser steps", minimum=1)
    warmup_ratio: float = option(0.05, "part of all steps in which the learning rate rises", minimum=0, maximum=0.99)
    eval_every: int = option(200, "steps between two evaluations on what is held out", minimum=1)


@dataclass(frozen=True, slots=True)
class Phase(Config):
    """Some steps at one input size."""

    size: int = option(help="edge of the crops", unit="pixels")
    steps: int = option(help="optimiser steps", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasedConfig(RunConfig):
    """A run on crops whose size changes from phase to phase."""

    changeable: ClassVar[frozenset[str]] = RunConfig.changeable | {"num_workers"}

    data: tuple[Source, ...] = option(help="what to learn from")
    phases: tuple[Phase, ...] = option(help="input sizes and steps, in order")
    initial_weights: str = option("", "a file, or the name of weights of the package; default: begin from nothing")
    warmup_ratio: float = option(0.04, "part of all steps in which the learning rate rises", minimum=0, maximum=0.99)
    batch_size: int = option(16, "crops per step; normalisation needs two", minimum=2)
    ema_decay: float = option(0.999, "of the moving average of the weights, which is kept", minimum=0, maximum=1)
    eval_every: int = option(500, "steps between two evaluations on the held-out part", minimum=1)
    eval_limit: int = option(60, "largest number of held-out objects or pictures per source and evaluation", minimum=1)
    num_workers: int = option(1, "processes that prepare batches", minimum=0)

    @property
    def size_multiple(self) -> int:
        """What the edge of a crop is a multiple of."""
        raise NotImplementedError

    @property
    def steps(self) -> int:
        """All steps."""
        return sum(phase.steps for phase in self.phases)

    def with_steps(self, steps: int) -> Self:
        """Return the configuration with another number of steps; phases keep their shares, empty ones are left out."""
        ends = [steps * done // self.steps for done in accumulate(phase.steps for phase in self.phases)]
        counts = [end - start for start, end in pairwise([0, *ends])]
        phases = zip(self.phases, counts, strict=True)
        return replace(self, phases=tuple(replace(phase, steps=count) for phase, count in phases if count))

    def phase_index(self, step: int) -> int:
        """Return the index of the phase of a step, counted from 0."""
        ends = accumulate(phase.steps for phase in self.phases)
        return next(index for index, end in enumerate(ends) if step < end)

    def check(self) -> None:
        """Refuse a run without data or steps, and sizes that the network cannot halve."""
        check_data(self.data)
        if not self.phases:
            raise InputError("phases: at least one phase is needed")
        for phase in self.phases:
            if phase.size < self.size_multiple or phase.size % self.size_multiple:
                raise InputError(
                    f"phases: a size is a multiple of {self.size_multiple} for this network, got {phase.size}"
                )


# -- the segmenter --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SegmenterPrompting(Config):
    """Which prompts are trained, as parts of all crops relative to their sum, and how bad they are."""

    box: float = option(0.55, "a box alone", minimum=0)
    box_points: float = option(0.08, "a box and one to three points", minimum=0)
    points: float = option(0.24, "points alone", minimum=0)
    previous: float = option(0.13, "an earlier mask, with its box or with a point", minimum=0)
    exact: float = option(0.4, "part of the boxes that are tight around the target", minimum=0, maximum=1)
    jitter: float = option(
        0.25, "largest shift of an edge of the other boxes", unit="part of the box's width or height", minimum=0
    )
    predicted: float = option(
        0.0, "part of the earlier masks made by the network itself; others are spoilt true ones", minimum=0, maximum=1
    )

    def check(self) -> None:
        """Refuse a run without a prompt."""
        if not self.box + self.box_points + self.points + self.previous:
            raise InputError("prompts: box, box_points, points and previous are not all zero")


@dataclass(frozen=True, slots=True)
class SegmenterPhase(Phase):
    """Some steps at one input size, with prompts of their own."""

    prompts: SegmenterPrompting | None = option(None, "default: those of the run")


@dataclass(frozen=True, slots=True)
class SegmenterNetworkConfig(Config):
    """The network's make-up."""

    widths: tuple[int, ...] = option((32, 64, 128, 256), "channels per level, from fine to coarse", minimum=1)
    encoder: tuple[int, ...] = option((1, 1, 2, 3), "residual blocks per level on the way down", minimum=0)
    decoder: int = option(1, "residual blocks per level on the way up", minimum=0)

    def check(self) -> None:
        """Refuse blocks for other levels than there are."""
        if len(self.encoder) != len(self.widths):
            raise InputError(f"encoder: needs one number per level, {len(self.widths)}, got {len(self.encoder)}")


@dataclass(frozen=True, slots=True)
class SegmenterLosses(Config):
    """How much each loss counts."""

    cross_entropy: float = option(1.0, "binary cross-entropy per pixel", minimum=0)
    dice: float = option(1.0, "one minus the soft Dice coefficient per crop", minimum=0)
    quality: float = option(0.5, "squared error of the expected IoU", minimum=0)
    edge: float = option(2.0, "how much more a pixel at the target's edge counts in the cross-entropy", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig(PhasedConfig):
    """A training run of the nano segmenter."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "segmenter"
    task: ClassVar[str] = "fiducial.training.segmenter:SegmenterTask"

    phases: tuple[SegmenterPhase, ...] = option(help="input sizes and steps, in order")
    batch_size: int = option(32, "crops per step; normalisation needs two", minimum=2)
    ema_decay: float = option(0.998, "of the moving average of the weights, which is kept", minimum=0, maximum=1)
    network: SegmenterNetworkConfig = option(SegmenterNetworkConfig(), "make-up of the network")
    losses: SegmenterLosses = option(SegmenterLosses(), "weights of the losses")
    prompts: SegmenterPrompting = option(SegmenterPrompting(), "prompts to train")
    min_size: float = option(6.0, "smaller targets are left out", unit="pixels of the longest edge", minimum=0)

    @property
    def size_multiple(self) -> int:
        """What the edge of a crop is a multiple of."""
        return int(2 ** len(self.network.widths))


# -- the grounder ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GrounderNetworkConfig(Config):
    """The network's make-up."""

    widths: tuple[int, ...] = option((48, 96, 192, 320), "channels at strides 4, 8, 16, ...", minimum=1)
    blocks: tuple[int, ...] = option((1, 2, 2, 2), "residual blocks at each of them", minimum=0)
    pyramid: int = option(64, "channels of the level at stride 4 that the heads look at", minimum=1)
    embedding: int = option(64, "dimensions of the space in which places and phrases meet", minimum=1)


@dataclass(frozen=True, slots=True)
class GrounderLosses(Config):
    """How much each loss counts."""

    heat: float = option(1.0, "penalty-reduced focal loss of the heat maps, per thing", minimum=0)
    boxes: float = option(2.0, "one minus the GIoU of the boxes, per thing", minimum=0)
    names: float = option(0.0, "cross-entropy among the names at the places of things, per thing", minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrounderConfig(PhasedConfig):
    """A training run of the nano grounder."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "grounder"
    task: ClassVar[str] = "fiducial.training.grounder:GrounderTask"

    data: tuple[GrounderSource, ...] = option(help="what to learn from")
    network: GrounderNetworkConfig = option(GrounderNetworkConfig(), "make-up of the network")
    losses: GrounderLosses = option(GrounderLosses(), "weights of the losses")
    balanced: float = option(
        0.5, "part of the crops that show a thing of a name drawn evenly; others show any place", minimum=0, maximum=1
    )
    negatives: float = option(
        0.2, "part of the crops in which the names of the other datasets count as absent", minimum=0, maximum=1
    )
    min_visible: float = option(
        0.4, "things of which a crop shows less are neither learned nor background", minimum=0, maximum=1
    )
    min_size: float = option(
        4.0, "the same for things that are seen smaller", unit="pixels of the longest edge", minimum=0
    )

    @property
    def size_multiple(self) -> int:
        """What the edge of a crop is a multiple of."""
        return int(2 ** (len(self.network.widths) + 1))


# -- the decoder ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DecoderPrompting(Config):
    """Which prompts are trained, as parts of all pictures relative to their sum, and how bad they are."""

    box: float = option(0.5, "a box alone", minimum=0)
    box_points: float = option(0.2, "a box and one to max_points points", minimum=0)
    points: float = option(0.3, "one to max_points points alone", minimum=0)
    exact: float = option(0.25, "part of the boxes that are tight around the target", minimum=0, maximum=1)
    jitter: float = option(
        0.15, "largest shift of an edge of the other boxes", unit="part of the box's width or height", minimum=0
    )
    max_points: int = option(3, "largest number of points; each is any pixel of the target", minimum=1)
    negative: float = option(
        0.0, "part of the points after the first that lie beside the target instead", minimum=0, maximum=1
    )

    def check(self) -> None:
        """Refuse a run without a prompt, and boxes that could turn over."""
        if not self.box + self.box_points + self.points:
            raise InputError("prompts: box, box_points and points are not all zero")
        if self.jitter >= 0.5:
            raise InputError(f"jitter: from 0.5 on it can turn a box over, got {self.jitter:g}")


@dataclass(frozen=True, slots=True)
class DecoderLosses(Config):
    """How much each loss counts; those with 0 are not computed. See :mod:`fiducial.training.losses`."""

    cross_entropy: float = option(1.0, "binary cross-entropy per pixel", minimum=0)
    dice: float = option(1.0, "one minus the soft Dice coefficient", minimum=0)
    focal: float = option(0.0, "cross-entropy in which pixels that are right already count little", minimum=0)
    structure: float = option(0.0, "cross-entropy and IoU in which pixels near the edge count more", minimum=0)
    quality: float = option(0.5, "squared error of the predicted IoU", minimum=0)

    def check(self) -> None:
        """Refuse a run without a loss of the masks."""
        if not self.cross_entropy + self.dice + self.focal + self.structure:
            raise InputError("losses: one of cross_entropy, dice, focal and structure is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig(SteppedConfig):
    """A training run of the mask decoder of a SAM-family model, its image encoder frozen."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "decoder"
    task: ClassVar[str] = "fiducial.training.decoder:DecoderTask"
    changeable: ClassVar[frozenset[str]] = RunConfig.changeable | {"embeddings"}

    model: str = option(help="the model to start from: a folder or an id of the hub")
    data: tuple[Source, ...] = option(help="what to learn from")
    fraction: float = option(
        1.0, "part of the pictures (or groups) trained on; smaller parts are subsets of larger ones", above=0, maximum=1
    )
    batch_size: int = option(4, "pictures per step", minimum=1)
    max_targets: int = option(8, "largest number of targets of each picture", minimum=1)
    learning_rate: float = option(1e-4, "the highest one, after the warm-up", above=0)
    weight_decay: float = option(0.01, "of all weights but biases and normalisation", minimum=0)
    prompt_encoder: bool = option(False, "whether the prompt encoder is trained too")
    masks: Literal["single", "best"] = option(
        "single",
        "single trains the one mask that is cut by default; best trains whichever of the three proposals is best "
        "already, for segmenters with multimask=best",
    )
    upsampling: int = option(
        1, "how much finer than the decoder's own logits the grid is on which losses are computed", minimum=1
    )
    losses: DecoderLosses = option(DecoderLosses(), "weights of the losses")
    prompts: DecoderPrompting = option(DecoderPrompting(), "prompts to train")
    min_size: float = option(6.0, "smaller targets are left out", unit="pixels of the longest edge", minimum=0)
    eval_prompt: Literal["box", "jittered_box", "point"] = option("box", "what held-out targets are cut from")
    eval_limit: int = option(200, "largest number of held-out targets per source and evaluation", minimum=1)
    save_every: int = option(100, "steps between two checkpoints", minimum=1)
    embeddings: str = option(
        "", "folder for embeddings, which runs with the same encoder can share; default: in the run's folder"
    )

    def check(self) -> None:
        """Refuse a run without data to learn from or to be scored on."""
        check_data(self.data)
        if not any(source.scored for source in self.data):
            raise InputError("data: one dataset has to be scored, as the best weights are chosen by its held-out part")
