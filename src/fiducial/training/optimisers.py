"""Optimisers: AdamW that spares biases and normalisation from weight decay, and Muon for kernels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

_MIN_CHANNELS = 16
"""Kernels with fewer channels on one side are left to AdamW: there is little to turn."""
_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.AdamW):
    """Muon for the kernels of convolutions, AdamW for all else.

    A kernel (out, in, h, w), read as a matrix (out, in * h * w), moves along its averaged gradient with all singular
    values brought near one, by five Newton-Schulz steps (Jordan et al., 2024), scaled by ``scale`` * sqrt(longest
    side): 0.2 makes rates and decays mean what they mean for AdamW (Liu et al., 2025, "Muon is scalable for LLM
    training").
    ``torch.optim.Muon`` takes matrices alone and works in bfloat16, which CPUs do slowly. ``matrices`` names, by their
    ``id``, the parameters to move so, where it is not all kernels; layers of transformers have matrices, not kernels.

    ``group["lr"]`` of every group may be changed between steps; what has more than one dimension decays.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        matrices: Collection[int] | None = None,
        scale: float = 0.2,
    ) -> None:
        every = list(parameters)
        kernels = [one for one in every if one.ndim == 4 and min(one.shape[0], one[0].numel()) >= _MIN_CHANNELS]
        if matrices is not None:
            kernels = [one for one in every if id(one) in matrices]
        known = {id(one) for one in kernels}
        others = decay_groups((one for one in every if id(one) not in known), weight_decay)
        groups = [{**group, "is_muon": False} for group in others]
        if kernels:
            groups.insert(0, {"params": kernels, "weight_decay": weight_decay, "is_muon": True})
        self._scale = scale
        super().__init__(groups, lr=learning_rate)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the kernels, then let AdamW move the rest; the kernels' gradients are used up."""
        for group in self.param_groups:
            for kernel in group["params"] if group["is_muon"] else ():
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if not state:
                    # AdamW looks for "step" in every state that it loads.
                    state.update(step=torch.zeros(()), mean=torch.zeros_like(kernel))
                mean = state["mean"]
                mean.lerp_(kernel.grad, 1 - _MOMENTUM)
                update = newton_schulz(kernel.grad.lerp(mean, _MOMENTUM).flatten(1))
                kernel.mul_(1 - group["lr"] * group["weight_decay"])
                kernel.add_(update.view_as(kernel), alpha=-self._scale * group["lr"] * max(update.shape) ** 0.5)
                kernel.grad = None
        loss: float | None = super().step(closure)
        return loss


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
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


def make_optimiser(
    kind: Literal["adamw", "muon"], parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return the optimiser of a kind for the parameters of a network."""
    if kind == "muon":
        return Muon(parameters, learning_rate, weight_decay)
    return torch.optim.AdamW(decay_groups(parameters, weight_decay), lr=learning_rate)


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return groups as optimisers take them: biases and normalisation do not decay, and come last."""
    every = list(parameters)
    return [
        {"params": [one for one in every if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in every if one.ndim <= 1], "weight_decay": 0.0},
    ]
