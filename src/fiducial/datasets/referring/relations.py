"""Relation: places told by another thing, which must itself be the only one of its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from fiducial.datasets.referring.places import closest
from fiducial.datasets.referring.proposals import Proposal, one_of
from fiducial.datasets.referring.view import Thing, View
from fiducial.datasets.referring.vocabulary import many, some

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

    Args:
        view: the picture.
        group: the things asked about.
        anchor: the thing they are told by.
        direction: left, right, above or below.
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
    view: View, asked: tuple[str, Sequence[Thing]], told: tuple[str, Thing], rng: np.random.Generator
) -> Iterator[Proposal]:
    (name, group), (other, anchor) = asked, told
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
