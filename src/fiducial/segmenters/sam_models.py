"""The models of the SAM families: how each encodes an image and decodes prompts, and how their weights are loaded.

The vision tower may run in half precision; the prompt encoder and the mask decoder keep the dtype of their own weights:
eight bits of mantissa would move a coordinate on a canvas of 1024 pixels by up to two pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fiducial.checkpoints import CONFIG, WEIGHTS, check_complete, loading, locate
from fiducial.errors import UnknownNameError
from fiducial.segmenters.canvas import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocessing, Triple

Encoded = dict[str, Tensor]
Decoded = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Family:
    """One family of promptable models."""

    name: str
    model_class: str  # of transformers
    keep_aspect: bool  # whether images are fitted and padded, or stretched to the square
    mean: Triple  # per channel of values in 0..1
    std: Triple
    encode: Callable[[Any, Tensor], Encoded]  # model and (1, 3, S, S) pixels to named features
    # Model, features, prompt arguments and "three masks?" to (N, M, h, w) logits and (N, M) predicted IoU.
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


def _decode_sam_hq(model: Any, features: Mapping[str, Tensor], prompts: Mapping[str, Tensor], several: bool) -> Decoded:
    """Decode prompts of one image with SAM-HQ as its authors define it; (N, M, 4h, 4w) logits, (N, M) predicted IoU.

    The decoder of ``SamHQModel`` in transformers (5.23) drops the image half of what its two-way
    transformer returns and upscales the untouched image embedding, rows and columns exchanged, instead.
    The layers and their weights are right, so they are called here in the order of the paper:
    Ke et al., "Segment Anything in High Quality" (2023), section 3.2. Every mask is the sum of a mask of SAM and the
    high-quality mask. ``features`` are ``image`` (1, C, h, w), the embedding, and ``early`` (1, h, w, V), what the
    vision tower held after its first global block.
    """
    decoder = model.mask_decoder
    names = ("input_points", "input_labels", "input_boxes", "input_masks")
    sparse, dense = model.prompt_encoder(**{name: prompts.get(name) for name in names})
    tokens, image = _attend(model, features["image"] + dense, sparse)
    fine = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(image)))
    fine = decoder.activation(decoder.upscale_conv2(fine))
    finest = decoder.activation(decoder.mask_norm(decoder.mask_conv1(fine)))
    early = features["early"].permute(0, 3, 1, 2).contiguous()
    early = decoder.activation(decoder.compress_vit_norm(decoder.compress_vit_conv1(early)))
    late = decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(features["image"])))
    finest = decoder.mask_conv2(finest) + (decoder.compress_vit_conv2(early) + decoder.encoder_conv2(late))

    heads = [*decoder.output_hypernetworks_mlps, decoder.hq_mask_mlp]
    kernels = [head(tokens[:, 1 + index]) for index, head in enumerate(heads)]
    chosen = slice(1, len(heads) - 1) if several else slice(0, 1)
    masks = _apply(torch.stack(kernels[chosen], dim=1), fine) + _apply(kernels[-1][:, None], finest)
    return masks, decoder.iou_prediction_head(tokens[:, 0])[:, chosen]


def _attend(model: Any, image: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
    """Let tokens and image look at each other: (N, T, C) tokens and (N, C, h, w) image."""
    decoder, count = model.mask_decoder, sparse.shape[1]
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
    tokens = torch.cat([own.expand(1, count, -1, -1), sparse], dim=2).to(own.dtype)
    tokens, seen = decoder.transformer(
        point_embeddings=tokens,
        image_embeddings=image.repeat_interleave(count, 0),
        image_positional_embeddings=model.get_image_wide_positional_embeddings().repeat_interleave(count, 0),
        attention_similarity=None,
        target_embedding=None,
    )
    return tokens[0], seen.reshape(count, -1, image.shape[1]).transpose(1, 2).reshape(count, *image.shape[1:])


def _apply(kernels: Tensor, features: Tensor) -> Tensor:
    """Multiply (N, M, C) kernels with (N, C, h, w) features."""
    return (kernels @ features.flatten(2)).reshape(*kernels.shape[:2], *features.shape[2:])


FAMILIES = {
    family.name: family
    for family in (
        Family("sam", "SamModel", True, IMAGENET_MEAN, IMAGENET_STD, _encode_sam, _decode_sam),
        Family("sam_hq", "SamHQModel", True, IMAGENET_MEAN, IMAGENET_STD, _encode_sam_hq, _decode_sam_hq),
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
    """Find the family of a config's ``model_type``; any other model raises UnknownNameError."""
    if model_type not in MODEL_TYPES:
        raise UnknownNameError("segmenter model_type", model_type, MODEL_TYPES)
    return FAMILIES[MODEL_TYPES[model_type]]


_NEEDED = (CONFIG, WEIGHTS)
_IMAGE_HALF = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
_KEYS_OF_SAM3_VIDEO = {
    r"^tracker_model\.": "",
    r"^tracker_neck\.": "vision_encoder.neck.",
    r"^detector_model\.vision_encoder\.backbone\.": "vision_encoder.backbone.",
}
"""Where the image model finds its weights in a checkpoint of the whole SAM 3."""


def load_model(
    model: str | Path,
    *,
    cache: str | Path | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
) -> tuple[Any, Family]:
    """Load a model of the SAM families in float32, on the CPU, from safetensors; return it with its family.

    The options are those of :class:`fiducial.segmenters.sam_configs.SamConfig`.

    Raises:
        HubError: files are neither here nor to be had.
        UnknownNameError: the config states a ``model_type`` that is no SAM.
        ModelError: the checkpoint lacks weights of the model that its config describes.
    """
    import transformers

    where: dict[str, Any] = {"cache_dir": cache, "local_files_only": local_files_only, "revision": revision}
    source = locate(model, _NEEDED)
    with loading(source, _NEEDED, cache=cache, revision=revision):
        stated, _ = transformers.PreTrainedConfig.get_config_dict(source, **where)
        family = family_of(str(stated.get("model_type", "")))
        kind = getattr(transformers, family.model_class)
        loaded, report = kind.from_pretrained(
            source,
            **where,
            **_image_model_of_a_video_model(kind, stated),
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
    check_complete(source, family.model_class, report)
    return loaded, family


def _image_model_of_a_video_model(kind: Any, stated: dict[str, Any]) -> dict[str, Any]:
    """Say how to take the image model out of a video checkpoint, which is how SAM 2.1 and SAM 3 are published."""
    if not str(stated["model_type"]).endswith("_video"):
        return {}
    half = stated.get("tracker_config", stated)
    options: dict[str, Any] = {"config": kind.config_class(**{name: half[name] for name in _IMAGE_HALF})}
    if "tracker_config" in stated:
        options["key_mapping"] = _KEYS_OF_SAM3_VIDEO
    return options
