"""What the joint model found, told to its language model, so that its words are about the mask; not in the paper.

The paper's words and mask come of one pass of the language model and never meet: what ties them is a loss in training.
A small language model whose own tower sees little then writes where such things usually lie. Here it reads the question
a second time with what was found at the places of the picture's tokens: the encoder's features, how likely a pixel is
part of the mask, and whether a target is there at all.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Sight(nn.Module):
    """Features, mask and presence to what is added to the picture's tokens; nothing at first.

    Args:
        channels: C, of the features.
        width: D, of the language model's states.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels + 2, width)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, features: Tensor, logits: Tensor, presence: Tensor, tokens: int) -> Tensor:
        """Return (B, tokens, D), row by row of a square of tokens over the whole picture.

        Args:
            features: (B, C, h, w).
            logits: (B, G, G) of the mask.
            presence: (B,) logits of a target being there.
            tokens: how many the picture has, a square number.
        """
        side = math.isqrt(tokens)
        cells = functional.adaptive_avg_pool2d(features.float(), side)
        covered = functional.adaptive_avg_pool2d(torch.sigmoid(logits.float())[:, None], side)
        there = torch.sigmoid(presence.float())[:, None, None, None].expand(-1, 1, side, side)
        told: Tensor = self.layer(torch.cat([cells, covered, there], 1).flatten(2).transpose(1, 2))
        return told
