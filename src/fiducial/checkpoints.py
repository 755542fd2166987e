"""Checkpoints: weights in a folder of this machine or on the hub, and the device and dtype that run them.

Errors say which files are missing, where they would go, and what works without a connection.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fiducial.errors import FiducialError, HubError, InputError, ModelError

if TYPE_CHECKING:
    import torch

Needed = Sequence[tuple[str, ...]]
"""The files of a checkpoint: one of each row is enough, the customary one first."""

CONFIG = ("config.json",)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""The dtypes that the options of models name."""


def pick_device(device: str) -> torch.device:
    """Turn ``"auto"`` into the accelerator of this machine, or its CPU; other names are taken as they are.

    Raises:
        InputError: no such device, or not on this machine.
    """
    import torch

    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device("cpu") if found is None else found
    try:
        torch.empty(0, device=device)
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device {device!r} cannot be used here ({error}): try 'auto' or 'cpu'") from None


def pick_dtype(dtype: str) -> torch.dtype:
    """Turn a dtype's name into the dtype; ``"auto"`` is float32, in which segmenters and detectors are published.

    Raises:
        InputError: a name that is none of :data:`Dtype`.
    """
    import torch

    if dtype not in get_args(Dtype):
        raise InputError(f"dtype {dtype!r} is not one of {', '.join(get_args(Dtype))}")
    found: torch.dtype = getattr(torch, "float32" if dtype == "auto" else dtype)
    return found


def tensors_digest(kind: str, tensors: Mapping[str, Any]) -> str:
    """Name tensors or arrays by their content: SHA-256 of ``kind`` and of their names, shapes, dtypes and bytes."""
    digest = hashlib.sha256(kind.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        if hasattr(tensor, "detach"):
            import torch

            tensor = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def safetensors_metadata(data: bytes) -> dict[str, str]:
    """Return the metadata in the content of a safetensors file: eight bytes of length, then JSON, then the numbers.

    Raises:
        ValueError: it is no such file, or is cut off in its header.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        raise ValueError("no safetensors header")
    try:
        header = json.loads(data[8 : 8 + length])
    except RecursionError:
        raise ValueError("no safetensors header") from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def locate(model: str | Path, needed: Needed) -> str:
    """Return the folder or the hub's id, checking a folder before transformers does.

    Args:
        model: a local folder, or an id of the hub such as ``"facebook/sam2.1-hiera-small"``.
        needed: the files that it has to hold.

    Raises:
        InputError: no such folder, or a folder without a model.
        HubError: a folder that lacks some of the files.
    """
    text = os.fspath(model)
    folder = Path(text).expanduser()
    if not folder.is_dir():
        looks_local = isinstance(model, Path) or text.startswith((".", "~", os.sep)) or text.count("/") != 1
        if looks_local:
            raise InputError(f"{text}: no such folder, and no id of the hub (such as 'facebook/sam2.1-hiera-small')")
        return text
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no model is in this folder, as it has no config.json")
    missing = _missing(needed, lambda name: (folder / name).is_file())
    if missing:
        raise HubError(f"{folder}: the folder lacks {', '.join(missing)}")
    return str(folder)


def not_loaded(
    source: str,
    needed: Needed,
    error: OSError,
    *,
    cache: str | Path | None = None,
    revision: str | None = None,
) -> FiducialError:
    """Make the error for a checkpoint whose files could not be read or fetched.

    Args:
        source: what :func:`locate` returned.
        needed: the files of such a checkpoint.
        error: what transformers or the hub said.
        cache: the hub's folder; default: that of huggingface_hub.
        revision: branch, tag or commit.

    Returns:
        HubError, or InputError when ``source`` is no id of the hub at all.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if Path(source).is_dir():
        return HubError(f"{source}: the folder's files cannot be read ({error})")
    folder = Path(constants.HF_HUB_CACHE if cache is None else cache)

    def cached(name: str) -> bool:
        return isinstance(try_to_load_from_cache(source, name, cache_dir=folder, revision=revision), str)

    try:
        missing = _missing(needed, cached)
    except HFValidationError:
        return InputError(f"{source!r} is neither a local folder nor an id of the hub")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    place = folder / f"models--{source.replace('/', '--')}"
    return HubError(
        f"{source}: not on this machine, and the hub did not send it ({reason}): {', '.join(missing) or 'a file'}. "
        f"It would go to {place}. Without a connection, give a local folder that holds such files (NAME:FOLDER), "
        "or use the recipe 'classic', which needs no weights"
    )


def check_complete(source: str, model_class: str, report: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that leaves weights of its model random.

    Args:
        source: the folder or id, for the message.
        model_class: the model's class, for the message.
        report: the loading information of transformers.

    Raises:
        ModelError: weights are missing or of another shape.
    """
    broken = [*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])]
    if broken:
        raise ModelError(
            f"{source}: the checkpoint does not fit a {model_class}: {len(broken)} weights are missing or "
            f"of another shape, such as {', '.join(sorted(broken)[:3])}"
        )


def _missing(needed: Needed, has: Callable[[str], bool]) -> list[str]:
    rows = [row for row in needed if not any(map(has, row))]
    return [row[0] + (f" (or {' or '.join(row[1:])})" if row[1:] else "") for row in rows]
