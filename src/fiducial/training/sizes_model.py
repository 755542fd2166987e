"""The judge of sizes in torch, for training; it runs on NumPy (``segmenters/nano_sizes.py``)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.segmenters.nano_sizes import FIGURES, LIMIT

_NOT_THERE = -1e4
_TEMPERATURE = 0.08
"""IoU by which one size has to be better than another to count e times as much in the truth."""


class _Linears(nn.Module):
    """One linear layer per member: (members, N, before) to (members, N, after)."""

    def __init__(self, members: int, before: int, after: int, *, zero: bool = False) -> None:
        super().__init__()
        bound = 0.0 if zero else 1 / math.sqrt(before)
        self.weight = nn.Parameter(torch.empty(members, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, after).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, values, self.weight)


class SizesNetwork(nn.Module):
    """Figures (B, S, F) of S sizes in, what each member says of each size (members, B, S) out.

    Args:
        mean: (F,) of each figure where it was learned, and
        deviation: (F,) of it.
        members: networks of the same make-up; the judge takes the mean of what they say.
        width: of the hidden layers.
        dropout: part of each hidden layer that is left out in training.
        rule: how much the rule's merit counts at the beginning, when the members say nothing yet.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        mean: Tensor,
        deviation: Tensor,
        members: int = 8,
        width: int = 24,
        dropout: float = 0.2,
        rule: float = 8.0,
    ) -> None:
        super().__init__()
        self.members = members
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.rule = nn.Parameter(torch.tensor([rule]))
        self.own = _Linears(members, len(FIGURES), width)
        self.beside = _Linears(members, 3 * width, width)
        self.all = _Linears(members, 4 * width, width)
        self.verdict = _Linears(members, width, 1, zero=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, figures: Tensor, there: Tensor) -> Tensor:
        """Judge sizes; ``there`` (B, S) is False where a point has fewer sizes: they get a very low number."""
        batch, sizes, _ = figures.shape
        shape = (self.members, batch, sizes, -1)
        kept = there[None, :, :, None]

        def through(layer: _Linears, values: Tensor) -> Tensor:
            flat = values.expand(self.members, *values.shape[1:]).reshape(self.members, batch * sizes, values.shape[-1])
            made: Tensor = layer(flat).reshape(shape)
            return made

        told = ((figures - self.mean) / self.deviation).clamp(-LIMIT, LIMIT)[None]
        hidden = self.dropout(functional.relu(through(self.own, told))) * kept
        hidden = functional.relu(hidden + through(self.beside, _with_neighbours(hidden))) * kept
        mean = (hidden.sum(2, keepdim=True) / kept.sum(2, keepdim=True)).expand_as(hidden)
        hidden = hidden + functional.relu(through(self.all, torch.cat([_with_neighbours(hidden), mean], 3)))
        said = through(self.verdict, self.dropout(hidden))[..., 0] + self.rule * figures[..., FIGURES.index("merit")]
        return said.masked_fill(~there, _NOT_THERE)


def _with_neighbours(hidden: Tensor) -> Tensor:
    before = functional.pad(hidden[:, :, :-1], (0, 0, 1, 0))
    after = functional.pad(hidden[:, :, 1:], (0, 0, 0, 1))
    return torch.cat([hidden, before, after], dim=3)


def listwise_loss(said: Tensor, ious: Tensor, there: Tensor) -> Tensor:
    """Return one minus the IoU that is expected where sizes are drawn by what is said of them, and a cross-entropy.

    The cross-entropy, which counts a sixth, is that of a softmax of the true IoUs: it pulls where the first is flat.

    Args:
        said: (members, B, S), of :class:`SizesNetwork`.
        ious: (B, S) true IoU of each size's mask.
        there: (B, S), False where a point has fewer sizes.
    """
    logarithms = torch.log_softmax(said, dim=2)
    expected = (logarithms.exp() * ious).sum(2)
    wanted = torch.softmax((ious / _TEMPERATURE).masked_fill(~there, _NOT_THERE), dim=1)
    entropy = -(wanted * logarithms.masked_fill(~there, 0)).sum(2)
    return (1 - expected + entropy / 6).mean()
