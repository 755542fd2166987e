"""Situations: who is asked about, where, and along what; and the answer by either way of measuring.

A situation becomes several items, alike but for one factor each. What is asked is kept as directions of the patient;
directional terms turn them into those of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fiducial.misground.anatomy import Spread, gap
from fiducial.misground.items import Factors, Kind
from fiducial.volumes.planes import OPPOSITE, Plane, Slicing, View


class Geometry(Protocol):
    """One way of measuring; see :class:`fiducial.misground.anatomy.Anatomy`."""

    def place(self, label: int, asked: str, plane: Plane, view: View, index: int | None) -> Spread:
        """Tell how a structure lies along a direction, in mm."""

    def middle(self, asked: str, plane: Plane, view: View, index: int) -> float:
        """Return where the middle of the picture lies along a direction, in mm."""

    def slice_place(self, asked: str, plane: Plane, index: int) -> float:
        """Return where a slice lies along a direction of the patient, in mm."""

    def across(self, asked: str, plane: Plane) -> bool:
        """Tell whether a direction runs through a plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is asked about whom.

    Args:
        kind: of question.
        plane: of the slices.
        slices: their indices, in the order in which they are shown.
        asked: the direction of the patient; two, vertical and horizontal, for a position.
        named: the structures that are mentioned, in the order of their marks' colours.
        choices: the structures that are options, where they are others than those that are mentioned.
        right: place of the right option, before the options are shuffled.
        order: the options' places before the shuffling, in the order in which they are shown.
        stack: whether the slices are a stack; the answer is then about whole structures.
    """

    kind: Kind
    plane: Plane
    slices: tuple[int, ...]
    asked: tuple[str, ...]
    named: tuple[int, ...]
    choices: tuple[int, ...] = ()
    right: int = 0
    order: tuple[int, ...] = ()
    stack: bool = False

    @property
    def index(self) -> int | None:
        """The slice that the answer is about; None where it is about whole structures."""
        return None if self.stack else self.slices[0]

    def key(self, volume: str) -> str:
        """Name the situation, whatever the slices: a volume, a kind, directions and structures."""
        parts = ["-".join(self.asked), "-".join(map(str, self.named)), "-".join(map(str, self.choices))]
        if self.kind in ("slice_order", "identity"):
            parts += [self.plane, "-".join(map(str, sorted(self.slices)))]
        return "/".join([volume, self.kind, *(part for part in parts if part)])


def in_image(asked: str, slicing: Slicing) -> str:
    """Turn a direction of the patient into that of a picture; the direction itself where it runs through the plane.

    Example:
        >>> import numpy as np
        >>> in_image("L", Slicing((4, 4, 4), np.eye(4), "axial")), in_image("S", Slicing((4, 4, 4), np.eye(4), "axial"))
        ('right', 'S')
    """
    right, down, _ = slicing.directions
    words = {right: "right", OPPOSITE[right]: "left", down: "down", OPPOSITE[down]: "up"}
    return words.get(asked, asked)


def asked_in(situation: Situation, factors: Factors, slicing: Slicing) -> tuple[str, ...]:
    """Return the directions of a situation in the terms that the factors say."""
    if factors.terms != "directional":
        return situation.asked
    return tuple(in_image(one, slicing) for one in situation.asked)


def judge(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    """Work out the place of the right option before the shuffling; None where it is not clear by the margin in mm."""
    return _JUDGES[situation.kind](geometry, situation, factors, asked, margin)


def distance(geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...]) -> float | None:
    """Return by how many mm the two structures, or slices, of an order lie apart; None for other kinds."""
    if situation.kind == "slice_order":
        first, second = (geometry.slice_place(asked[0], situation.plane, index) for index in situation.slices)
        return abs(first - second)
    if situation.kind not in ("order", "relation"):
        return None
    one, two = _places(geometry, situation, factors, asked[0], situation.named)
    return max(gap(one, two), gap(two, one))


def _places(
    geometry: Geometry, situation: Situation, factors: Factors, asked: str, labels: tuple[int, ...]
) -> list[Spread]:
    return [geometry.place(label, asked, situation.plane, factors.view, situation.index) for label in labels]


def _sign(first: Spread, second: Spread, margin: float) -> int:
    return 1 if gap(first, second) >= margin else -1 if gap(second, first) >= margin else 0


def _order(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    """The first structure (0) or the second (1); for a relation the same numbers mean yes and no."""
    first, second = _places(geometry, situation, factors, asked[0], situation.named)
    return {1: 0, -1: 1}.get(_sign(first, second, margin))


def _between(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    """The only choice that lies between the two that are named; all others have to lie clearly beyond one of them."""
    start, end = _places(geometry, situation, factors, asked[0], situation.named)
    way = _sign(end, start, margin)
    inside = []
    for place, choice in enumerate(_places(geometry, situation, factors, asked[0], situation.choices)):
        after, before = way * _sign(choice, start, margin), way * _sign(end, choice, margin)
        if after > 0 and before > 0:
            inside.append(place)
        elif after >= 0 and before >= 0:
            return None
    return inside[0] if way and len(inside) == 1 else None


def _position(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    """The quarter: 0 as asked, 1 on the other side, 2 at the other height, 3 both."""
    found = 0
    for value, one in zip((2, 1), asked, strict=True):
        middle = geometry.middle(one, situation.plane, factors.view, situation.slices[0])
        (place,) = _places(geometry, situation, factors, one, situation.named)
        if middle - place.high >= margin:
            found += value
        elif place.low - middle < margin:
            return None
    return found


def _slice_order(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    first, second = (geometry.slice_place(asked[0], situation.plane, index) for index in situation.slices)
    return None if abs(first - second) < margin else int(second > first)


def _unanswerable(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    return 2 if geometry.across(asked[0], situation.plane) else None


def _identity(
    geometry: Geometry, situation: Situation, factors: Factors, asked: tuple[str, ...], margin: float
) -> int | None:
    return situation.choices.index(situation.named[0])


_JUDGES = {
    "order": _order,
    "relation": _order,
    "between": _between,
    "position": _position,
    "slice_order": _slice_order,
    "unanswerable": _unanswerable,
    "identity": _identity,
}
