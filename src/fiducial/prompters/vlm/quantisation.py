"""Quantising the language tower: fewer bits per weight, the vision tower as it was."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import nn

from fiducial.errors import InputError, MissingExtraError

Quantisation = Literal["int8", "int4"]

GROUP = 32
"""Weights that share one scale at four bits, along a layer's inputs."""


def quantise_language_tower(model: Any, bits: Quantisation) -> int:
    """Replace the weights of the language tower's linear layers in place.

    Embeddings, the output head (often one tensor with the embeddings) and the vision tower with its
    projector keep their weights: coordinates are read off the one and seen by the other.

    Args:
        model: a loaded vision-language model of transformers.
        bits: ``"int8"`` (one scale per output row) or ``"int4"`` (one scale per 32 inputs).

    Returns:
        How many layers were quantised.

    Raises:
        MissingExtraError: torchao is not installed.
        InputError: another name, layers that four bits in groups of 32 do not fit, or a tower that keeps most
            of its weights outside linear layers, as mixtures of experts do: quantising the rest of it
            would save next to nothing.
    """
    if bits not in get_args(Quantisation):
        raise InputError(f"quantize is 'int8', 'int4' or nothing, got {bits!r}")
    try:
        from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, quantize_
        from torchao.quantization.granularity import PerGroup
    except ImportError as error:
        raise MissingExtraError(f"quantize={bits!r}", "quantize", str(error)) from error
    tower = model.model.language_model
    layers = {name: layer for name, layer in tower.named_modules() if isinstance(layer, nn.Linear)}
    _refuse_experts(tower, layers)
    odd = [name for name, layer in layers.items() if layer.in_features % GROUP]
    if bits == "int4" and odd:
        raise InputError(f"quantize='int4' needs layers of a multiple of {GROUP} inputs, {odd[0]} has not: use 'int8'")
    four: torch.dtype = torch.int4  # type: ignore[attr-defined]
    config = (
        Int8WeightOnlyConfig()
        if bits == "int8"
        else IntxWeightOnlyConfig(weight_dtype=four, granularity=PerGroup(GROUP))
    )
    quantize_(tower, config, filter_fn=lambda layer, _: isinstance(layer, nn.Linear))
    return len(layers)


def _refuse_experts(tower: nn.Module, layers: dict[str, nn.Linear]) -> None:
    """Refuse a tower whose experts are stacked in tensors of three axes, which torchao does not reach here."""
    kernels = {id(layer.weight) for layer in tower.modules() if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))}
    stacked = ((name, weight) for name, weight in tower.named_parameters() if weight.ndim >= 3)
    experts = {name: weight.numel() for name, weight in stacked if id(weight) not in kernels}
    if not experts:
        return
    outside = sum(experts.values())
    share = outside / (outside + sum(layer.weight.numel() for layer in layers.values()))
    raise InputError(
        f"quantize does not reach the experts of this model ({next(iter(experts))} and {len(experts) - 1} more, "
        f"{share:.0%} of the weights that count): load it without quantize"
    )
