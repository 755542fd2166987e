"""What the joint model found, told to its language model, so that its words are about the mask; not in the paper.

The paper's words and mask come of one pass of the language model and never meet: what ties them is a loss in training.
A small language model whose own tower sees little then writes where such things usually lie. Here it reads the question
a second time with what was found: at the picture's tokens the encoder's features, how much of a token's cell the mask
covers and whether a target is there at all; and the mask's coordinates join the last state of every token, out of which
the next word is chosen. A small language model says numbers that it is handed there after some dozens of steps; told
them among its inputs, it had not begun to after hundreds.

In training it is told the true mask, whose place the true answer states: told a wrong one beside the right answer, it
would learn not to believe what it is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

COORDINATES = 8
"""What :func:`coordinates_of` says of a mask."""
_HIDDEN = 256


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the language model is told.

    Args:
        cells: (B, N, D), added to the N tokens of the picture, row by row of a square of tokens over the whole picture.
        coordinates: (B, 8) of :func:`coordinates_of`, which join the last states.
    """

    cells: Tensor
    coordinates: Tensor


class Sight(nn.Module):
    """Features, mask and presence to what the language model is told; nothing at first.

    Args:
        channels: C, of the features.
        width: D, of the language model's states.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels + 2, width)
        self.states, self.coordinates = nn.Linear(width, _HIDDEN), nn.Linear(COORDINATES, _HIDDEN)
        self.joined = nn.Linear(_HIDDEN, width)
        for last in (self.layer, self.joined):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, features: Tensor, covered: Tensor, tokens: int) -> Told:
        """Turn what was found into what is told.

        Args:
            features: (B, C, h, w).
            covered: (B, G, G) in 0..1, how much of each cell the mask covers; 0 everywhere where no target is there.
            tokens: how many the picture has, a square number.
        """
        side = math.isqrt(tokens)
        cells = functional.adaptive_avg_pool2d(features.float(), side)
        cover = functional.adaptive_avg_pool2d(covered[:, None], side)
        told = coordinates_of(covered)
        there = told[:, :1, None, None].expand(-1, 1, side, side)
        return Told(self.layer(torch.cat([cells, cover, there], 1).flatten(2).transpose(1, 2)), told)

    def join(self, states: Tensor, coordinates: Tensor) -> Tensor:
        """Return last states (B, T, D) of tokens, joined by the coordinates (B, 8)."""
        both = self.states(states.float()) + self.coordinates(coordinates)[:, None]
        return states + self.joined(functional.gelu(both)).to(states)


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
