"""Weights of the nano grounder, ready to run: the names it knows, what its scores are worth, and its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.checkpoints import read_network
from fiducial.engines import Engine, open_engine, runs_on_onnx, torch_engine
from fiducial.errors import InputError

EMBEDDED = "nano-grounder"
"""The weights that come with the package."""
STRIDE = 4
"""Pixels of the picture per place of the heat maps, along each axis."""
_BUMP = 0.54
"""Part of a thing's box, along each axis, in which every place is taught the whole box, the middle most of all."""
VECTORS = "names"
NETWORK = "network."
"""What stands before the names of the network's weights in the file."""

Array = NDArray[np.float32]


def bump_reach(side: float) -> int:
    """Return how many places the bump of a box reaches from its middle along an axis; ``side`` is in pixels."""
    return max(1, int(side / STRIDE / 2 * _BUMP))


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
class PhraseHead:
    """The part of the network that asks: from phrase vectors and the embeddings of places to logits.

    It is small and needs no picture, so that one look at a picture answers any number of phrases, also later ones.
    """

    inner: Array  # (hidden, D)
    inner_shift: Array  # (hidden,)
    outer: Array  # (E, hidden)
    outer_shift: Array  # (E,)
    scale: float  # logarithm of what a cosine counts
    bias: float

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[Any]]) -> PhraseHead:
        """Take it from the network's weights, by their names in its state."""
        layers = [weights[f"phrase.{layer}.{part}"] for layer in (0, 2) for part in ("weight", "bias")]
        inner, inner_shift, outer, outer_shift = (np.asarray(one, np.float32) for one in layers)
        return cls(inner, inner_shift, outer, outer_shift, float(weights["scale"]), float(weights["bias"]))

    def heat(self, places: Array, phrases: Array) -> Array:
        """Score (N, D) phrase vectors at every place of (B, E, h, w) embeddings.

        Returns:
            (B, N, h, w) logits that the centre of a thing of that name lies at the place.
        """
        hidden = np.maximum(phrases @ self.inner.T + self.inner_shift, 0)
        asked = hidden @ self.outer.T + self.outer_shift
        asked = asked / np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-12)
        cosine = asked @ places.reshape(*places.shape[:2], -1)
        heat = np.float32(np.exp(self.scale)) * cosine + np.float32(self.bias)
        return np.asarray(heat.reshape(len(places), len(asked), *places.shape[2:]), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Grounder:
    """A network that is ready to run, and the names it was taught.

    Raises:
        InputError: numbers of names and vectors that differ, or vectors of another length than the network's.
    """

    engine: Engine  # (B, 3, H, W) float32 to embeddings (B, E, h, w) of places, and distances (B, 4, h, w)
    names: tuple[Name, ...]  # what can be asked for
    vectors: Array  # (N, D): the phrase vector of each name
    head: PhraseHead
    multiple: int  # the height and width of an input are multiples of this

    def __post_init__(self) -> None:
        check_vectors(self.names, self.vectors, self.head.inner.shape[1])

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


def check_vectors(names: Sequence[Name], vectors: Array, length: int) -> None:
    """Refuse phrase vectors that do not go with the names and the network."""
    if vectors.shape != (len(names), length):
        raise InputError(f"{len(names)} names need vectors of shape {(len(names), length)}, got {vectors.shape}")


def multiple_of(widths: Sequence[int]) -> int:
    """Return what the height and width of an input are multiples of, by the channels of the network's levels."""
    return int(STRIDE * 2 ** (len(widths) - 1))


def load_grounder(model: str | Path = EMBEDDED, device: str = "auto") -> Grounder:
    """Load weights, the package's own or a safetensors file's, to run on a device: auto, cpu, cuda, cuda:1, ..."""
    engine: Engine | None = None
    if not runs_on_onnx(device):
        engine = torch_engine(lambda: _torch_network(model), device)

    def build(tensors: dict[str, Any], header: dict[str, Any]) -> tuple[tuple[Name, ...], Array, dict[str, Any], int]:
        names, vectors = (
            tuple(Name(**values) for values in header["names"]),
            np.asarray(tensors.pop(VECTORS), np.float32),
        )
        return names, vectors, tensors, multiple_of(header["shape"]["widths"])

    (names, vectors, tensors, multiple), digest = read_network(model, EMBEDDED, build, framework="numpy")
    head = PhraseHead.of({name.removeprefix(NETWORK): one for name, one in tensors.items()})
    if engine is None:
        asking = (f"{NETWORK}phrase.", f"{NETWORK}scale", f"{NETWORK}bias")
        seeing = {name: one for name, one in tensors.items() if not name.startswith(asking)}
        engine = open_engine(model, EMBEDDED, seeing, digest, device)
    return Grounder(engine, names, vectors, head, multiple)


def _torch_network(model: str | Path) -> Any:
    from fiducial.prompters.grounder.network import load_taught

    return load_taught(model)[0].network


def load_names(model: str | Path = EMBEDDED) -> tuple[Name, ...]:
    """Read the names that weights were taught, without loading the network."""
    names, _ = read_network(model, EMBEDDED, lambda _, header: header["names"], framework="numpy")
    return tuple(Name(**values) for values in names)
