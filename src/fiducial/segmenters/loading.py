"""Finding and loading the weights of a segmenter, with errors that say what is missing and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fiducial.checkpoints import CONFIG, WEIGHTS, check_complete, locate, not_loaded
from fiducial.errors import InputError
from fiducial.segmenters.families import Family, family_of

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
    """Load a model of the SAM families in float32, on the CPU, from safetensors.

    Args:
        model: a local folder with config.json and model.safetensors, or an id of the hub.
        cache: folder for what the hub sends; default: that of huggingface_hub.
        local_files_only: never ask the network.
        revision: branch, tag or commit on the hub.

    Returns:
        The model and its family.

    Raises:
        HubError: files are neither here nor to be had.
        UnknownNameError: the config states a ``model_type`` that is no SAM.
        ModelError: the checkpoint lacks weights of the model that its config describes.
    """
    import transformers

    where: dict[str, Any] = {"cache_dir": cache, "local_files_only": local_files_only, "revision": revision}
    source = locate(model, _NEEDED)
    try:
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
    except OSError as error:
        raise not_loaded(source, _NEEDED, error, cache=cache, revision=revision) from error
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


def pick_dtype(dtype: str) -> torch.dtype:
    """Turn a dtype's name into the dtype; ``"auto"`` is float32, in which the checkpoints are published.

    Raises:
        InputError: a name that is none of auto, float32, bfloat16, float16.
    """
    known = {
        "auto": torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }
    if dtype not in known:
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(known)}")
    return known[dtype]
