"""Decoding of SAM-HQ as its authors define it.

The decoder of ``SamHQModel`` in transformers (5.23) drops the image half of what its two-way
transformer returns and upscales the untouched image embedding, rows and columns exchanged, instead.
The layers and their weights are right, so they are called here in the order of the paper:
Ke et al., "Segment Anything in High Quality" (2023), section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def decode_hq(
    model: Any, features: Mapping[str, Tensor], prompts: Mapping[str, Tensor], several: bool
) -> tuple[Tensor, Tensor]:
    """Decode prompts of one image.

    Args:
        model: a loaded ``SamHQModel``.
        features: ``image`` (1, C, h, w), the embedding, and ``early`` (1, h, w, V), what the vision
            tower held after its first global block.
        prompts: ``input_boxes`` (1, N, 4) and/or ``input_points`` (1, N, K, 2) with ``input_labels``.
        several: three masks of falling ambiguity instead of one.

    Returns:
        (N, M, 4h, 4w) logits and (N, M) predicted IoU, M being 3 or 1. Every mask is the sum of a
        mask of SAM and the high-quality mask.
    """
    decoder = model.mask_decoder
    sparse, dense = model.prompt_encoder(
        input_points=prompts.get("input_points"),
        input_labels=prompts.get("input_labels"),
        input_boxes=prompts.get("input_boxes"),
        input_masks=None,
    )
    tokens, image = _attend(model, features["image"] + dense, sparse)
    fine = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(image)))
    fine = decoder.activation(decoder.upscale_conv2(fine))
    finest = decoder.activation(decoder.mask_norm(decoder.mask_conv1(fine)))
    finest = decoder.mask_conv2(finest) + _high_quality_features(decoder, features)

    heads = [*decoder.output_hypernetworks_mlps, decoder.hq_mask_mlp]
    kernels = [head(tokens[:, 1 + place]) for place, head in enumerate(heads)]
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


def _high_quality_features(decoder: Any, features: Mapping[str, Tensor]) -> Tensor:
    early = features["early"].permute(0, 3, 1, 2).contiguous()
    early = decoder.activation(decoder.compress_vit_norm(decoder.compress_vit_conv1(early)))
    late = decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(features["image"])))
    fused: Tensor = decoder.compress_vit_conv2(early) + decoder.encoder_conv2(late)
    return fused


def _apply(kernels: Tensor, features: Tensor) -> Tensor:
    """Multiply (N, M, C) kernels with (N, C, h, w) features."""
    return (kernels @ features.flatten(2)).reshape(*kernels.shape[:2], *features.shape[2:])
