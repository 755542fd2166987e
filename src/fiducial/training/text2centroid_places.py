"""Words for places, to write sentences for Text2Centroid with: which are true of a point, and which point they mean.

The wordings stand in ``text2centroid_places.yaml``. All points are x, y in the centred frame, [-1, 1], y up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from fiducial.files import read_yaml
from fiducial.geometry import Point

Part = Literal["training", "held_out"]
Form = Literal["where", "part", "label"]
"""How a place is put: "in the upper left", "the upper left quadrant", "upper left"."""
SIDE, NEAR, CORNER, FAR = 0.5, 0.25, 0.65, 0.8
"""How far from the centre along an axis is what "left", "slightly left", "the left corner" and "the far left" mean."""
JOINED = 0.3
"""How often a place is put together of one phrase for each axis."""


@dataclass(frozen=True, slots=True)
class Words:
    """A place in words, and the point x, y that they mean."""

    text: str
    point: Point


@dataclass(frozen=True, slots=True)
class _Kind:
    """A set of wordings: what they mean at the upper right, how often they are taken, of which |x|, |y| they hold."""

    meant: Point
    share: float
    true: Callable[[float, float], bool]


_KINDS: dict[str, _Kind] = {
    "quadrant": _Kind((SIDE, SIDE), 3.0, lambda x, y: min(x, y) > 0.12 and math.hypot(x, y) > 0.3),
    "near": _Kind((NEAR, NEAR), 2.0, lambda x, y: min(x, y) > 0.1 and max(x, y) < 0.42),
    "centre": _Kind((0.0, 0.0), 5.0, lambda x, y: math.hypot(x, y) < 0.15),
    "horizontal": _Kind((SIDE, 0.0), 1.2, lambda x, y: x > 0.2),
    "vertical": _Kind((0.0, SIDE), 1.2, lambda x, y: y > 0.2),
    "beside": _Kind((NEAR, 0.0), 2.5, lambda x, y: 0.08 < x < 0.4 and y < 0.12),
    "over": _Kind((0.0, NEAR), 2.5, lambda x, y: 0.08 < y < 0.4 and x < 0.12),
    "edge_horizontal": _Kind((FAR, 0.0), 1.5, lambda x, y: x > 0.7 and y < 0.5),
    "edge_vertical": _Kind((0.0, FAR), 1.5, lambda x, y: y > 0.7 and x < 0.5),
    "corner": _Kind((CORNER, CORNER), 1.0, lambda x, y: min(x, y) > 0.4),
    "far_corner": _Kind((FAR, FAR), 1.5, lambda x, y: min(x, y) > 0.65),
}
_ALONG = {"far": (FAR, 0.68, 1.0), "side": (SIDE, 0.2, 0.85), "slight": (NEAR, 0.08, 0.42), "mid": (0.0, 0.0, 0.12)}
"""Of phrases for one axis: what they mean, and from where to where they are true."""


def true_wordings(point: Point) -> dict[str, float]:
    """Return which sets of wordings are true of a point, and how often each is taken, relative to their sum.

    Example:
        >>> sorted(true_wordings((0.0, 0.0))), sorted(true_wordings((-0.6, 0.1)))
        (['centre'], ['horizontal'])
    """
    x, y = abs(point[0]), abs(point[1])
    found = {name: kind.share for name, kind in _KINDS.items() if kind.true(x, y)}
    return found or {"horizontal" if x > y else "vertical": 1.0}


def place_words(point: Point, part: Part, form: Form, random: np.random.Generator) -> Words:
    """Draw words that are true of a point."""
    if form == "where" and random.random() < JOINED:
        return _joined(point, part, random)
    kinds = true_wordings(point)
    chances = np.array(list(kinds.values())) / sum(kinds.values())
    return kind_words(str(random.choice(list(kinds), p=chances)), point, part, form, random)


def kind_words(kind: str, point: Point, part: Part, form: Form, random: np.random.Generator) -> Words:
    """Draw words of one of the sets that :func:`true_wordings` names, for the sides on which a point lies."""
    meant = _KINDS[kind].meant
    text = _with_sides(drawn(_wordings()[part][kind][form], random), point)
    return Words(text, _towards(point, meant))


def axes_of(kind: str) -> tuple[bool, bool]:
    """Say whether the words of a set tell anything of x, and of y, but that it is in the middle."""
    x, y = _KINDS[kind].meant
    return bool(x), bool(y)


def drawn(choices: Sequence[Any], random: np.random.Generator) -> Any:
    """Draw one of several."""
    return choices[int(random.integers(len(choices)))]


def _joined(point: Point, part: Part, random: np.random.Generator) -> Words:
    """Put a place together of a phrase for each axis."""
    phrases = _wordings()["axes"][part]
    said, meant = [], []
    for value, axis in zip(point, ("across", "upwards"), strict=True):
        true = [name for name, (_, low, high) in _ALONG.items() if low <= abs(value) <= high]
        name = drawn(true or ["side"], random)
        said.append(drawn(phrases[f"{name}_{axis}"], random))
        meant.append(_ALONG[name][0])
    text = drawn(phrases["joined"], random).replace("{one}", said[0]).replace("{two}", said[1])
    return Words(_with_sides(text, point), _towards(point, (meant[0], meant[1])))


def _towards(point: Point, meant: Point) -> Point:
    return math.copysign(meant[0], point[0]), math.copysign(meant[1], point[1])


def _with_sides(text: str, point: Point) -> str:
    right, up = point[0] > 0, point[1] > 0
    north, west = ("north" if up else "south"), ("east" if right else "west")
    return text.format(
        upper="upper" if up else "lower",
        top="top" if up else "bottom",
        bottom="bottom" if up else "top",
        above="above" if up else "below",
        north=north,
        northern=f"{north}ern",
        northwest=f"{north}{west}",
        northwestern=f"{north}{west}ern",
        left="right" if right else "left",
        right="left" if right else "right",
        west=west,
        western=f"{west}ern",
    )


@cache
def _wordings() -> Any:
    return read_yaml(files("fiducial.training").joinpath("text2centroid_places.yaml"), kind=dict)
