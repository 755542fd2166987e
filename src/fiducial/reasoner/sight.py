"""What the joint model found, told to its words, so that they are about the mask; not in the paper.

The paper's words and mask come of one pass of the language model and never meet: what ties them is a loss in training.
A small language model whose own tower sees little then writes where such things usually lie. Here the coordinates of
the mask that was found join the last state of every token, out of which the next word is chosen.

In training it is told the true mask, whose place the true answer states: told a wrong one beside the right answer, it
would learn not to believe what it is told.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

COORDINATES = 8
"""What :func:`coordinates_of` says of a mask."""
_HIDDEN = 256


class Sight(nn.Module):
    """A mask's coordinates into last states (B, T, D): two hidden layers beside the identity, nothing at first.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.states, self.coordinates = nn.Linear(width, _HIDDEN), nn.Linear(COORDINATES, _HIDDEN)
        self.hidden = nn.Linear(_HIDDEN, _HIDDEN)
        self.joined = nn.Linear(_HIDDEN, width)
        nn.init.zeros_(self.joined.weight)
        nn.init.zeros_(self.joined.bias)

    def forward(self, states: Tensor, coordinates: Tensor) -> Tensor:
        """Return the states (B, T, D) joined by the coordinates (B, 8)."""
        both = functional.gelu(self.states(states.float()) + self.coordinates(coordinates)[:, None])
        joined: Tensor = states + self.joined(functional.gelu(self.hidden(both))).to(states)
        return joined


def coordinates_of(covered: Tensor) -> Tensor:
    """Say where masks lie, over the whole picture in the centred frame ([-1, 1], y up).

    Args:
        covered: (B, G, G) in 0..1; what is above a half is part of the mask.

    Returns:
        (B, 8): whether there is a mask, the square root of its share of the picture, its centroid x, y, and the left,
        bottom, right and top edge of its box; all 0 where there is none.

    Example:
        >>> mask = torch.zeros(1, 4, 4)
        >>> mask[0, 0, 2:] = 1
        >>> [round(one, 2) for one in coordinates_of(mask)[0].tolist()]
        [1.0, 0.35, 0.5, 0.75, 0.0, 0.5, 1.0, 1.0]
    """
    grid = covered.shape[-1]
    mask = covered > 0.5
    middles = (torch.arange(grid, device=covered.device) + 0.5) * 2 / grid - 1
    count = mask.sum((1, 2)).clamp(min=1)
    columns, rows = mask.any(1), mask.any(2)
    x, y = (mask.sum(1) * middles).sum(1) / count, (mask.sum(2) * -middles).sum(1) / count
    half, there = 1 / grid, mask.any(2).any(1)

    def edges(some: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        low = torch.where(some, places, torch.inf).amin(1)
        high = torch.where(some, places, -torch.inf).amax(1)
        return low - half, high + half

    (left, right), (bottom, top) = edges(columns, middles), edges(rows, -middles)
    share = (mask.float().mean((1, 2))).sqrt()
    told = torch.stack([there.float(), share, x, y, left, bottom, right, top], 1)
    return torch.where(there[:, None], told, 0.0)
