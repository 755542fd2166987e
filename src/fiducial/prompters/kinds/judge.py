"""The judge: which of the kinds that its weights were taught a picture is of, if it is of any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.checkpoints import read_network
from fiducial.engines import Engine, open_engine, runs_on_onnx, torch_engine
from fiducial.errors import InputError, ModelError
from fiducial.images import Image

EMBEDDED = "nano-kinds"
"""The weights that come with the package."""
SIDE = 128
"""Width and height to which a picture is stretched, in pixels."""
MAX_REMEMBERED = 1024
"""Pictures whose judgements are kept: a handful of numbers each."""
_GREY, _SPREAD = 114, 64

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of picture that the weights were taught."""

    name: str  # as the vocabulary calls it: "aerial"
    threshold: float = 0.0  # logit from which a picture may be of this kind


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a picture looks like: (K,) logits, one per kind, each against all other pictures."""

    kinds: tuple[Kind, ...]
    logits: Array

    def may_be(self, name: str) -> bool:
        """Say whether the picture can be of a kind; of one that was not taught nothing is known, so it can."""
        return all(
            logit >= kind.threshold for kind, logit in zip(self.kinds, self.logits, strict=True) if kind.name == name
        )

    @property
    def seems(self) -> str:
        """The likeliest kind; "" where none is likelier than not."""
        best = int(np.argmax(self.logits))
        return self.kinds[best].name if self.logits[best] > 0 else ""


class KindJudge:
    """Says what kind a picture is of; remembered by the picture's content.

    Args:
        engine: (B, 3, 128, 128) float32 about 0 to (B, K) logits.
        kinds: what each logit is of.
    """

    def __init__(self, engine: Engine, kinds: Sequence[Kind]) -> None:
        self.kinds = tuple(kinds)
        self._engine = engine
        self._remembered: LRUCache[str, Judgement] = LRUCache(MAX_REMEMBERED)

    @classmethod
    def from_pretrained(cls, model: str | Path = EMBEDDED, device: str = "auto") -> KindJudge:
        """Load weights, the package's own or a safetensors file's, to run on a device: auto, cpu, cuda, ..."""
        engine: Engine | None = None
        if not runs_on_onnx(device):
            engine = torch_engine(lambda: _torch_network(model), device)
        (kinds, tensors), digest = read_network(
            model, EMBEDDED, lambda tensors, header: (kinds_of(header, tensors), tensors), framework="numpy"
        )
        return cls(engine or open_engine(model, EMBEDDED, tensors, digest, device, optimise=False), kinds)

    def judge(self, images: Sequence[Image]) -> list[Judgement]:
        """Judge pictures; those that are new are looked at together.

        Raises:
            ModelError: the network gave numbers that are not finite.
        """
        found = {one.digest: kept for one in images if (kept := self._remembered.get(one.digest)) is not None}
        new = {one.digest: one for one in images if one.digest not in found}
        if new:
            (logits,) = self._engine(network_input([one.pixels for one in new.values()]))
            if not np.isfinite(logits).all():
                raise ModelError("the judge of kinds gave no finite numbers: its weights are broken or badly trained")
            for digest, row in zip(new, logits, strict=True):
                found[digest] = Judgement(self.kinds, row.copy())
                self._remembered.put(digest, found[digest])
        return [found[one.digest] for one in images]


def network_input(pixels: Sequence[NDArray[Any]]) -> Array:
    """Stretch pictures (H, W, 3) in 0..255 to (B, 3, 128, 128) about 0."""
    stacked = np.stack([stretched(one) for one in pixels]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray((stacked.astype(np.float32) - _GREY) / _SPREAD)


def stretched(pixels: NDArray[Any]) -> NDArray[Any]:
    """Stretch a picture (H, W, 3) to 128 x 128 pixels: by means where it is larger both ways."""
    how = cv2.INTER_AREA if min(pixels.shape[:2]) > SIDE else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(pixels), (SIDE, SIDE), interpolation=how)


def kinds_of(header: dict[str, Any], tensors: dict[str, Any]) -> tuple[Kind, ...]:
    """Read the kinds out of a weights file's header: as many as the network gives logits.

    Raises:
        InputError: they are not.
    """
    kinds = tuple(Kind(str(one["name"]), float(one["threshold"])) for one in header["kinds"])
    if len(kinds) != len(tensors["verdict.bias"]):
        raise InputError(f"{len(kinds)} kinds are named, the network knows {len(tensors['verdict.bias'])}")
    return kinds


def _torch_network(model: str | Path) -> Any:
    from fiducial.prompters.kinds.network import load_kinds

    return load_kinds(model)[0]
