"""Position: parts of the picture, with room to spare on both sides of their border."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.datasets.referring.proposals import NUMBERS, Proposal, one_of
from fiducial.datasets.referring.view import Thing, View
from fiducial.datasets.referring.vocabulary import many

INNER = 0.30
"""A centre within this share of the axis from a side certainly lies at that side (the third is 0.33)."""
OUTER = 0.55
"""A centre further than this from a side certainly does not."""
HALF = 0.03
"""A box this share of the axis away from the middle line certainly lies in its half."""
CENTRE, OFF_CENTRE = 0.12, 0.28
"""A centre this close to the picture's certainly is in the middle; this far away on an axis certainly not."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the picture.

    Args:
        sides: the sides that hold together, or ``("centre",)``.
        half: a half of the picture rather than an outer third.
        wordings: how it is said.
    """

    sides: tuple[str, ...]
    half: bool
    wordings: tuple[str, ...]


PARTS = (
    Part(("left",), False, ("on the left", "on the left side")),
    Part(("right",), False, ("on the right", "on the right side")),
    Part(("top",), False, ("at the top",)),
    Part(("bottom",), False, ("at the bottom",)),
    Part(("top", "left"), False, ("in the top left", "in the upper left", "in the top left corner")),
    Part(("top", "right"), False, ("in the top right", "in the upper right", "in the top right corner")),
    Part(("bottom", "left"), False, ("in the bottom left", "in the lower left", "in the bottom left corner")),
    Part(("bottom", "right"), False, ("in the bottom right", "in the lower right", "in the bottom right corner")),
    Part(("centre",), False, ("in the centre", "in the middle")),
    Part(("left",), True, ("in the left half",)),
    Part(("right",), True, ("in the right half",)),
    Part(("top",), True, ("in the top half", "in the upper half")),
    Part(("bottom",), True, ("in the bottom half", "in the lower half")),
)


def lies_in(view: View, thing: Thing, part: Part) -> bool | None:
    """Say whether a thing lies in a part of the picture, or None where people could disagree."""
    if part.sides == ("centre",):
        return _in_centre(view, thing)
    held = [_at_side(view, thing, side, half=part.half) for side in part.sides]
    if False in held:
        return False
    return None if None in held else True


def inside(view: View, group: Sequence[Thing], part: Part) -> tuple[Thing, ...] | None:
    """Return the things of a group that lie in a part, or None where that is not clear for one of them."""
    held = {thing.index: lies_in(view, thing, part) for thing in group}
    if None in held.values():
        return None
    return tuple(thing for thing in group if held[thing.index])


def by_position(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the ship in the top right" and "all ships on the left"."""
    for name, group in view.groups.items():
        for part in PARTS:
            found = inside(view, group, part)
            where = one_of(rng, part.wordings)
            # where the name alone would do, halves and sides are not worth saying
            alone = len(group) == 1 and len(part.sides) < 2 and part.sides != ("centre",)
            if not found or alone or (len(found) == len(group) > 1):
                continue
            yield Proposal.of(f"{_named(name, len(found), rng)} {where}", "position", found)


def by_corner_distance(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the ship closest to the top left corner"."""
    places = {
        "the top left corner": (0.0, 0.0),
        "the top right corner": (1.0, 0.0),
        "the bottom left corner": (0.0, 1.0),
        "the bottom right corner": (1.0, 1.0),
        "the centre of the image": (0.5, 0.5),
    }
    for name, group in view.groups.items():
        if len(group) < 2:
            continue
        for words, (u, v) in places.items():
            point = (u * view.width, v * view.height)
            nearest = closest(group, [_distance(thing, point) for thing in group], 0.1 * view.width)
            if nearest is not None:
                near = one_of(rng, ("closest", "nearest"))
                yield Proposal.of(f"the {name} {near} to {words}", "order", (nearest,))


def closest(group: Sequence[Thing], distances: Sequence[float], margin: float) -> Thing | None:
    """Return what is clearly closest: at most 0.6 of the next one's distance, and ``margin`` pixels before it."""
    order = np.argsort(distances, kind="stable")
    first, second = distances[order[0]], distances[order[1]]
    return group[int(order[0])] if first <= 0.6 * second and second - first >= margin else None


def _named(name: str, count: int, rng: np.random.Generator) -> str:
    if count == 1:
        return f"the {name}"
    number = (f"the {NUMBERS[count]} {many(name)}",) if count <= 4 else ()
    return one_of(rng, (f"all {many(name)}", f"the {many(name)}", f"every {name}", *number))


def _distance(thing: Thing, point: tuple[float, float]) -> float:
    x, y = thing.centre
    return float(np.hypot(x - point[0], y - point[1]))


def _at_side(view: View, thing: Thing, side: str, *, half: bool) -> bool | None:
    axis = 0 if side in ("left", "right") else 1
    extent = (view.width, view.height)[axis]
    low, high = thing.box[axis] / extent, thing.box[axis + 2] / extent
    if side in ("right", "bottom"):
        low, high = 1 - high, 1 - low
    middle = (low + high) / 2
    if half:
        return True if high <= 0.5 - HALF else False if low >= 0.5 + HALF else None
    if middle <= INNER and high <= OUTER:
        return True
    return False if middle >= OUTER else None


def _in_centre(view: View, thing: Thing) -> bool | None:
    x, y = thing.centre
    off = max(abs(x / view.width - 0.5), abs(y / view.height - 0.5))
    return True if off <= CENTRE else False if off >= OFF_CENTRE else None
