"""Weights of the nano network: half-precision safetensors with the network's make-up beside the tensors."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from fiducial.errors import InputError
from fiducial.segmenters.nano.network import NanoNetwork, Shape

EMBEDDED = "nano-segmenter"
"""The weights that come with the package."""


def embedded_weights() -> bytes:
    """Return the file of the weights that come with the package."""
    return files("fiducial.models").joinpath(f"{EMBEDDED}.safetensors").read_bytes()


def load_network(model: str | Path = EMBEDDED) -> tuple[NanoNetwork, str]:
    """Read a network in single precision.

    Args:
        model: ``"nano-segmenter"`` for those of the package, or a safetensors file.

    Returns:
        The network, and the SHA-256 of its file.

    Raises:
        InputError: no such file, or no weights of this network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if model == EMBEDDED:
        data = embedded_weights()
    else:
        try:
            data = Path(model).read_bytes()
        except OSError as error:
            raise InputError(f"{model}: the weights cannot be read ({error.strerror or error})") from None
    try:
        shape = Shape.from_json(json.loads(header(data)["shape"]))
        network = NanoNetwork(shape)
        network.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{model}: holds no weights of the nano network ({reason})") from None
    return network, hashlib.sha256(data).hexdigest()


def save_network(network: NanoNetwork, **notes: Any) -> bytes:
    """Return the content of a weights file, in half precision.

    Args:
        network: the network.
        notes: plain JSON values to keep in the file's header.
    """
    from safetensors.torch import save

    tensors = {
        name: (tensor.detach().cpu().to(torch.float16) if tensor.is_floating_point() else tensor.cpu()).contiguous()
        for name, tensor in network.state_dict().items()
    }
    return save(tensors, {"shape": json.dumps(network.shape.as_json()), "notes": json.dumps(notes)})


def header(data: bytes) -> dict[str, str]:
    """Return the notes in a safetensors file's header.

    Raises:
        ValueError: it is no such file.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        raise ValueError("no safetensors header")
    found: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    return found
