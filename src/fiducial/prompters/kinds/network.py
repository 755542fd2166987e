"""The judge's network in torch: a small residual net over the whole picture, one logit per kind.

Each kind has a logit of its own against everything else, so that a picture can be of none. Without torch it runs from a
graph (``judge.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import network_file, read_network
from fiducial.prompters.grounder.network import residual_blocks
from fiducial.prompters.kinds.judge import EMBEDDED, Kind, kinds_of

STRIDE = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """The make-up of the network."""

    widths: tuple[int, ...] = (32, 64, 128, 160)  # channels at strides 4, 8, 16, ...
    kinds: int = 11


class KindNetwork(nn.Module):
    """Pictures (B, 3, 128, 128) in, a tuple of (B, K) logits out; the default has 0.76 million parameters."""

    def __init__(self, shape: Shape | None = None, dropout: float = 0.3) -> None:
        super().__init__()
        self.shape = Shape() if shape is None else shape
        widths = self.shape.widths
        self.stem = nn.Conv2d(3 * STRIDE**2, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        levels = [residual_blocks(before, after, 1, shrink=True) for before, after in pairwise(widths)]
        self.levels = nn.Sequential(residual_blocks(widths[0], widths[0], 1, shrink=False), *levels)
        self.verdict = nn.Linear(2 * widths[-1], self.shape.kinds)
        self.dropout = dropout

    def forward(self, pictures: Tensor) -> tuple[Tensor]:
        """Judge pictures as :func:`fiducial.prompters.kinds.judge.network_input` makes them."""
        features = functional.relu(self.stem_norm(self.stem(functional.pixel_unshuffle(pictures, STRIDE))))
        features = self.levels(features)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return (self.verdict(functional.dropout(pooled, self.dropout, self.training)),)


def load_kinds(model: str | Path = EMBEDDED) -> tuple[KindNetwork, tuple[Kind, ...]]:
    """Read weights in single precision, the package's own or a safetensors file's, and what they were taught."""

    def build(tensors: dict[str, Tensor], header: dict[str, Any]) -> tuple[KindNetwork, tuple[Kind, ...]]:
        kinds = kinds_of(header, tensors)
        network = KindNetwork(Shape(tuple(header["shape"]["widths"]), len(kinds)))
        network.load_state_dict(tensors, assign=True)
        return network, kinds

    return read_network(model, EMBEDDED, build)[0]


def save_kinds(network: KindNetwork, kinds: Sequence[Kind], **notes: Any) -> bytes:
    """Return the content of a weights file, in half precision; plain JSON ``notes`` go into its header."""
    header = {"shape": asdict(network.shape), "kinds": [asdict(one) for one in kinds], "notes": notes}
    return network_file(network.state_dict(), header)
