"""The families of vision-language models: how each is built, and how each is shown an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from transformers import LlavaNextProcessor, LlavaProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from fiducial.errors import UnknownNameError
from fiducial.images import Image
from fiducial.prompters.showing import Colour, Picture, Size, squared, stretched, whole, widened
from fiducial.prompters.vlm import processors

MAX_ASPECT = 200.0
"""The largest ratio of the sides that Qwen's image processor takes."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    Args:
        name: the family's name.
        model_class: the class of transformers that holds it.
        image_processor: the class of its image processor, on PIL.
        build_processor: image processor, tokenizer, config and chat template to a processor.
        canvases: processor, sizes of pictures and what its image processor made of them (None:
            nothing yet), to the (width, height) at which each picture is shown.
        fit: how an image that nobody stretches is made to be seen whole: ``"whole"`` as it is,
            ``"square"`` padded to a square, ``"widen"`` padded only where it is too narrow.
        takes_pixels: whether ``min_pixels`` and ``max_pixels`` mean something.
    """

    name: str
    model_class: str
    image_processor: Any
    build_processor: Callable[[Any, Any, Any, str | None], Any]
    canvases: Callable[[Any, list[Size], Any], list[Size]]
    fit: Literal["whole", "square", "widen"] = "whole"
    takes_pixels: bool = False

    def picture(self, image: Image, canvas: Size | None, colour: Colour) -> Picture:
        """Make the picture that the image processor is given: the whole image is always in it.

        Args:
            image: the image.
            canvas: (width, height) to stretch it to, or None to keep its aspect.
            colour: of the padding, where there is any.
        """
        if canvas is not None:
            return stretched(whole(image), canvas)
        if self.fit == "square":
            # The processor would cut the middle out of an image that is not square.
            return squared(image, colour)
        if self.fit == "widen":
            return widened(image, MAX_ASPECT, colour)
        return whole(image)

    def shown_at(self, processor: Any, pictures: list[Picture], features: Any = None) -> list[Size]:
        """Return the (width, height) at which the model sees each picture.

        Args:
            processor: the model's processor.
            pictures: what its image processor is given.
            features: what its image processor made of them; None: nothing yet, foretell it.

        Qwen's models count patches, so theirs is what the grid of patches says. The others know no
        pixels of their own, so a canvas that a caller asked for is the one the numbers mean.
        """
        canvases = self.canvases(processor, [picture.size for picture in pictures], features)
        if self.takes_pixels:
            return canvases
        return [picture.size if picture.forced else canvas for picture, canvas in zip(pictures, canvases, strict=True)]


def _qwen(name: str, model_class: str, processor: type[Any]) -> Family:
    return Family(
        name,
        model_class,
        Qwen2VLImageProcessorPil,
        processors.qwen(processor),
        processors.qwen_canvases,
        fit="widen",
        takes_pixels=True,
    )


FAMILIES = {
    "qwen2_vl": _qwen("Qwen2-VL", "Qwen2VLForConditionalGeneration", processors.Qwen2VLImageOnlyProcessor),
    "qwen2_5_vl": _qwen("Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration", processors.Qwen2_5_VLImageOnlyProcessor),
    "qwen3_vl": _qwen("Qwen3-VL", "Qwen3VLForConditionalGeneration", processors.Qwen3VLImageOnlyProcessor),
    "qwen3_vl_moe": _qwen("Qwen3-VL", "Qwen3VLMoeForConditionalGeneration", processors.Qwen3VLImageOnlyProcessor),
    "llava": Family(
        "LLaVA",
        "LlavaForConditionalGeneration",
        LlavaImageProcessorPil,
        processors.llava(LlavaProcessor),
        processors.llava_canvases,
        fit="square",
    ),
    "llava_next": Family(
        "LLaVA-NeXT",
        "LlavaNextForConditionalGeneration",
        LlavaNextImageProcessorPil,
        processors.llava(LlavaNextProcessor),
        processors.llava_next_canvases,
    ),
    "internvl": Family(
        "InternVL",
        "InternVLForConditionalGeneration",
        GotOcr2ImageProcessorPil,
        processors.internvl,
        processors.internvl_canvases,
    ),
}
"""The family of every ``model_type`` that a config may state."""


def family_of(model_type: str) -> Family:
    """Find the family of a config's ``model_type``.

    Raises:
        UnknownNameError: a model of no family that is supported.
    """
    if model_type not in FAMILIES:
        raise UnknownNameError("vision-language model_type", model_type, FAMILIES)
    return FAMILIES[model_type]
