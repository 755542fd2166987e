"""The nano network in torch: its make-up for training, and how it is stored; it runs from a graph (``engines.py``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import network_file, read_network
from fiducial.segmenters.configs import EMBEDDED
from fiducial.segmenters.nano_crops import CHANNELS

_FINE = 2
"""Pixels that the first and the last layer put together along each axis (space to depth and back)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The make-up of the network."""

    widths: tuple[int, ...] = (32, 64, 128, 256)  # channels per level, fine to coarse, each at half the resolution
    encoder: tuple[int, ...] = (1, 1, 2, 3)  # residual blocks per level on the way down
    decoder: int = 1  # residual blocks per level on the way up

    @property
    def multiple(self) -> int:
        """The size of an input is a multiple of this."""
        return int(_FINE * 2 ** (len(self.widths) - 1))


class NanoNetwork(nn.Module):
    """Residual U-Net on (B, 7, S, S) inputs (``nano_crops.network_input``). The default has 4.4 million parameters."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = Shape() if shape is None else shape
        widths = self.shape.widths
        self.stem = nn.Conv2d(CHANNELS * _FINE**2, widths[0], 3, padding=1)
        before = (widths[0], *widths)
        self.down = nn.ModuleList(
            _blocks(before[level], width, self.shape.encoder[level]) for level, width in enumerate(widths)
        )
        # What the whole crop looks like reaches every place of the coarsest level.
        self.context = nn.Linear(widths[-1], widths[-1])
        coarse_to_fine = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lateral = nn.ModuleList(nn.Conv2d(coarse, fine, 1, bias=False) for coarse, fine in coarse_to_fine)
        self.up = nn.ModuleList(_blocks(fine, fine, self.shape.decoder) for _, fine in coarse_to_fine)
        self.head = nn.Conv2d(widths[0], _FINE**2, 3, padding=1)
        self.quality = nn.Sequential(nn.Linear(widths[-1] + 2 * widths[0] + 2, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Cut (B, 7, S, S) inputs, S a multiple of ``shape.multiple``.

        Returns:
            Mask logits (B, S, S), and logits (B,) of the expected IoU of ``logits > 0`` with the target.
        """
        features = functional.relu(self.stem(functional.pixel_unshuffle(inputs, _FINE)))
        levels = []
        for number, blocks in enumerate(self.down):
            features = blocks(functional.max_pool2d(features, 2) if number else features)
            levels.append(features)
        whole = features.mean((2, 3))
        features = features + self.context(whole)[:, :, None, None]
        for lateral, blocks, level in zip(self.lateral, self.up, levels[-2::-1], strict=True):
            features = blocks(level + functional.interpolate(lateral(features), scale_factor=2.0))
        logits = functional.pixel_shuffle(self.head(features), _FINE)[:, 0]
        # The mask is judged by the features under it and by how undecided its pixels are.
        likely = torch.sigmoid(logits.detach())
        under = functional.avg_pool2d(likely[:, None], _FINE)
        area = under.mean((1, 2, 3))
        inside = (features * under).mean((2, 3)) / (area[:, None] + 1e-3)
        undecided = (likely * (1 - likely)).mean((1, 2)) / (area + 1e-3)
        summary = torch.cat([whole, inside, features.mean((2, 3)), area[:, None], undecided[:, None]], dim=1)
        return logits, self.quality(summary)[:, 0]


class _Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        features = functional.relu(self.first_norm(self.first(inputs)))
        return functional.relu(self.shortcut(inputs) + self.second_norm(self.second(features)))


def _blocks(before: int, after: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[_Residual(one, other) for one, other in pairwise([before, *[after] * count])])


def load_network(model: str | Path = EMBEDDED) -> tuple[NanoNetwork, str]:
    """Read a network in single precision, the package's own or a safetensors file's; return the file's SHA-256 too."""

    def build(tensors: dict[str, Tensor], header: dict[str, Any]) -> NanoNetwork:
        made = header["shape"]
        network = NanoNetwork(Shape(tuple(made["widths"]), tuple(made["encoder"]), int(made["decoder"])))
        network.load_state_dict(tensors, assign=True)
        return network

    return read_network(model, EMBEDDED, build)


def save_network(network: NanoNetwork, **notes: Any) -> bytes:
    """Return the content of a weights file, in half precision, with plain JSON values to note in its header."""
    return network_file(network.state_dict(), {"shape": asdict(network.shape), "notes": notes})
