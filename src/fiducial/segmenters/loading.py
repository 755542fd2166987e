"""Finding and loading the weights of a segmenter, with errors that say what is missing and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from fiducial.errors import HubError, InputError, ModelError
from fiducial.segmenters.families import Family, family_of

_NEEDED = ("config.json", "model.safetensors")
_INDEX = "model.safetensors.index.json"

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
    source = _folder_or_id(model)
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
        raise HubError(_what_to_do(source, cache, revision, error)) from error
    broken = [*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])]
    if broken:
        raise ModelError(
            f"{source}: the checkpoint does not fit a {family.model_class}: {len(broken)} weights are missing or "
            f"of another shape, such as {', '.join(sorted(broken)[:3])}"
        )
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


def pick_device(device: str) -> torch.device:
    """Turn ``"auto"`` into the accelerator of this machine, or its CPU; other names are taken as they are.

    Raises:
        InputError: no such device, or not on this machine.
    """
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {device!r} cannot be used here ({error}): try 'auto' or 'cpu'") from None


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


def _folder_or_id(model: str | Path) -> str:
    """Check a local folder before transformers does: its own messages talk of the hub."""
    text = os.fspath(model)
    folder = Path(text).expanduser()
    if folder.is_dir():
        missing = [name for name in _NEEDED if not (folder / name).is_file()]
        if missing and not (missing == ["model.safetensors"] and (folder / _INDEX).is_file()):
            raise HubError(f"{folder}: the folder lacks {' and '.join(missing)}")
        return str(folder)
    looks_local = isinstance(model, Path) or text.startswith((".", "~", os.sep)) or text.count("/") > 1
    if looks_local:
        raise HubError(f"{folder}: no such folder; a model's folder holds {' and '.join(_NEEDED)}")
    return text


def _what_to_do(source: str, cache: str | Path | None, revision: str | None, error: OSError) -> str:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(source).is_dir():
        return f"{source}: the folder's files cannot be read ({error})"
    folder = Path(cache) if cache is not None else Path(constants.HF_HUB_CACHE)
    try:
        found = [
            isinstance(try_to_load_from_cache(source, name, cache_dir=folder, revision=revision), str)
            for name in _NEEDED
        ]
    except HFValidationError:
        return f"{source!r} is neither a local folder nor an id of the hub (such as 'facebook/sam2.1-hiera-tiny')"
    missing = [name for name, here in zip(_NEEDED, found, strict=True) if not here]
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    place = folder / ("models--" + source.replace("/", "--"))
    return (
        f"{source}: {' and '.join(missing) or 'a file'} is not on this machine and the hub did not send it ({reason}). "
        f"It would go to {place}. Without a connection, give a local folder that holds {' and '.join(_NEEDED)}, "
        "or use the recipe 'classic', which needs no weights"
    )
