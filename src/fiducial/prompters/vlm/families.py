"""The families of vision-language models: how each is built, and how each is shown an image."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from transformers import (
    InternVLProcessor,
    LlavaNextProcessor,
    LlavaProcessor,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen2VLProcessor,
    Qwen3VLProcessor,
)
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from fiducial.errors import InputError, UnknownNameError
from fiducial.images import Image
from fiducial.prompters.showing import Colour, Picture, Size, squared, stretched, whole, widened

# -- processors ------------------------------------------------------------------------------------------


_INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
"""The names under which InternVL's processor looks for tokens, and what they are in its vocabulary."""


class Qwen2VLImageOnlyProcessor(Qwen2VLProcessor):
    """Qwen2-VL's processor without its video half."""

    # ProcessorMixin reads this signature to learn which parts there are.
    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
    ) -> None:
        _set_qwen_tokens(self, tokenizer)
        _set_parts(self, image_processor, tokenizer, chat_template)


class Qwen2_5_VLImageOnlyProcessor(Qwen2_5_VLProcessor):  # noqa: N801 - as its parent is called
    """Qwen2.5-VL's processor without its video half."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
    ) -> None:
        _set_qwen_tokens(self, tokenizer)
        _set_parts(self, image_processor, tokenizer, chat_template)


class Qwen3VLImageOnlyProcessor(Qwen3VLProcessor):
    """Qwen3-VL's processor without its video half."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
    ) -> None:
        _set_qwen_tokens(self, tokenizer)
        _set_parts(self, image_processor, tokenizer, chat_template)


class InternVLImageOnlyProcessor(InternVLProcessor):
    """InternVL's processor without its video half."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        image_seq_length: int = 256,
        chat_template: str | None = None,
        **_: Any,
    ) -> None:
        _set_parts(self, image_processor, tokenizer, chat_template)
        self.image_seq_length = image_seq_length
        start, end, place, video = (getattr(tokenizer, key, text) for key, text in _INTERNVL_TOKENS.items())
        self.start_image_token, self.end_image_token = start, end
        self.image_token, self.video_token = place, video
        self.start_image_token_id, self.end_image_token_id, self.image_token_id = tokenizer.convert_tokens_to_ids(
            [start, end, place]
        )
        self.multimodal_pattern = re.compile(f"(?P<image>{re.escape(place)})|(?P<video>{re.escape(video)})")


def _set_parts(processor: Any, image_processor: Any, tokenizer: Any, chat_template: str | None) -> None:
    """Go past the parent's ``__init__``, which would ask for a video processor."""
    ProcessorMixin.__init__(processor, image_processor, tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]


def _set_qwen_tokens(processor: Any, tokenizer: Any) -> None:
    """Set what the parent's ``__init__`` would have set beside its video half."""
    for kind, text in (("image", "<|image_pad|>"), ("video", "<|video_pad|>")):
        token = getattr(tokenizer, f"{kind}_token", None) or text
        setattr(processor, f"{kind}_token", token)
        setattr(processor, f"{kind}_token_id", tokenizer.convert_tokens_to_ids(token))


def internvl(image_processor: Any, tokenizer: Any, config: Any, chat_template: str | None) -> Any:
    """Build InternVL's processor; images are cut into tiles, as the family was trained."""
    image_processor.crop_to_patches = True
    length = int(config.image_seq_length)
    return InternVLImageOnlyProcessor(image_processor, tokenizer, length, chat_template=chat_template)


def llava(kind: type[Any]) -> Any:
    """Return a builder of one of the LLaVA processors."""

    def build(image_processor: Any, tokenizer: Any, config: Any, chat_template: str | None) -> Any:
        tower = config.vision_config.model_type
        if tower not in _EXTRA_TOKENS:
            raise InputError(
                f"a {config.model_type} model with a {tower} tower is not supported: known: {', '.join(_EXTRA_TOKENS)}"
            )
        return kind(
            image_processor,
            tokenizer,
            patch_size=int(config.vision_config.patch_size),
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            chat_template=chat_template,
            num_additional_image_tokens=_EXTRA_TOKENS[tower],
        )

    return build


_EXTRA_TOKENS = {"clip_vision_model": 1, "siglip_vision_model": 0}
"""Tokens that a vision tower adds to its patches: CLIP has a class token."""


def qwen_canvases(processor: Any, sizes: list[Size], features: Any = None) -> list[Size]:
    """Read from the grid of patches at which size each picture was shown; before there is one, foretell it."""
    images = processor.image_processor
    patch = int(images.patch_size)
    if features is not None:
        return [(int(columns) * patch, int(rows) * patch) for _, rows, columns in features["image_grid_thw"]]
    factor, least, greatest = patch * int(images.merge_size), images.size["shortest_edge"], images.size["longest_edge"]
    shapes = [smart_resize(height, width, factor, least, greatest) for width, height in sizes]
    return [(width, height) for height, width in shapes]


def llava_canvases(processor: Any, sizes: list[Size], features: Any = None) -> list[Size]:
    """Return the size of the square that every picture fills."""
    square = processor.image_processor.crop_size
    return [(int(square["width"]), int(square["height"]))] * len(sizes)


def llava_next_canvases(processor: Any, sizes: list[Size], features: Any = None) -> list[Size]:
    """Return the size that each picture has within the resolution chosen for it, without the padding."""
    return [_within(size, processor.image_processor.image_grid_pinpoints) for size in sizes]


def internvl_canvases(processor: Any, sizes: list[Size], features: Any = None) -> list[Size]:
    """Return the size of each picture's tiles together."""
    tile = processor.image_processor.size
    canvases = []
    for width, height in sizes:
        columns, rows = get_optimal_tiled_canvas(
            (height, width),
            (tile["height"], tile["width"]),
            processor.image_processor.min_patches,
            processor.image_processor.max_patches,
        )
        canvases.append((columns * int(tile["width"]), rows * int(tile["height"])))
    return canvases


def _within(size: Size, resolutions: list[list[int]]) -> Size:
    width, height = size
    best_height, best_width = select_best_resolution((height, width), resolutions)
    scale = min(best_width / width, best_height / height)
    return min(math.ceil(width * scale), best_width), min(math.ceil(height * scale), best_height)


# -- families --------------------------------------------------------------------------------------------


MAX_ASPECT = 200.0
"""The largest ratio of the sides that Qwen's image processor takes."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models."""

    name: str
    model_class: str  # the class of transformers that holds it
    image_processor: Any  # the class of its image processor, on PIL
    build_processor: Callable[[Any, Any, Any, str | None], Any]  # of image processor, tokenizer, config, chat template
    # Of processor, sizes of pictures and what its image processor made of them, if anything: the (width, height) shown.
    canvases: Callable[[Any, list[Size], Any], list[Size]]
    # How an image that nobody stretches is seen whole: as it is, padded to a square, or padded where it is too narrow.
    fit: Literal["whole", "square", "widen"] = "whole"
    takes_pixels: bool = False  # whether min_pixels and max_pixels mean something

    def picture(self, image: Image, canvas: Size | None, colour: Colour) -> Picture:
        """Make the picture that the image processor is given: the whole image is always in it.

        It is stretched to a canvas, or keeps its aspect, padded in a colour where it has to be.
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
        """Return the (width, height) at which the model sees each picture; without ``features`` it is foretold.

        Qwen's models count patches, so theirs is what the grid of patches says. The others know no
        pixels of their own, so a canvas that a caller asked for is the one the numbers mean.
        """
        canvases = self.canvases(processor, [picture.size for picture in pictures], features)
        if self.takes_pixels:
            return canvases
        return [picture.size if picture.forced else canvas for picture, canvas in zip(pictures, canvases, strict=True)]

    def limit_pixels(self, image_processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
        """Set the least and greatest area of the canvas; None keeps that of the checkpoint.

        Raises:
            InputError: this family knows no such limits, or they leave nothing.
        """
        if min_pixels is None and max_pixels is None:
            return
        if not self.takes_pixels:
            raise InputError(f"{self.name} takes no min_pixels or max_pixels: the size of its canvas is fixed")
        size = image_processor.size
        low = int(size["shortest_edge"]) if min_pixels is None else min_pixels
        high = int(size["longest_edge"]) if max_pixels is None else max_pixels
        if low > high:
            raise InputError(f"the canvas needs 1 <= min_pixels <= max_pixels, got {low} and {high}")
        image_processor.size = type(size)(shortest_edge=low, longest_edge=high)


def _qwen(name: str, model_class: str, processor: type[Any]) -> Family:
    def build(image_processor: Any, tokenizer: Any, config: Any, chat_template: str | None) -> Any:
        return processor(image_processor, tokenizer, chat_template=chat_template)

    return Family(name, model_class, Qwen2VLImageProcessorPil, build, qwen_canvases, fit="widen", takes_pixels=True)


FAMILIES = {
    "qwen2_vl": _qwen("Qwen2-VL", "Qwen2VLForConditionalGeneration", Qwen2VLImageOnlyProcessor),
    "qwen2_5_vl": _qwen("Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration", Qwen2_5_VLImageOnlyProcessor),
    "qwen3_vl": _qwen("Qwen3-VL", "Qwen3VLForConditionalGeneration", Qwen3VLImageOnlyProcessor),
    "qwen3_vl_moe": _qwen("Qwen3-VL", "Qwen3VLMoeForConditionalGeneration", Qwen3VLImageOnlyProcessor),
    "llava": Family(
        "LLaVA",
        "LlavaForConditionalGeneration",
        LlavaImageProcessorPil,
        llava(LlavaProcessor),
        llava_canvases,
        fit="square",
    ),
    "llava_next": Family(
        "LLaVA-NeXT",
        "LlavaNextForConditionalGeneration",
        LlavaNextImageProcessorPil,
        llava(LlavaNextProcessor),
        llava_next_canvases,
    ),
    "internvl": Family(
        "InternVL",
        "InternVLForConditionalGeneration",
        GotOcr2ImageProcessorPil,
        internvl,
        internvl_canvases,
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
