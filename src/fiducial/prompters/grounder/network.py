"""The grounder's network in torch: a small residual net that says where the things of a phrase lie, and how large.

Class logit = scale * cosine(embedding of the place, embedding of the phrase) + bias, so any number of phrases can be
asked of one picture. Everything is dense 3 x 3 convolutions, which single precision on a CPU runs fastest; most of the
work is done at strides 8 to 32. Training has it learn; without torch it runs from a graph (``weights.py``).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import network_file, read_network
from fiducial.engines import TorchEngine
from fiducial.prompters.grounder.weights import (
    EMBEDDED,
    NETWORK,
    STRIDE,
    VECTORS,
    Grounder,
    Name,
    PhraseHead,
    check_vectors,
    multiple_of,
)

_REACH = 4.0
"""Box sides lie within exp(-4) to exp(4) times the unit of 16 pixels: 0.3 to 870 pixels from the place."""
_UNIT = 16.0
_RARE = -4.6
"""Logit that a place starts with: one in a hundred."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The make-up of the network."""

    widths: tuple[int, ...] = (48, 96, 192, 320)  # channels at strides 4, 8, 16, ...
    blocks: tuple[int, ...] = (1, 2, 2, 2)  # residual blocks at each of them
    pyramid: int = 64  # channels of the level at stride 4 that the heads look at
    embedding: int = 64  # dimensions of the space in which places and phrases meet
    words: int = 64  # dimensions of a phrase vector

    @property
    def multiple(self) -> int:
        """The height and width of an input are multiples of this."""
        return multiple_of(self.widths)


class GrounderNetwork(nn.Module):
    """Pictures in, an embedding and a box per place out; the default has 5 million parameters."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = Shape() if shape is None else shape
        widths, pyramid = self.shape.widths, self.shape.pyramid
        self.stem = nn.Conv2d(3 * STRIDE**2, widths[0], 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        before = (widths[0], *widths)
        self.down = nn.ModuleList(
            residual_blocks(before[level], width, self.shape.blocks[level], shrink=level > 0)
            for level, width in enumerate(widths)
        )
        # What the whole picture looks like reaches every place of the coarsest level.
        self.context = nn.Linear(widths[-1], widths[-1])
        self.lateral = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths)
        self.smooth = nn.ModuleList(_block(pyramid, pyramid) for _ in widths[1:])
        self.place = nn.Conv2d(pyramid, self.shape.embedding, 1)
        self.sides = nn.Sequential(_block(pyramid, pyramid // 2), nn.Conv2d(pyramid // 2, 4, 1))
        hidden = 2 * self.shape.embedding
        self.phrase = nn.Sequential(
            nn.Linear(self.shape.words, hidden), nn.ReLU(), nn.Linear(hidden, self.shape.embedding)
        )
        self.scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(_RARE))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures (B, 3, H, W) as :func:`network_input` makes them; H and W multiples of ``shape.multiple``.

        Returns:
            Embeddings (B, E, H / 4, W / 4) of length 1, and boxes (B, 4, H / 4, W / 4): the distances in pixels from
            the centre of the place to the left, top, right and bottom side, all positive.
        """
        features = functional.relu(self.stem_norm(self.stem(functional.pixel_unshuffle(pictures, STRIDE))))
        levels = []
        for blocks in self.down:
            features = blocks(features)
            levels.append(features)
        levels[-1] = features + self.context(features.mean((2, 3)))[:, :, None, None]
        merged = self.lateral[-1](levels[-1])
        for lateral, smooth, level in zip(self.lateral[-2::-1], self.smooth, levels[-2::-1], strict=True):
            merged = smooth(lateral(level) + functional.interpolate(merged, scale_factor=2.0))
        sides = _UNIT * torch.exp(_REACH * torch.tanh(self.sides(merged) / _REACH))
        return functional.normalize(self.place(merged), dim=1), sides

    def heat(self, places: Tensor, phrases: Tensor) -> Tensor:
        """Score (N, D) phrase vectors, or (B, N, D) of each picture, at every place.

        Returns:
            (B, N, h, w) logits that the centre of a thing of that name lies at the place.
        """
        asked = functional.normalize(self.phrase(phrases), dim=-1)
        asked = asked.expand(len(places), *asked.shape[-2:])
        cosine = torch.bmm(asked, places.flatten(2)).reshape(*asked.shape[:2], *places.shape[2:])
        heat: Tensor = self.scale.exp() * cosine + self.bias
        return heat


def network_input(pixels: Tensor) -> Tensor:
    """Turn pixels (B, H, W, 3) uint8 RGB into (B, 3, H, W) float32 about 0, channels last in memory."""
    return ((pixels.float() - 114.0) / 64.0).permute(0, 3, 1, 2)


def boxes_of(sides: Tensor) -> Tensor:
    """Turn distances (B, 4, h, w) to the left, top, right, bottom into (B, 4, h, w) x1, y1, x2, y2 in pixels."""
    rows, columns = (torch.arange(count, device=sides.device) for count in sides.shape[2:])
    y = ((rows + 0.5) * STRIDE)[:, None].expand(sides.shape[2:])
    x = ((columns + 0.5) * STRIDE)[None, :].expand(sides.shape[2:])
    centre, sign = torch.stack([x, y, x, y]), sides.new_tensor([-1, -1, 1, 1])
    return centre + sign[:, None, None] * sides


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, shrink: bool) -> None:
        super().__init__()
        stride = 2 if shrink else 1
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if shrink or before != after:
            pool: nn.Module = nn.AvgPool2d(2) if shrink else nn.Identity()
            self.shortcut = nn.Sequential(pool, nn.Conv2d(before, after, 1, bias=False))

    def forward(self, inputs: Tensor) -> Tensor:
        features = functional.relu(self.first_norm(self.first(inputs)))
        return functional.relu(self.shortcut(inputs) + self.second_norm(self.second(features)))


def residual_blocks(before: int, after: int, count: int, *, shrink: bool) -> nn.Sequential:
    """Make plain residual blocks in a row; with ``shrink`` the first halves height and width."""
    widths = pairwise([before, *[after] * count])
    return nn.Sequential(*[_Residual(one, other, shrink and not place) for place, (one, other) in enumerate(widths)])


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


# -- what is trained and stored -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A network in single precision, and the names it was taught.

    Raises:
        InputError: numbers of names and vectors that differ, or vectors of another length than the network's.
    """

    network: GrounderNetwork
    names: tuple[Name, ...]  # what can be asked for
    vectors: NDArray[np.float32]  # (N, D): the phrase vector of each name

    def __post_init__(self) -> None:
        check_vectors(self.names, self.vectors, self.network.shape.words)

    def running(self, device: str | None = None) -> Grounder:
        """Make it ready to run by torch; default: on the device it is on."""
        weights = {name: one.detach().float().cpu().numpy() for name, one in self.network.state_dict().items()}
        engine = TorchEngine(self.network, device)
        return Grounder(engine, self.names, self.vectors, PhraseHead.of(weights), self.network.shape.multiple)


def load_taught(model: str | Path = EMBEDDED) -> tuple[Taught, str]:
    """Read weights in single precision, the package's own or a safetensors file's; return the file's SHA-256 too."""

    def build(tensors: dict[str, Tensor], header: dict[str, Any]) -> Taught:
        made = header["shape"]
        numbers = (int(made[key]) for key in ("pyramid", "embedding", "words"))
        network = GrounderNetwork(Shape(tuple(made["widths"]), tuple(made["blocks"]), *numbers))
        vectors = tensors.pop(VECTORS).numpy()
        network.load_state_dict({key.removeprefix(NETWORK): value for key, value in tensors.items()}, assign=True)
        return Taught(network, tuple(Name(**values) for values in header["names"]), vectors)

    return read_network(model, EMBEDDED, build)


def save_taught(taught: Taught, **notes: Any) -> bytes:
    """Return the content of a weights file, the network in half precision; plain JSON ``notes`` go into its header."""
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in taught.network.state_dict().items()}
    header = {"shape": asdict(taught.network.shape), "names": [asdict(name) for name in taught.names]}
    vectors = torch.from_numpy(np.ascontiguousarray(taught.vectors, np.float32))
    return network_file(tensors, {**header, "notes": notes}, {VECTORS: vectors})
