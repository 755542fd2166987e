"""Tiny segmenters with random weights, built from configs and saved as ordinary model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZE = 64
"""Pixels along an edge of what the tiny models see."""


def reinitialise(model: Any, seed: int = 0) -> Any:
    """Give every weight a size at which activations neither die nor explode.

    A SAM from a config leaves its vision tower at a spread of 1e-10 and its Fourier frequencies near
    ``hidden_size / 2``, so that every picture and every prompt would look alike.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensors = model.state_dict()  # what a checkpoint holds: no buffers that the model computes itself
    with torch.no_grad():
        for name, tensor in tensors.items():
            if not tensor.is_floating_point():
                continue
            norm = "norm" in name and name.endswith("weight")
            # Small frequencies: nearby prompts must look alike, as they do to a trained model.
            spread = 1.0 if "positional_embedding" in name else 0.25 if tensor.ndim > 1 else 0.1
            tensor.normal_(1.0 if norm else 0.0, 0.1 if norm else spread, generator=generator)
    return model.eval()


def assert_alike(found: Any, expected: Any) -> None:
    """Compare masks that two ways of computing gave, in order: rounding may turn single pixels where a logit is near 0.

    At most two pixels, or one in a hundred of the larger mask, may differ; scores by 1e-4.
    """
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        apart = int((one.to_dense() != other.to_dense()).sum())
        assert apart <= max(2, 0.01 * max(one.area, other.area)), f"{apart} pixels differ"
        assert (one.score is None) == (other.score is None)
        assert one.score is None or abs(one.score - other.score) < 1e-4


def save(model: Any, folder: Path) -> Path:
    """Write a model folder: config.json and model.safetensors."""
    model.save_pretrained(folder)
    return Path(folder)


MEMORY = {
    "image_size": SIZE,
    "memory_attention_hidden_size": 32,
    "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_rope_feat_sizes": [4, 4],
    "memory_encoder_hidden_size": 32,
    "memory_encoder_output_channels": 16,
    "mask_downsampler_embed_dim": 32,
    "memory_fuser_embed_dim": 32,
    "memory_fuser_intermediate_dim": 32,
    "memory_fuser_num_layers": 1,
}
"""The half of a video model that images have no use for."""


def _prompt_encoder(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 32, "image_size": SIZE, "patch_size": 8, "mask_input_channels": 4, **more}


def _mask_decoder(**more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
        **more,
    }


def _vit() -> dict[str, Any]:
    return {
        "hidden_size": 24,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "mlp_ratio": 2.0,
    }


def sam_model(seed: int = 0) -> Any:
    """Build a SAM with a plain ViT."""
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config=_vit(),
        prompt_encoder_config=_prompt_encoder(image_embedding_size=8),
        mask_decoder_config=_mask_decoder(),
    )
    return reinitialise(SamModel(config), seed)


def sam_hq_model(seed: int = 0) -> Any:
    """Build a SAM-HQ."""
    from transformers import SamHQConfig, SamHQModel

    config = SamHQConfig(
        vision_config=_vit(),
        prompt_encoder_config=_prompt_encoder(image_embedding_size=8),
        mask_decoder_config=_mask_decoder(vit_dim=24),
    )
    return reinitialise(SamHQModel(config), seed)


def _hiera() -> dict[str, Any]:
    return {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "image_size": [SIZE, SIZE],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 4, 4, 2],
            "global_attention_blocks": [3],
            "window_positional_embedding_background_size": [4, 4],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }


def sam2_model(seed: int = 0) -> Any:
    """Build a SAM 2."""
    from transformers import Sam2Config, Sam2Model

    config = Sam2Config(
        vision_config=_hiera(),
        prompt_encoder_config=_prompt_encoder(patch_size=16),
        mask_decoder_config=_mask_decoder(),
    )
    return reinitialise(Sam2Model(config), seed)


def sam2_video_model(seed: int = 0) -> Any:
    """Build a SAM 2 as the hub ships it: the video model, of which images need a part."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    config = Sam2VideoConfig(
        vision_config=_hiera(),
        prompt_encoder_config=_prompt_encoder(patch_size=16),
        mask_decoder_config=_mask_decoder(),
        **MEMORY,
    )
    return reinitialise(Sam2VideoModel(config), seed)


def _pixel_vit(**more: Any) -> dict[str, Any]:
    return {
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 16,
            "window_size": 2,
            "global_attn_indexes": [1],
            "pretrain_image_size": 32,
        },
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        **more,
    }


def sam3_tracker_model(seed: int = 0, **vision: Any) -> Any:
    """Build a SAM 3 tracker, the promptable half of SAM 3."""
    from transformers import Sam3TrackerConfig, Sam3TrackerModel

    config = Sam3TrackerConfig(
        vision_config=_pixel_vit(**vision),
        prompt_encoder_config=_prompt_encoder(patch_size=16),
        mask_decoder_config=_mask_decoder(),
    )
    return reinitialise(Sam3TrackerModel(config), seed)


def sam3_video_model(seed: int = 0) -> Any:
    """Build the whole SAM 3 as the hub ships it: a detector and a video tracker on one backbone."""
    from transformers import Sam3Config, Sam3TrackerVideoConfig, Sam3VideoConfig, Sam3VideoModel

    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_layers": 1}
    words = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tracker = Sam3TrackerVideoConfig(
        vision_config=_pixel_vit(),
        prompt_encoder_config=_prompt_encoder(patch_size=16),
        mask_decoder_config=_mask_decoder(),
        **MEMORY,
    )
    detector = Sam3Config(
        vision_config=_pixel_vit(),
        text_config={**words, "vocab_size": 64, "projection_dim": 32, "bos_token_id": 1, "eos_token_id": 2},
        geometry_encoder_config=small,
        detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 4},
        mask_decoder_config={"hidden_size": 32, "num_upsampling_stages": 2, "num_attention_heads": 2},
    )
    config = Sam3VideoConfig(detector_config=detector.to_dict(), tracker_config=tracker.to_dict())
    return reinitialise(Sam3VideoModel(config), seed)


BUILDERS = {
    "sam": sam_model,
    "sam_hq": sam_hq_model,
    "sam2": sam2_model,
    "sam3_tracker": sam3_tracker_model,
}
"""One builder of a loaded model per family."""


def tiny_sam(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM."""
    return save(sam_model(seed), folder)


def tiny_sam_hq(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM-HQ."""
    return save(sam_hq_model(seed), folder)


def tiny_sam2(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM 2."""
    return save(sam2_model(seed), folder)


def tiny_sam2_video(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM 2 whose config says ``sam2_video``, as the checkpoints of SAM 2.1 do."""
    return save(sam2_video_model(seed), folder)


def tiny_sam3_tracker(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM 3 tracker."""
    return save(sam3_tracker_model(seed), folder)


def tiny_sam3_video(folder: Path, seed: int = 0) -> Path:
    """Save a tiny SAM 3 whose config says ``sam3_video``, as the checkpoint on the hub does."""
    return save(sam3_video_model(seed), folder)
