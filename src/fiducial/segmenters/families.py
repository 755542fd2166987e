"""The SAM families: how each encodes an image and decodes prompts, behind one shape.

The vision tower may run in half precision; the prompt encoder and the mask decoder are small and
keep the dtype of their own weights (float32 unless a caller loaded them otherwise), because eight bits
of mantissa would move a coordinate on a canvas of 1024 pixels by up to two pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fiducial.errors import UnknownNameError
from fiducial.segmenters.preprocessing import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocessing, Triple
from fiducial.segmenters.sam_hq import decode_hq

Encoded = dict[str, Tensor]
Decoded = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Family:
    """One family of promptable models.

    Args:
        name: the family's name.
        model_class: the class of transformers that holds it.
        keep_aspect: whether images are fitted and padded, or stretched to the square.
        mean: mean per channel of values in 0..1.
        std: standard deviation per channel of values in 0..1.
        encode: model and (1, 3, S, S) pixels to named features.
        decode: model, features, prompt arguments and "three masks?" to (N, M, h, w) logits and (N, M)
            predicted IoU.
    """

    name: str
    model_class: str
    keep_aspect: bool
    mean: Triple
    std: Triple
    encode: Callable[[Any, Tensor], Encoded]
    decode: Callable[[Any, Mapping[str, Tensor], Mapping[str, Tensor], bool], Decoded]

    def preprocessing(self, model: Any) -> Preprocessing:
        """Say how this model wants its images, from its config."""
        size = model.config.prompt_encoder_config.image_size
        edge = size if isinstance(size, int) else size[0]
        return Preprocessing(int(edge), self.keep_aspect, self.mean, self.std)


def decoder_dtype(model: Any) -> torch.dtype:
    """Return the dtype of the mask decoder's weights."""
    dtype: torch.dtype = model.mask_decoder.iou_token.weight.dtype
    return dtype


def _encode_sam(model: Any, pixels: Tensor) -> Encoded:
    return {"image": model.vision_encoder(pixels).last_hidden_state.to(decoder_dtype(model))}


def _encode_sam_hq(model: Any, pixels: Tensor) -> Encoded:
    seen = model.vision_encoder(pixels)
    dtype = decoder_dtype(model)
    # Of the global blocks' outputs the decoder uses the first only.
    early = seen.intermediate_embeddings[0]
    return {"image": seen.last_hidden_state.to(dtype), "early": early.to(dtype)}


def _encode_sam2(model: Any, pixels: Tensor) -> Encoded:
    """Encode for SAM 2 and SAM 3.

    SAM 3's vision tower has a fourth, coarsest level that the tracker has no use for. It goes first:
    ``Sam3TrackerModel`` in transformers (5.23) adds the "nothing remembered" embedding to it, and so
    to nothing, where the video model and the authors' code add it to the third level.
    """
    dtype = decoder_dtype(model)
    fine, middle, coarse = (level.to(dtype) for level in model.vision_encoder(pixels).fpn_hidden_states[:3])
    nothing_remembered = model.no_memory_embedding.to(dtype).reshape(1, -1, 1, 1)
    return {
        "fine": model.mask_decoder.conv_s0(fine),
        "middle": model.mask_decoder.conv_s1(middle),
        "image": coarse + nothing_remembered,
    }


def _decode_sam(model: Any, features: Mapping[str, Tensor], prompts: Mapping[str, Tensor], several: bool) -> Decoded:
    out = model(image_embeddings=features["image"], multimask_output=several, **prompts)
    return out.pred_masks[0], out.iou_scores[0]


def _decode_sam2(model: Any, features: Mapping[str, Tensor], prompts: Mapping[str, Tensor], several: bool) -> Decoded:
    levels = [features["fine"], features["middle"], features["image"]]
    out = model(image_embeddings=levels, multimask_output=several, **prompts)
    return out.pred_masks[0], out.iou_scores[0]


FAMILIES = {
    family.name: family
    for family in (
        Family("sam", "SamModel", True, IMAGENET_MEAN, IMAGENET_STD, _encode_sam, _decode_sam),
        Family("sam_hq", "SamHQModel", True, IMAGENET_MEAN, IMAGENET_STD, _encode_sam_hq, decode_hq),
        Family("sam2", "Sam2Model", False, IMAGENET_MEAN, IMAGENET_STD, _encode_sam2, _decode_sam2),
        Family("sam3_tracker", "Sam3TrackerModel", False, HALF, HALF, _encode_sam2, _decode_sam2),
    )
}
"""Every family by name."""

MODEL_TYPES = {
    "sam": "sam",
    "sam_hq": "sam_hq",
    "sam2": "sam2",
    "sam2_video": "sam2",
    "sam3_tracker": "sam3_tracker",
    "sam3_tracker_video": "sam3_tracker",
    "sam3_video": "sam3_tracker",
}
"""The family of every ``model_type`` that a config may state; video checkpoints hold the image model."""


def family_of(model_type: str) -> Family:
    """Find the family of a config's ``model_type``.

    Raises:
        UnknownNameError: a model that is none of the SAM families.
    """
    if model_type not in MODEL_TYPES:
        raise UnknownNameError("segmenter model_type", model_type, MODEL_TYPES)
    return FAMILIES[MODEL_TYPES[model_type]]
