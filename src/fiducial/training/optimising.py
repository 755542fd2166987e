"""What training loops share: optimisers, which weights decay, and the moving average of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["adamw", "muon"]
"""Which optimiser a configuration asks for."""
_LEAST = 16
"""Kernels with fewer channels on one side are left to AdamW: there is little to turn."""
_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """Muon for the kernels of convolutions, AdamW for all else.

    A kernel (out, in, h, w), read as a matrix (out, in * h * w), moves along its averaged gradient with all singular
    values brought near one, by five Newton-Schulz steps (Jordan et al., 2024), scaled by 0.2 * sqrt(longest side) so
    that rates and decays mean what they mean for AdamW (Liu et al., 2025, "Muon is scalable for LLM training").
    ``torch.optim.Muon`` takes matrices alone and works in bfloat16, which CPUs do slowly.

    Args:
        parameters: of a network.
        rate: learning rate; ``group["lr"]`` of every group may be changed between steps.
        decay: weight decay of what has more than one dimension.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, decay: float) -> None:
        every = list(parameters)
        kernels = [one for one in every if one.ndim == 4 and min(one.shape[0], one[0].numel()) >= _LEAST]
        known = {id(one) for one in kernels}
        turned: list[dict[str, Any]] = [{"params": kernels, "weight_decay": decay, "turned": True}] if kernels else []
        others = [{**group, "turned": False} for group in decay_groups((p for p in every if id(p) not in known), decay)]
        super().__init__(turned + others, lr=rate)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the kernels, then let AdamW move the rest; the kernels' gradients are used up."""
        for group in self.param_groups:
            for kernel in group["params"] if group["turned"] else ():
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    # AdamW looks for "step" in every state that it loads.
                    state.update(step=torch.zeros(()), mean=torch.zeros_like(kernel))
                mean = state["mean"]
                mean.lerp_(kernel.grad, 1 - _MOMENTUM)
                update = orthogonal(kernel.grad.lerp(mean, _MOMENTUM).flatten(1))
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(update.view_as(kernel), alpha=-0.2 * group["lr"] * max(update.shape) ** 0.5)
                kernel.grad = None
        loss: float | None = super().step(closure)
        return loss


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of a matrix (n, m) to between about 0.7 and 1.2, and keep its singular vectors.

    The coefficients are those of Jordan et al., 2024: they reach that range in five steps from values above about
    0.001 of the matrix's norm.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    once, thrice, five = _QUINTIC
    for _ in range(steps):
        square = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(square, square, square, beta=thrice, alpha=five), wide, beta=once)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide


def make_optimiser(kind: Kind, parameters: Iterable[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Return the optimiser of a kind for the parameters of a network; biases and normalisation do not decay."""
    if kind == "muon":
        return Muon(parameters, rate, decay)
    return torch.optim.AdamW(decay_groups(parameters, decay), lr=rate)


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
