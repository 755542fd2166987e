"""What supervised training of vision-language models can be given, and what the samples of it can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option
from fiducial.errors import InputError, extra_needed
from fiducial.training.configs import RunConfig, Source, check_data

ChatFormat = Literal["trl", "llava", "ms-swift", "llamafactory"]
"""Whose chat files are written; see :mod:`fiducial.training.sft_export`."""


@dataclass(frozen=True, slots=True)
class Augmentation(Config):
    """How often pictures are mirrored and cut; every epoch draws anew."""

    flip: float = option(0.5, "part of the samples that are mirrored, sides in their words too", minimum=0, maximum=1)
    crop: float = option(0.5, "part of the samples that are cut to a window with all targets", minimum=0, maximum=1)
    min_side: float = option(0.5, "shortest side of a window, as a part of the picture's", above=0, maximum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerConfig(Config):
    """How questions are put and answers written; what a prompter is told has to be the same later."""

    dialect: str = option(help="how coordinates are written")
    template: str | None = option(None, "a shipped template, or a .txt file; none: that of the dialect")
    canvas: tuple[int, int] | None = option(
        None,
        "width, height to which every image is stretched; none: the dialect's square, else the aspect is kept",
        unit="pixels",
        minimum=1,
    )
    min_pixels: int | None = option(None, "least area of the canvas (Qwen)", unit="pixels", minimum=1)
    max_pixels: int | None = option(None, "greatest area of the canvas (Qwen)", unit="pixels", minimum=1)
    overlays: tuple[Annotated[Config, "overlay"], ...] = option((), "drawn onto the image, in order")
    whole_pixels: bool = option(
        False, "put coordinates on whole pixels of the canvas, as models want whose every coordinate is one token"
    )
    thinking: bool = option(True, "write how the choice is made, in dialects that have a place for it")

    def check(self) -> None:
        """Refuse names that nobody knows."""
        from fiducial.language.dialects import dialect as dialect_named
        from fiducial.prompters.templates import read_template, template_names

        name = dialect_named(self.dialect).name
        if self.template is None and name not in template_names():
            raise InputError(
                f"dialect {name}: no template for it comes with the package; set template to a .txt file, "
                f"or to one of {', '.join(template_names())}"
            )
        read_template(self.template or self.dialect)


@dataclass(frozen=True, slots=True)
class Lora(Config):
    """Low-rank adapters beside frozen weights (Hu et al., 2021)."""

    rank: int = option(16, "of each pair of matrices", minimum=1)
    alpha: int = option(32, "the pair's product counts alpha / rank", minimum=1)
    dropout: float = option(0.05, "part of its inputs that is dropped in training", minimum=0, maximum=0.99)
    target_modules: tuple[str, ...] = option(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        "names of the linear layers that get one; those of the vision tower only with train_vision",
    )

    def check(self) -> None:
        """Refuse adapters of nothing."""
        if not self.target_modules:
            raise InputError("lora: at least one name of layers is needed in target_modules")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrompterRunConfig(RunConfig):
    """What every training of a vision-language model has."""

    name: ClassVar[str]
    extra: ClassVar[str] = "train"
    task: ClassVar[str] = ""
    changeable: ClassVar[frozenset[str]] = RunConfig.changeable | {"eval_batch_size"}

    model: str = option(help="the model to start from: a folder or an id of the hub")
    data: tuple[Source, ...] = option(help="what to learn from")
    answers: AnswerConfig = option(help="how questions are put and answers written")
    max_targets: int = option(20, "samples with more targets are left out", minimum=1)
    lora: Lora | None = option(None, "train adapters only; none: all weights")
    train_vision: bool = option(False, "train the vision tower too")
    steps: int = option(1000, "optimiser steps", minimum=1)
    warmup_ratio: float = option(0.0, "part of all steps in which the learning rate rises", minimum=0, maximum=0.99)
    weight_decay: float = option(0.0, "of all weights but biases and normalisation", minimum=0)
    dtype: Dtype = option("auto", "of the weights; auto is that of the checkpoint")
    autocast: bool = option(False, "compute in bfloat16")
    activation_checkpointing: bool = option(False, "compute activations twice to save memory")
    eval_every: int = option(200, "steps between two evaluations on the held-out part", minimum=1)
    eval_limit: int = option(100, "largest number of held-out samples per source and evaluation", minimum=1)
    eval_batch_size: int = option(8, "held-out samples that are answered at once", minimum=1)
    max_new_tokens: int = option(512, "most tokens of an answer", minimum=1)

    def check(self) -> None:
        """Refuse a run without data, or with an optimiser that TRL is not given here."""
        check_data(self.data)
        if self.optimiser != "adamw":
            raise InputError(f"{self.name} trains with adamw, got optimiser={self.optimiser!r}")

    def train(self, data: Path, out: Path, **options: Any) -> Path:
        """Train, or go on where the run in the folder ``out`` stopped; returns the folder of the best model.

        Raises:
            InputError: the data cannot be read, or the folder holds another run.
            MissingExtraError: trl, peft or datasets is not installed.
            ModelError: the loss is no longer a finite number.
        """
        with extra_needed(f"train {self.name}", "train"):
            loop = self._loop()
        return loop(self, data, out, **options)

    def _loop(self) -> Callable[..., Path]:
        """Import what trains."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig(PrompterRunConfig):
    """A vision-language model that learns to answer where things are, from any datasets, by TRL's SFTTrainer."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "sft"

    augmentation: Augmentation = option(Augmentation(), "how pictures are moved, with their words")
    batch_size: int = option(4, "samples at once", minimum=1)
    accumulation: int = option(1, "batches per step", minimum=1)
    learning_rate: float = option(2e-5, "the highest one, after the warm-up; for adapters about 10 times it", above=0)
    warmup_ratio: float = option(0.03, "part of all steps in which the learning rate rises", minimum=0, maximum=0.99)
    new_words: int = option(
        0,
        "words that stand at least so often in questions and answers become tokens, where the vocabulary of a small "
        "model of `fiducial train nano-vlm` spells them; 0: none",
        minimum=0,
    )

    def check(self) -> None:
        """Refuse words that adapters could not learn."""
        PrompterRunConfig.check(self)
        if self.new_words and self.lora is not None:
            raise InputError("new_words: new tokens need their embeddings trained, which adapters leave out: lora=none")

    @property
    def num_rows(self) -> int:
        """How many samples all steps of one process take."""
        return self.steps * self.batch_size * self.accumulation

    def _loop(self) -> Callable[..., Path]:
        from fiducial.training.sft import train_sft

        return train_sft
