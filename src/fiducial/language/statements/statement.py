"""Statements: what a text says of where things lie, how many there are and how large they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fiducial.errors import UnknownNameError


class Convention(StrEnum):
    """Which side of the picture the patient's right is on; never guessed, for nobody can see it in a text."""

    RADIOLOGICAL = "radiological"
    """The patient's right is on the picture's left: films and slices, seen from the front or from the feet."""
    NEUROLOGICAL = "neurological"
    """The patient's right is on the picture's right: seen from behind or from the head."""


def as_convention(value: Convention | str | None) -> Convention | None:
    """Return a convention by itself or by its name; None stays.

    Raises:
        UnknownNameError: it is none.

    Example:
        >>> as_convention("neurological") is Convention.NEUROLOGICAL
        True
    """
    if value is None or isinstance(value, Convention):
        return value
    if value not in (known := [one.value for one in Convention]):
        raise UnknownNameError("convention", str(value), known)
    return Convention(value)


_MIRRORED = {"left": "right", "right": "left"}


@dataclass(frozen=True, slots=True)
class Statement:
    """What all statements have.

    Args:
        words: as said in the text.
        start: where they begin in the text, in characters from 0.
        negated: whether the text says that this is *not* so.
    """

    words: str
    start: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Place(Statement):
    """Where something lies.

    Args:
        places: alternatives, one of which holds; each names the sides that hold together, out of left, right, top,
            bottom, centre and edge.
        near: closer to the centre than the sides say: "near the centre", or along one axis "left of the centre".
        patient: the sides are the patient's ("the right lung"): see :meth:`seen`.
        group: which of the things that the text tells apart is meant, from 0: "one on the left and one on the right".
        opposed: whether only an opposite side tells it apart from what came before: "the label is on the left, the mass
            on the right". One of the two may be about something that is not asked for.
        every: whether it is said of each of several things ("they", "all 3 ships"); else it may be said of one of them.
    """

    places: tuple[tuple[str, ...], ...] = ()
    near: bool = False
    patient: bool = False
    group: int = 0
    opposed: bool = False
    every: bool = False

    @property
    def central(self) -> bool:
        """Whether it names the centre alone."""
        return all(side == "centre" for sides in self.places for side in sides)

    def seen(self, convention: Convention | str | None) -> Place | None:
        """Return the same place in the picture's sides; None for the patient's sides without a convention."""
        convention = as_convention(convention)
        if not self.patient:
            return self
        if convention is None:
            return None
        if convention is Convention.NEUROLOGICAL:
            return replace(self, patient=False)
        places = tuple(tuple(_MIRRORED.get(side, side) for side in sides) for sides in self.places)
        return replace(self, places=places, patient=False)


@dataclass(frozen=True, slots=True)
class Count(Statement):
    """How many things there are: from ``low`` to ``high``, both included; ``high`` is None for no bound."""

    low: int = 0
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Size(Statement):
    """How large something is: from ``low`` to ``high``, a share of the picture, or ``pixels``, square pixels."""

    low: float = 0.0
    high: float = 1.0
    pixels: bool = False
