"""A detector of subjects: the visual half of a joint model draws each, and its mask gives box and inner point.

A network that draws the whole picture's mask at once finds what has no sharp box (lungs, lesions) better than one that
looks for boxes. It is asked by a vector per subject, worked out once (:mod:`fiducial.reasoner.visual`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.checkpoints import read_network
from fiducial.engines import Engine, OnnxEngine, runs_on_onnx, torch_engine
from fiducial.errors import InputError, ModelError
from fiducial.files import read_json
from fiducial.geometry import Mask, large_pieces
from fiducial.images import Image
from fiducial.models import weights_of
from fiducial.prompters.detector.reading import Detection

EMBEDDED = "cg-reasoner-nano"
"""The folder that comes with the package."""
SUBJECTS, GRAPH = "subjects.safetensors", "visual.fused.onnx"
WEIGHTS, SETTINGS = "reasoner.safetensors", "reasoner.json"
"""What a joint model's folder holds for this: the subjects with their vectors, the graph, its weights, its make-up."""
VECTORS = "vectors"
VISUAL = ("encoder.", "decoder.")
"""What the names of the visual half's weights begin with."""
_TORCH = "fiducial.reasoner.visual"
MAX_REMEMBERED = 256
"""Subjects in pictures that are remembered."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Subject:
    """A name that is drawn.

    Raises:
        InputError: a threshold outside 0..1.
    """

    name: str  # as the vocabulary calls it, singular
    domain: str  # the kind of picture it is looked for in
    presence: float = 0.5  # probability of it being there from which it is drawn
    likely: float = 0.5  # probability from which a pixel is part of it
    draws: bool = True  # its mask is the answer; else it only says where a segmenter is to cut
    apart: bool = False  # each large piece is a thing of its own, as of two lungs

    def __post_init__(self) -> None:
        for what, value in (("presence", self.presence), ("likely", self.likely)):
            if not 0 < value < 1:
                raise InputError(f"{self.name}: {what} lies between 0 and 1, got {value}")


class SubjectDetector:
    """Draws subjects; what was drawn is remembered by the picture's content.

    Args:
        load: returns the engine, pictures (B, 3, S, S) RGB in 0..1 and vectors (B, C) to logits (B, G, G) and presence
            (B,); called when it is first needed.
        subjects: what can be asked for.
        vectors: (N, C), one per subject.
        size: S, in pixels.
    """

    def __init__(self, load: Callable[[], Engine], subjects: Sequence[Subject], vectors: Array, size: int) -> None:
        if len(subjects) != len(vectors):
            raise InputError(f"{len(subjects)} subjects need as many vectors, got {len(vectors)}")
        self.subjects, self._size = tuple(subjects), size
        self._places = {one.name: place for place, one in enumerate(self.subjects)}
        self._load, self._vectors = load, np.asarray(vectors, np.float32)
        self._remembered: LRUCache[tuple[str, str], tuple[Detection, ...]] = LRUCache(MAX_REMEMBERED)

    @classmethod
    def from_pretrained(cls, model: str | Path = EMBEDDED, device: str = "auto") -> SubjectDetector:
        """Load the folder of a joint model whose graph was made, the package's own by name.

        Raises:
            InputError: no such folder, or one without subjects.
        """
        folder = weights_of(str(model)) or Path(model)
        lost = [name for name in (SUBJECTS, GRAPH, WEIGHTS, SETTINGS) if not (folder / name).is_file()]
        if lost:
            raise InputError(
                f"{model}: no subjects are drawn by this folder, as it lacks {', '.join(lost)}: give RUN/model of a "
                f"run of `fiducial train cg-reasoner`, and make its graph with: fiducial models {model} --export"
            )
        subjects, vectors = read_subjects(folder)
        size = int(read_json(folder / SETTINGS, kind=dict)["network"]["size"])

        def load() -> Engine:
            if runs_on_onnx(device):
                return _onnx_engine(folder, device)
            return torch_engine(lambda: import_module(_TORCH).load_visual(folder), device)

        return cls(load, subjects, vectors, size)

    @cached_property
    def _engine(self) -> Engine:
        return self._load()

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Draw each name in the picture beside it; see :meth:`fiducial.prompters.detector.reading.Detector.detect`."""
        wanted = {
            (image.digest, name): (image, self._places[name])
            for image, some in zip(images, names, strict=True)
            for name in some
        }
        found = {key: kept for key in wanted if (kept := self._remembered.get(key)) is not None}
        new = {key: one for key, one in wanted.items() if key not in found}
        if new:
            pixels = np.stack([self._input(image) for image, _ in new.values()])
            logits, presence = self._engine(pixels, self._vectors[[place for _, place in new.values()]])
            if not (np.isfinite(logits).all() and np.isfinite(presence).all()):
                raise ModelError("the network of subjects gave no finite numbers: its weights are broken")
            for (key, (image, place)), drawn, there in zip(new.items(), logits, presence, strict=True):
                found[key] = _detections(self.subjects[place], image, drawn, float(1 / (1 + np.exp(-there))))
                self._remembered.put(key, found[key])
        return [
            [one for name in dict.fromkeys(some) for one in found[image.digest, name]]
            for image, some in zip(images, names, strict=True)
        ]

    def _input(self, image: Image) -> Array:
        pixels = image.stretched((self._size, self._size)).pixels
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def _detections(subject: Subject, image: Image, logits: Array, there: float) -> tuple[Detection, ...]:
    """Turn logits (G, G) over the whole picture into what is there, best first."""
    if there < subject.presence:
        return ()
    whole = cv2.resize(logits, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
    mask = Mask.from_dense(whole > np.log(subject.likely / (1 - subject.likely)), score=there)
    pieces = large_pieces(mask) if subject.apart else [mask]
    return tuple(
        Detection(one.box, there, subject.name, one if subject.draws else None) for one in pieces if one.box is not None
    )


def read_subjects(folder: Path) -> tuple[tuple[Subject, ...], Array]:
    """Read the subjects of a folder and their vectors (N, C)."""

    def build(tensors: dict[str, Any], header: dict[str, Any]) -> tuple[tuple[Subject, ...], Array]:
        return tuple(Subject(**one) for one in header["subjects"]), np.asarray(tensors[VECTORS], np.float32)

    return read_network(folder / SUBJECTS, EMBEDDED, build, framework="numpy")[0]


def _onnx_engine(folder: Path, device: str) -> OnnxEngine:
    def build(tensors: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in tensors.items() if name.startswith(VISUAL)}

    weights, digest = read_network(folder / WEIGHTS, EMBEDDED, build, framework="numpy")
    graph = (folder / GRAPH).read_bytes()
    try:
        engine = OnnxEngine(graph, weights, digest, device)
        engine.ready()
        return engine
    except InputError as error:
        raise InputError(f"{folder}: {error}; make its graph with: fiducial models {folder} --export") from None
