"""The decoder of CG-Reasoner: the words' vector scales and shifts the picture's features, which become a mask.

As in the published code: Linear-LN-GELU-Linear-LN on each of the language model's states and their mean, FiLM, a
depthwise-separable convolution, MixFFN, two transposed convolutions. The logits are four times as fine as the encoder's
grid and stay so: the published code shrinks them back to that grid before the loss enlarges them again. Not in the
paper, where a target is always there: a head says whether there is one at all.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.reasoner.encoder import modulate, norm

_LAYER_SCALE = 0.1


class PromptProjection(nn.Module):
    """States (B, T, D) of a language model to one vector (B, channels); tokens that do not count are left out."""

    def __init__(self, states: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(states, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Linear(hidden, channels),
            nn.LayerNorm(channels),
        )

    def forward(self, states: Tensor, counts: Tensor) -> Tensor:
        """Project each token's state, and return the mean over those whose ``counts`` (B, T) is true."""
        clean = states.masked_fill(~counts[..., None], 0)  # states of padding may be no numbers at all
        return masked_mean(self.layers(clean), counts)


def masked_mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean (B, D) of values (B, T, D) over the tokens whose ``counts`` (B, T) is true; 0 where none is."""
    summed = values.masked_fill(~counts[..., None], 0).sum(1)
    return summed / counts.sum(1, keepdim=True).clamp(min=1)


class MaskDecoder(nn.Module):
    """Features (B, C, h, w) and the words' vector (B, C) to logits (B, 4h, 4w), and of a target being there (B,).

    Args:
        channels: C.
        kind: of normalisation behind the depthwise-separable convolution.
        expansion: how much wider the inner layer of a MixFFN is.
    """

    def __init__(self, channels: int, kind: Literal["batch", "group"], expansion: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.film = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, 2 * channels))
        self.mix = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            norm(kind, channels),
            nn.GELU(),
            MixFFN(channels, expansion),
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            MixFFN(half, expansion),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.head = nn.Sequential(
            nn.Conv2d(quarter, quarter // 2, 3, padding=1), nn.GELU(), nn.Conv2d(quarter // 2, 1, 1)
        )
        self.presence = nn.Linear(2 * channels, 1)

    def forward(self, features: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of the mask (B, 4h, 4w), and of a target being there at all (B,)."""
        mixed = self.mix(modulate(features, self.film(prompt)))
        pooled = torch.cat([mixed.mean((-2, -1)), mixed.amax((-2, -1))], 1)
        return self.head(self.up(mixed))[:, 0], self.presence(pooled)[:, 0]


class MixFFN(nn.Module):
    """Depthwise 3 x 3, layer normalisation over channels, two 1 x 1 convolutions, a tenth of it added to the input."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.inner = nn.Linear(channels, expansion * channels)
        self.outer = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _LAYER_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, h, w) of (B, C, h, w)."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))  # a 1 x 1 convolution is a linear layer of each place
        y = self.scale * self.outer(functional.gelu(self.inner(y)))
        result: Tensor = x + y.permute(0, 3, 1, 2)
        return result
