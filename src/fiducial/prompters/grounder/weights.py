"""Weights of the nano grounder: half-precision safetensors, with the names it knows and what its scores are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.checkpoints import network_file, read_network
from fiducial.errors import InputError
from fiducial.prompters.grounder.network import GrounderNetwork, Shape

EMBEDDED = "nano-grounder"
"""The weights that come with the package."""
_VECTORS = "names"
_NETWORK = "network."


@dataclass(frozen=True, slots=True)
class Name:
    """One name that can be asked for.

    Raises:
        InputError: a slope that is not above 0, or a threshold outside 0..1.
    """

    name: str  # singular, as the vocabulary calls it
    domain: str = ""  # the kind of picture it belongs to
    slope: float = 1.0  # likelihood = sigmoid(slope * logit + intercept) of a detection with that logit
    intercept: float = 0.0
    threshold: float = 0.3  # likelihood from which a detection is given unless the caller says otherwise

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise InputError(f"{self.name}: the slope of a likelihood is above 0, got {self.slope}")
        if not 0 <= self.threshold <= 1:
            raise InputError(f"{self.name}: a threshold lies in 0..1, got {self.threshold}")


@dataclass(frozen=True, slots=True, eq=False)
class Grounder:
    """A network in single precision, and the names it was taught.

    Raises:
        InputError: numbers of names and vectors that differ, or vectors of another length than the network's.
    """

    network: GrounderNetwork
    names: tuple[Name, ...]  # what can be asked for
    vectors: NDArray[np.float32]  # (N, D): the phrase vector of each name

    def __post_init__(self) -> None:
        needed = (len(self.names), self.network.shape.words)
        if self.vectors.shape != needed:
            raise InputError(f"{needed[0]} names need vectors of shape {needed}, got {self.vectors.shape}")

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The names alone, in order."""
        return tuple(name.name for name in self.names)

    def places(self, names: Sequence[str]) -> list[int]:
        """Return the index of each name in the vocabulary; InputError for one that is not known."""
        known = self.vocabulary
        for name in names:
            if name not in known:
                raise InputError(f"the grounder does not know {name!r}: it knows {', '.join(known)}")
        return [known.index(name) for name in names]


def load_grounder(model: str | Path = EMBEDDED) -> tuple[Grounder, str]:
    """Read weights in single precision, the package's own or a safetensors file's; return the file's SHA-256 too."""

    def build(tensors: dict[str, Tensor], header: dict[str, Any]) -> Grounder:
        made = header["shape"]
        numbers = (int(made[key]) for key in ("pyramid", "embedding", "words"))
        network = GrounderNetwork(Shape(tuple(made["widths"]), tuple(made["blocks"]), *numbers))
        vectors = tensors.pop(_VECTORS).numpy()
        network.load_state_dict({key.removeprefix(_NETWORK): one for key, one in tensors.items()}, assign=True)
        return Grounder(network, tuple(Name(**values) for values in header["names"]), vectors)

    return read_network(model, EMBEDDED, build)


def save_grounder(grounder: Grounder, **notes: Any) -> bytes:
    """Return the content of a weights file, the network in half precision; plain JSON ``notes`` go into its header."""
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in grounder.network.state_dict().items()}
    header = {"shape": asdict(grounder.network.shape), "names": [asdict(name) for name in grounder.names]}
    vectors = torch.from_numpy(np.ascontiguousarray(grounder.vectors, np.float32))
    return network_file(tensors, {**header, "notes": notes}, {_VECTORS: vectors})
