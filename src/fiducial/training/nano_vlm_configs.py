"""What the training of a small vision-language model from nothing can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.training.configs import RunConfig, Source, check_data


@dataclass(frozen=True, slots=True)
class PictureSource(Source):
    """One dataset of pictures in which every thing is named; questions about them are made anew at every step."""

    windows: int = option(1, "windows cut out of each picture", minimum=1)
    window: tuple[float, float] = option(
        (1.0, 1.0), "shortest and longest side of a window, as parts of the picture's shorter side", above=0, maximum=1
    )

    def check(self) -> None:
        """Refuse windows upside down."""
        if self.window[0] > self.window[1]:
            raise InputError(f"{self.dataset}: a window is shortest, longest, got {self.window}")


@dataclass(frozen=True, slots=True)
class NanoVLMNetwork(Config):
    """The make-up of a LLaVA with a convolutional tower and a Llama."""

    canvas: int = option(192, "side of the square that is seen, a multiple of 16", unit="pixels", minimum=32)
    widths: tuple[int, int] = option((64, 128), "channels of the tower at strides 4 and 8, multiples of 8", minimum=8)
    blocks: tuple[int, int, int] = option((1, 2, 1), "residual blocks at strides 4, 8 and 16", minimum=0)
    hidden_size: int = option(
        256, "channels of the language model, and of the tower at stride 16, a multiple of 8", minimum=8
    )
    layers: int = option(5, "of the language model", minimum=1)
    intermediate_size: int = option(768, "of its feed-forward layers", minimum=1)
    heads: int = option(4, "of its attention; half as many for keys and values", minimum=2)

    def check(self) -> None:
        """Refuse a canvas, channels and heads that do not come out even."""
        if self.canvas % 16:
            raise InputError(f"canvas: a multiple of 16 pixels is needed, got {self.canvas}")
        if any(width % 8 for width in (*self.widths, self.hidden_size)):
            raise InputError(f"widths, hidden_size: multiples of 8 are needed, got {self.widths}, {self.hidden_size}")
        if self.heads % 2 or self.hidden_size % (2 * self.heads):
            raise InputError(
                f"heads: an even number of which hidden_size={self.hidden_size} is an even multiple, got {self.heads}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoVLMConfig(RunConfig):
    """A vision-language model of a few million weights from nothing: first it learns to see, then to answer."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "nano-vlm"
    extra: ClassVar[str] = "models"
    task: ClassVar[str] = "fiducial.training.nano_vlm:NanoVLMTask"
    changeable: ClassVar[frozenset[str]] = RunConfig.changeable | {"num_workers", "pool_folder"}

    stage: Literal["dense", "answers"] = option(
        help="dense: every cell says what it holds and where; answers: questions are answered in the dialects"
    )
    data: tuple[PictureSource, ...] = option(help="what to learn from")
    network: NanoVLMNetwork = option(NanoVLMNetwork(), "make-up of the network")
    initial: str = option("", "the folder of a model to begin with, of the same make-up; none: begin from nothing")
    dialects: tuple[tuple[str, float], ...] = option(
        (("think2seg", 0.35), ("sjtu", 0.65)), "dialects that are learned, and the part of the answers in each"
    )
    optimiser: Literal["adamw", "muon"] = option(
        "muon", "muon moves the matrices of tower and layers, and AdamW embeddings and heads"
    )
    steps: int = option(4000, "optimiser steps", minimum=1)
    batch_size: int = option(16, "pictures per step", minimum=1)
    questions: int = option(8, "most questions about a picture per step", minimum=1)
    first: tuple[str, ...] = option(
        (), "kinds of requests (class, colour, ...) that are asked alone at first, until words are told apart"
    )
    first_part: float = option(0.2, "part of the steps in which they are", minimum=0, maximum=1)
    often: tuple[str, ...] = option((), "kinds of requests that are asked alone of a part of the pictures")
    often_part: float = option(0.5, "part of the pictures of which they are", minimum=0, maximum=1)
    thinking: Literal["sentence", "row"] = option(
        "sentence",
        "what is thought before an answer: sentence: how it was chosen and where it lies; row: before that the places "
        "of what was put in an order, from the first on",
    )
    visible: int = option(56, "cells of a picture that are shown while the tower stands still", minimum=1)
    frozen: float = option(0.6, "part of the steps of answers in which the tower stands still", minimum=0, maximum=1)
    sigma: tuple[float, float] = option(
        (3.4, 0.7), "spread of the right number among its neighbours, at first and at last", unit="pixels", above=0
    )
    warmup_steps: int = option(30, "in which the learning rate rises", minimum=1)
    hold: float = option(0.5, "part of the steps after which the learning rate falls", minimum=0, maximum=1)
    eval_every: int = option(500, "steps between two evaluations on the held-out part", minimum=1)
    eval_limit: int = option(96, "largest number of held-out pictures per source and evaluation", minimum=1)
    pool_folder: str = option(
        "", "folder in which drawn pictures are kept, which runs can share; none: they are drawn anew"
    )
    num_workers: int = option(1, "processes that make batches ahead of time; 0: none", minimum=0)

    def check(self) -> None:
        """Refuse a run without data, or with dialects that nobody knows or that have no words for small models."""
        from fiducial.language.dialects import dialect as dialect_named
        from fiducial.prompters.templates import template_names
        from fiducial.synthetic.expressions import FAMILIES

        check_data(self.data)
        for option_name, kinds in (("first", self.first), ("often", self.often)):
            if not_known := sorted(set(kinds) - set(FAMILIES)):
                raise InputError(f"{option_name}: {', '.join(not_known)}: kinds of requests are {', '.join(FAMILIES)}")
        small = [name.removeprefix("nano-") for name in template_names() if name.startswith("nano-")]
        for name, _ in self.dialects:
            if dialect_named(name).name not in small:
                raise InputError(f"dialects: only {' and '.join(small)} have a template for small models, got {name!r}")
        parts = [share for _, share in self.dialects]
        if min(parts, default=0.0) < 0 or sum(parts) <= 0:
            raise InputError(f"dialects: parts of at least 0 that are not all 0 are needed, got {parts}")
