"""What a training run of Text2Centroid can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.training.configs import SteppedConfig

PointKind = Literal["meant", "centroid"]
"""A field of ``Pair``."""


@dataclass(frozen=True, slots=True)
class SentenceKinds(Config):
    """How often each kind of sentence is written, relative to their sum."""

    questions: float = option(0.15, "PRS-Med's answers and descriptions, by its rules for places", minimum=0)
    resolver: float = option(0.06, "what the resolver of spatial phrases says of things that it chose", minimum=0)
    places: float = option(0.38, "one thing and its place, in many wordings", minimum=0)
    several: float = option(0.11, "two things, each with its place; the point is their middle", minimum=0)
    denied: float = option(0.22, "where a thing is and where it is not, or the latter alone", minimum=0)
    anatomy: float = option(0.08, "parts of the chest and the brain, on the patient's sides", minimum=0)

    def check(self) -> None:
        """Refuse a run without a sentence."""
        if not self.questions + self.resolver + self.places + self.several + self.denied + self.anatomy:
            raise InputError("kinds: one of them has to be more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text2CentroidConfig(SteppedConfig):
    """A training run of Text2Centroid's head: sentences to the points that they speak of."""

    kind: ClassVar[str] = "training"
    name: ClassVar[str] = "text2centroid"
    task: ClassVar[str] = "fiducial.training.text2centroid:Text2CentroidTask"

    encoder: str = option("minilm", "the frozen sentence encoder: minilm, or a folder of one; may begin with DATA/")
    pairs: int = option(40000, "sentences that are written about drawn masks, to learn from", minimum=1)
    held_out: int = option(2000, "sentences in wordings that are never learned from, to choose the best by", minimum=1)
    kinds: SentenceKinds = option(SentenceKinds(), "how often each kind of sentence is written")
    learning_rate: float = option(2e-3, "the highest one, after the warm-up", above=0)
    weight_decay: float = option(0.05, "of all weights but biases", minimum=0)
    convention: Literal["radiological", "neurological"] = option(
        "radiological", "on which side of the picture the patient's right is, in sentences of anatomy"
    )
    points: PointKind = option(
        "meant", "what a sentence is to be read as: meant, the point that its words mean, or the drawn mask's centroid"
    )
    hidden_size: int = option(256, "width of the head's hidden layers", minimum=1)
    layers: int = option(2, "hidden layers of the head", minimum=1)
    dropout: float = option(0.3, "part of each hidden layer that is left out in training", minimum=0, maximum=0.9)
    beta: float = option(
        0.2, "from this error on Smooth L1 is a straight line", unit="of the centred frame, -1..1", above=0
    )
    steps: int = option(3000, "optimiser steps", minimum=1)
    batch_size: int = option(256, "sentences per step", minimum=1)
