"""Weights of the nano grounder: half-precision safetensors, with the names it knows and what its scores are worth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
    """A network and the names it was taught.

    Args:
        network: in single precision.
        names: what can be asked for.
        vectors: (N, D) float32, the phrase vector of each name.

    Raises:
        InputError: numbers of names and vectors that differ, or vectors of another length than the network's.
    """

    network: GrounderNetwork
    names: tuple[Name, ...]
    vectors: NDArray[np.float32]

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
    """Read weights, ``"nano-grounder"`` or a safetensors file, in single precision; return the file's SHA-256 too.

    Raises:
        InputError: no such file, or no weights of this network.
    """
    from safetensors import SafetensorError

    if model == EMBEDDED:
        with as_file(files("fiducial.models").joinpath(f"{EMBEDDED}.safetensors")) as path:
            return load_grounder(path)
    try:
        data = Path(model).read_bytes()
        return _parsed(data, _header(Path(model))), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise InputError(f"{model}: the weights cannot be read ({error.strerror or error})") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{model}: holds no weights of the nano grounder ({reason})") from None


def save_grounder(grounder: Grounder, **notes: Any) -> bytes:
    """Return the content of a weights file, in half precision; plain JSON ``notes`` go into its header."""
    from safetensors.torch import save

    tensors = {
        f"{_NETWORK}{name}": (tensor.detach().cpu().half() if tensor.is_floating_point() else tensor.cpu()).contiguous()
        for name, tensor in grounder.network.state_dict().items()
    }
    tensors[_VECTORS] = torch.from_numpy(np.ascontiguousarray(grounder.vectors, np.float32))
    header = {"shape": grounder.network.shape.as_json(), "names": [asdict(name) for name in grounder.names]}
    return save(tensors, {key: json.dumps(value) for key, value in {**header, "notes": notes}.items()})


def _header(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return file.metadata() or {}


def _parsed(data: bytes, header: dict[str, str]) -> Grounder:
    from safetensors.torch import load

    tensors = load(data)
    network = GrounderNetwork(Shape.from_json(json.loads(header["shape"])))
    state = {key.removeprefix(_NETWORK): value for key, value in tensors.items() if key.startswith(_NETWORK)}
    network.load_state_dict({key: value.float() for key, value in state.items()})
    names = tuple(Name(**values) for values in json.loads(header["names"]))
    return Grounder(network, names, tensors[_VECTORS].float().numpy())
