"""The nano network: a small U-Net that turns a crop with its prompt into a mask and its likely quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.segmenters.nano.crops import CHANNELS

_FINE = 2
"""Pixels that the first and the last layer put together along each axis (space to depth and back)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The make-up of the network.

    Args:
        widths: channels per level, from fine to coarse; each level has half the resolution of the one before.
        encoder: residual blocks per level on the way down.
        decoder: residual blocks per level on the way up.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    encoder: tuple[int, ...] = (1, 1, 2, 3)
    decoder: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Shape:
        """Read what :meth:`as_json` gives."""
        return cls(tuple(values["widths"]), tuple(values["encoder"]), int(values["decoder"]))

    @property
    def multiple(self) -> int:
        """The size of an input is a multiple of this."""
        return int(_FINE * 2 ** (len(self.widths) - 1))


class NanoNetwork(nn.Module):
    """Residual U-Net on (B, 7, S, S) inputs; see :func:`fiducial.segmenters.nano.crops.network_input`.

    Args:
        shape: its make-up; the default has 4.4 million parameters.
    """

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
        """Cut.

        Args:
            inputs: (B, 7, S, S), S a multiple of ``shape.multiple``.

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
        return logits, self._quality(whole, features, logits)

    def _quality(self, whole: Tensor, features: Tensor, logits: Tensor) -> Tensor:
        """Judge the mask by the features under it and by how undecided its pixels are."""
        likely = torch.sigmoid(logits.detach())
        under = functional.avg_pool2d(likely[:, None], _FINE)
        area = under.mean((1, 2, 3))
        inside = (features * under).mean((2, 3)) / (area[:, None] + 1e-3)
        undecided = (likely * (1 - likely)).mean((1, 2)) / (area + 1e-3)
        told = torch.cat([whole, inside, features.mean((2, 3)), area[:, None], undecided[:, None]], dim=1)
        return self.quality(told)[:, 0]  # type: ignore[no-any-return]


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
