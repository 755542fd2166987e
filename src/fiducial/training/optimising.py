"""What training loops share: which weights decay, and the moving average of a network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter], decay: float) -> list[dict[str, object]]:
    """Spare biases and normalisation from weight decay.

    Args:
        parameters: of a network.
        decay: of the others.

    Returns:
        Groups as optimisers take them; those with more than one dimension come first.
    """
    every = list(parameters)
    return [
        {"params": [one for one in every if one.ndim > 1], "weight_decay": decay},
        {"params": [one for one in every if one.ndim <= 1], "weight_decay": 0.0},
    ]


def follow(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move a moving average of a network's weights towards them, in place; the first steps are forgotten quickly.

    Args:
        average: a network of the same make-up.
        network: the network that is trained.
        step: counted from 0.
        decay: how much of the average is kept at each step, once there are enough of them; in 0..1.
    """
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - keep)
            else:
                mean.copy_(now)
