"""The contracts: what a prompter, a segmenter, a refiner and an overlay promise each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What a segmenter keeps of one image: computed once, used for any number of prompts.

    Args:
        key: names image content, model, preprocessing and dtype; equal keys mean equal contents.
        width: width of the original image in pixels.
        height: height of the original image in pixels.
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


@runtime_checkable
class Prompter(Protocol):
    """Instruction and image in, prompts out."""

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it.

        Returns:
            One answer per image, in order, its prompts in the pixel frame of that image
            (``image.frame``). A reply of no use is an answer with an outcome that says so.

        Raises:
            ModelError: the model or server itself failed.
        """
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Image to embedding once, embedding and prompts to masks many times."""

    def encode(self, image: Image) -> Embedding:
        """Compute what decoding needs; the costly half."""
        ...

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, at the size of the original image.

        Args:
            embedding: what :meth:`encode` returned.
            prompts: in pixels of the original image; no prompt influences another.

        Returns:
            One mask per prompt, in order; ``mask.score`` is the model's own estimate, if it has one.

        Raises:
            FrameError: the prompts are not in pixels of the original image.
        """
        ...


@runtime_checkable
class PromptRefiner(Protocol):
    """Prompts in, better prompts out."""

    def __call__(self, image: Image, prompts: Prompts) -> Prompts:
        """Return as many prompts, in the same frame and order."""
        ...


@runtime_checkable
class MaskRefiner(Protocol):
    """A mask in, a better mask out."""

    def __call__(self, image: Image, mask: Mask, prompt: Prompt) -> Mask:
        """Return a mask of the same size."""
        ...


@runtime_checkable
class Overlay(Protocol):
    """Draws onto the image before the model sees it."""

    def __call__(self, image: Image) -> Image:
        """Return an image of the same size."""
        ...
