"""Places: proposals by parts of the picture and by another thing, with room to spare on both sides of a border."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from fiducial.synthetic.proposals import Proposal, counted, one_of
from fiducial.synthetic.view import Thing, View
from fiducial.synthetic.vocabulary import many, some

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
    """A part of the picture: sides that hold together (or the centre), an outer third or a half, how it is said."""

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
        x, y = thing.centre
        off = max(abs(x / view.width - 0.5), abs(y / view.height - 0.5))
        return True if off <= CENTRE else False if off >= OFF_CENTRE else None
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
            yield Proposal.of(f"{counted(name, len(found), rng)} {where}", "position", found)


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
            distances = [float(np.hypot(*np.subtract(thing.centre, point))) for thing in group]
            nearest = closest(group, distances, 0.1 * view.width)
            if nearest is not None:
                near = one_of(rng, ("closest", "nearest"))
                yield Proposal.of(f"the {name} {near} to {words}", "order", (nearest,))


def closest(group: Sequence[Thing], distances: Sequence[float], margin: float) -> Thing | None:
    """Return what is clearly closest: at most 0.6 of the next one's distance, and ``margin`` pixels before it."""
    order = np.argsort(distances, kind="stable")
    first, second = distances[order[0]], distances[order[1]]
    return group[int(order[0])] if first <= 0.6 * second and second - first >= margin else None


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


APART = 0.05
"""To be left of something, a centre must be this share of the width further left."""
NEAR, FAR = 0.5, 2.0
"""Near: a gap of at most this multiple of the reference's size; not near: at least that."""
_DIRECTIONS = {
    "left": ((0, -1), ("to the left of", "left of")),
    "right": ((0, 1), ("to the right of", "right of")),
    "above": ((1, -1), ("above",)),
    "below": ((1, 1), ("below",)),
}


def by_relation(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the ship left of the bridge", "all ships near the harbor" and "the ship closest to the bridge"."""
    for (name, group), (other, references) in permutations(view.groups.items(), 2):
        if len(references) != 1:
            continue
        anchor = references[0]
        for direction in _DIRECTIONS:
            found = beside(view, group, anchor, direction)
            if found:
                words = one_of(rng, _DIRECTIONS[direction][1])
                yield Proposal.of(f"{_named(name, group, found, rng)} {words} the {other}", "relation", found)
        yield from _by_distance(view, (name, group), (other, anchor), rng)


def by_between(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the ship between the bridge and the harbor" and "the ship between the two bridges"."""
    for name, group in view.groups.items():
        for (one, first), (other, second) in permutations(view.groups.items(), 2):
            if len(first) == len(second) == 1 and one < other and name not in (one, other):
                found = between(group, first[0], second[0])
                if found:
                    who = _named(name, group, found, rng)
                    yield Proposal.of(f"{who} between the {one} and the {other}", "relation", found)
        for other, pair in view.groups.items():
            found = between(group, *pair) if len(pair) == 2 and other != name else None
            if found:
                who = _named(name, group, found, rng)
                yield Proposal.of(f"{who} between the two {many(other)}", "relation", found)


def beside(view: View, group: Sequence[Thing], anchor: Thing, direction: str) -> tuple[Thing, ...] | None:
    """Return the things in a direction from another, or None where that is not clear for one of them.

    A thing is left of another when it is clearly further left, more to its left than above or below it, and
    does not reach over its centre; it is not when it is clearly further right. Above and below need more: boxes
    that do not meet, since a cake above a table may also be one on it.
    """
    axis, sign = _DIRECTIONS[direction][0]
    margin = APART * (view.width, view.height)[axis]
    found = []
    for thing in group:
        along = sign * (thing.centre[axis] - anchor.centre[axis])
        aside = abs(thing.centre[1 - axis] - anchor.centre[1 - axis])
        edge = thing.box[axis + (2 if sign < 0 else 0)]
        limit = anchor.centre[0] if axis == 0 else anchor.box[1 if sign < 0 else 3]
        clears = sign * (edge - limit) > 0
        if along >= max(margin, 1.2 * aside) and clears:
            found.append(thing)
        elif along > -margin:
            return None
    return tuple(found)


def near(group: Sequence[Thing], anchor: Thing) -> tuple[Thing, ...] | None:
    """Return the things near another, or None where that is not clear for one of them."""
    size = anchor.box_area**0.5
    gaps = [gap(thing, anchor) / size for thing in group]
    if any(NEAR < value < FAR for value in gaps):
        return None
    return tuple(thing for thing, value in zip(group, gaps, strict=True) if value <= NEAR)


def between(group: Sequence[Thing], first: Thing, second: Thing) -> tuple[Thing, ...] | None:
    """Return the things between two others, or None where that is not clear for one of them."""
    start, end = np.array(first.centre), np.array(second.centre)
    line = end - start
    squared = float(line @ line)
    if squared == 0:
        return None
    found = []
    for thing in group:
        from_start = np.array(thing.centre) - start
        along = float(from_start @ line) / squared
        off = abs(float(from_start[0] * line[1] - from_start[1] * line[0])) / squared
        if 0.2 <= along <= 0.8 and off <= 0.2:
            found.append(thing)
        elif -0.15 < along < 1.15 and off < 0.75:
            return None
    return tuple(found)


def gap(one: Thing, other: Thing) -> float:
    """Return the distance between two boxes in pixels, 0 when they touch or overlap."""
    a, b = one.box, other.box
    return float(np.hypot(max(0.0, a[0] - b[2], b[0] - a[2]), max(0.0, a[1] - b[3], b[1] - a[3])))


def _by_distance(
    view: View, asked: tuple[str, Sequence[Thing]], reference: tuple[str, Thing], rng: np.random.Generator
) -> Iterator[Proposal]:
    (name, group), (other, anchor) = asked, reference
    found = near(group, anchor)
    if found and len(found) < len(group):
        words = one_of(rng, ("near", "close to"))
        yield Proposal.of(f"{_named(name, group, found, rng)} {words} the {other}", "relation", found)
    if len(group) < 2:
        return
    centres = [float(np.hypot(*np.subtract(thing.centre, anchor.centre))) for thing in group]
    nearest = closest(group, centres, 0.03 * view.width)
    gaps = [gap(thing, anchor) for thing in group]
    if nearest is not None and closest(group, gaps, 1.0) is nearest:
        words = one_of(rng, ("closest to", "nearest to"))
        yield Proposal.of(f"the {name} {words} the {other}", "relation", (nearest,))


def _named(name: str, group: Sequence[Thing], found: Sequence[Thing], rng: np.random.Generator) -> str:
    if len(found) == 1:
        return f"the {name}"
    every = (f"all {many(name)}",) if len(found) < len(group) or len(group) > 2 else (f"both {many(name)}",)
    return one_of(rng, (*every, f"the {some(name, 2)}"))
