"""The contracts: what a prompter, a segmenter, a refiner and an overlay promise each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What a segmenter keeps of one image, ``width`` x ``height`` pixels; used for any number of prompts.

    Args:
        key: names image content, model, preprocessing and dtype; equal keys mean equal contents.
        tensors: the features by name; nobody may change them in place.
        image: the image itself, for segmenters that work on its pixels.
    """

    key: str
    width: int
    height: int
    tensors: Mapping[str, Any]
    image: Image | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """What a refiner did to one target, and why.

    Args:
        refiner: the refiner's name.
        changed: whether what came out differs from what went in.
        reason: in plain words and on one line: what was done, or why nothing was.
        figures: what was measured on the way, by name; finite numbers and words.
        pictures: (h, w, 3) uint8 RGB pictures of the way, by name, in order; empty unless they were asked for.

    Example:
        >>> Refinement("mbo", True, "kept", {"iterations": 2}).as_json()
        {'refiner': 'mbo', 'changed': True, 'reason': 'kept', 'figures': {'iterations': 2}}
    """

    refiner: str
    changed: bool
    reason: str
    figures: Mapping[str, float | int | str] = field(default_factory=dict)
    pictures: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.figures.items():
            if not isinstance(value, str) and not math.isfinite(value):
                raise InputError(f"{self.refiner}: the figure {name!r} is {value}, which is not finite")
        for name, picture in self.pictures.items():
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
                raise InputError(
                    f"{self.refiner}: the picture {name!r} needs shape (h, w, 3) and uint8 values, "
                    f"got {picture.shape} {picture.dtype}"
                )
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))
        object.__setattr__(self, "pictures", MappingProxyType(dict(self.pictures)))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, without the pictures."""
        return {name: getattr(self, name) for name in ("refiner", "changed", "reason")} | {"figures": {**self.figures}}


@runtime_checkable
class Prompter(Protocol):
    """Instruction and image in, prompts out."""

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it.

        Returns:
            One answer per image, in order, its prompts in the pixel frame of that image. A reply of no use is an
            answer with an outcome that says so; ModelError is for a model or server that failed itself.
        """


@dataclass(frozen=True, slots=True)
class TextReply:
    """What a model said, in its own words.

    Args:
        text: the reply, letter by letter, without what was kept apart as thinking.
        finished: it came to its end, rather than to the limit of tokens.
        thinking: what a server kept apart as the model's reasoning.
        failure: why there is no reply; "" where there is one.
    """

    text: str
    finished: bool = True
    thinking: str = ""
    failure: str = ""


@runtime_checkable
class Conversational(Protocol):
    """A prompter that can talk: pictures and words in, words out."""

    def converse(self, images: Sequence[Sequence[Image]], texts: Sequence[str]) -> list[TextReply]:
        """Reply to each text about the images beside it: one, several in order, or none.

        Returns:
            One reply per text, in order. A request that failed is a reply with a failure; ModelError is for a model or
            server that failed itself.
        """


@runtime_checkable
class SamplingPrompter(Prompter, Protocol):
    """A prompter that draws its replies, so that asking it again may give another answer."""

    def sampled(self, number: int) -> Prompter:
        """Return the same prompter, sharing its model, with draws of its own for each number; 0 is as it is.

        Raises:
            InputError: it is set to draw nothing; the message says what to set.
        """


@runtime_checkable
class Segmenter(Protocol):
    """Image to embedding once, embedding and prompts to masks many times."""

    def encode(self, image: Image) -> Embedding:
        """Compute what decoding needs; the costly half."""

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, in order and at the size of the original image; no prompt influences another.

        The prompts are in pixels of the original image; ``mask.score`` is the model's own estimate, if it has one.
        """


@runtime_checkable
class PromptRefiner(Protocol):
    """Prompts in, better prompts out."""

    def __call__(self, image: Image, prompts: Prompts) -> Prompts:
        """Return as many prompts, in the same frame and order."""


@runtime_checkable
class MaskRefiner(Protocol):
    """A mask in, a better mask out."""

    def __call__(self, image: Image, mask: Mask, prompt: Prompt) -> Mask:
        """Return a mask of the same size."""


@runtime_checkable
class ReportingPromptRefiner(PromptRefiner, Protocol):
    """A prompt refiner that also tells what it did."""

    def report(
        self, image: Image, prompts: Prompts, *, pictures: bool = False
    ) -> tuple[Prompts, tuple[Refinement, ...]]:
        """Refine as calling does, and tell what was done to each prompt; pictures of the way cost time."""


@runtime_checkable
class ReportingMaskRefiner(MaskRefiner, Protocol):
    """A mask refiner that also tells what it did."""

    def report(self, image: Image, mask: Mask, prompt: Prompt, *, pictures: bool = False) -> tuple[Mask, Refinement]:
        """Refine as calling does, and tell what was done; pictures of the way cost time."""


@runtime_checkable
class Overlay(Protocol):
    """Draws onto the image before the model sees it."""

    def __call__(self, image: Image) -> Image:
        """Return an image of the same size."""


@runtime_checkable
class Text2Centroid(Protocol):
    """Reads out of sentences where a target lies (the reader of CG-Reasoner's spatial term and of PRScore).

    Attributes:
        name: which one it is, for what is scored by it.
    """

    name: str

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return points (n, 2) x, y in ``Frame.centred()``; NaN where a text states no place or none is understood."""


@runtime_checkable
class SentenceEmbedder(Protocol):
    """Sentences to vectors whose cosine says how alike they are."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, D)."""


def paired(images: Sequence[Image], instructions: Sequence[str]) -> Iterator[tuple[Image, str]]:
    """Return each image with its instruction, as prompters are asked; an InputError where the numbers differ."""
    if len(images) != len(instructions):
        raise InputError(f"{len(images)} images need as many instructions, got {len(instructions)}")
    return zip(images, instructions, strict=True)
