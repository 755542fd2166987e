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
from fiducial.images.image import Resample
from fiducial.prompters.showing import Colour, Picture, Size, squared, stretched, whole, widened
from fiducial.prompters.vlm.conv_tower import MODEL_TYPE as CONV_TOWER

# -- processors ------------------------------------------------------------------------------------------


_INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
"""The names under which InternVL's processor looks for tokens, and what they are in its vocabulary."""


class _QwenImageOnly:
    """What goes before a processor of Qwen's families to take its video half away."""

    # ProcessorMixin reads this signature to learn which parts there are.
    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **_: Any
    ) -> None:
        for kind in ("image", "video"):  # what the parent would have set beside its video half
            token = getattr(tokenizer, f"{kind}_token", None) or f"<|{kind}_pad|>"
            setattr(self, f"{kind}_token", token)
            setattr(self, f"{kind}_token_id", tokenizer.convert_tokens_to_ids(token))
        _set_parts(self, image_processor, tokenizer, chat_template)


class Qwen2VLImageOnlyProcessor(_QwenImageOnly, Qwen2VLProcessor):
    """Qwen2-VL's processor without its video half."""


class Qwen2_5_VLImageOnlyProcessor(_QwenImageOnly, Qwen2_5_VLProcessor):  # noqa: N801 - as its parent is called
    """Qwen2.5-VL's processor without its video half."""


class Qwen3VLImageOnlyProcessor(_QwenImageOnly, Qwen3VLProcessor):
    """Qwen3-VL's processor without its video half."""


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


_EXTRA_TOKENS = {"clip_vision_model": 1, "siglip_vision_model": 0, CONV_TOWER: 0}
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
    canvases = []
    for width, height in sizes:
        best_height, best_width = select_best_resolution(
            (height, width), processor.image_processor.image_grid_pinpoints
        )
        scale = min(best_width / width, best_height / height)
        canvases.append((min(math.ceil(width * scale), best_width), min(math.ceil(height * scale), best_height)))
    return canvases


def internvl_canvases(processor: Any, sizes: list[Size], features: Any = None) -> list[Size]:
    """Return the size of each picture's tiles together."""
    images = processor.image_processor
    tile = int(images.size["height"]), int(images.size["width"])
    tiles = [
        get_optimal_tiled_canvas((height, width), tile, images.min_patches, images.max_patches)
        for width, height in sizes
    ]
    return [(columns * tile[1], rows * tile[0]) for columns, rows in tiles]


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

    def picture(self, image: Image, canvas: Size | None, colour: Colour, resample: Resample = "lanczos") -> Picture:
        """Make the picture for the image processor: the whole image, stretched to a canvas or padded where needed."""
        if canvas is not None:
            return stretched(whole(image), canvas, resample)
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
    """Find the family of a config's ``model_type``; any other model raises UnknownNameError."""
    if model_type not in FAMILIES:
        raise UnknownNameError("vision-language model_type", model_type, FAMILIES)
    return FAMILIES[model_type]
