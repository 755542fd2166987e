"""What a detector promises: noun phrases in, boxes with scores out, and which nouns it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fiducial.errors import GeometryError
from fiducial.geometry import Box
from fiducial.images import Image


@dataclass(frozen=True, slots=True)
class Detection:
    """One instance of a noun phrase.

    Args:
        box: xyxy in pixels of the image, inside it.
        score: how likely it is that the phrase names what is there, in 0..1.
        name: the name that was asked for, letter by letter.

    Raises:
        GeometryError: a score outside 0..1.
    """

    box: Box
    score: float
    name: str

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise GeometryError(f"a detection's score lies in 0..1, got {self.score}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a detector takes a noun to mean.

    Args:
        said: the noun as the user said it, such as ``"aeroplanes"``.
        name: what the detector is to be asked for, such as ``"airplane"``; None when it does not know the noun.
        likeness: how close the two are, in 0..1; 1 for a noun of the vocabulary or a synonym of it. Without a name, 0
            means that the whole noun is something else ("fish tank"), so that its last word alone is not tried, and 1
            that it is a name of several ("court"), all of which are in ``instead``.
        instead: names that could have been meant, the closest first.
    """

    said: str
    name: str | None
    likeness: float = 1.0
    instead: tuple[str, ...] = ()


@runtime_checkable
class Detector(Protocol):
    """Noun phrases in, boxes out; no spatial words, no counting: the resolver does that."""

    def read(self, noun: str) -> Reading:
        """Say what a noun phrase, singular or plural, is taken to mean.

        Args:
            noun: words without article, such as ``"storage tanks"``.
        """
        ...

    def vocabulary(self) -> tuple[str, ...]:
        """Return the names that are known, singular; empty when any noun may be asked for."""
        ...

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name.

        Args:
            images: any number of pictures of any size.
            names: for each picture, names as :meth:`read` gave them; no name finds nothing.

        Returns:
            For each picture the detections at or above the detector's threshold, best first. A thing that fits two
            of the names is there twice. With a vocabulary, what is found for a name does not depend on the others.

        Raises:
            InputError: the numbers differ, or a name is not known.
            ModelError: the model itself failed.
        """
        ...
