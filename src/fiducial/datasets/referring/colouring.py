"""Colour: phrases by colour, where it is certain for every thing of the name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fiducial.datasets.referring.ordering import place_line, size_line
from fiducial.datasets.referring.proposals import NUMBERS, Proposal, one_of
from fiducial.datasets.referring.view import Thing, View
from fiducial.datasets.referring.vocabulary import UNCOLOURED, UNSIZED, many
from fiducial.language.candidates import COLOURS


def coloured_so(view: View, group: Sequence[Thing], colour: str) -> tuple[Thing, ...] | None:
    """Return the things of a group that have a colour, or None where that is not clear for one of them."""
    found = []
    for thing in group:
        reading = view.colours(thing)
        if reading is None:
            return None
        if colour in reading.clear:
            found.append(thing)
        elif colour in reading.possible:
            return None
    return tuple(found)


def by_colour(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the red car", "all white ships" and "the leftmost red car"."""
    for name, group in view.groups.items():
        if name in UNCOLOURED or len(group) < 2:
            continue
        for colour in COLOURS:
            found = coloured_so(view, group, colour)
            if found and len(found) < len(group):
                yield Proposal.of(_named(f"{colour} {name}", len(found), rng), "colour", found, coloured=True)
                yield from _first_of_colour(view, f"{colour} {name}", found, name not in UNSIZED)


def _first_of_colour(view: View, name: str, found: Sequence[Thing], sized: bool) -> Iterator[Proposal]:
    if len(found) < 2:
        return
    lines = {"leftmost": place_line(view, found, "left"), "rightmost": place_line(view, found, "right")}
    if sized:
        lines |= {"largest": size_line(view, found, largest=True), "smallest": size_line(view, found, largest=False)}
    for word, line in lines.items():
        first = line.first(1)
        if first is not None:
            yield Proposal.of(f"the {word} {name}", "combined", first, coloured=True)


def _named(name: str, count: int, rng: np.random.Generator) -> str:
    if count == 1:
        return f"the {name}"
    number = (f"the {NUMBERS[count]} {many(name)}",) if count <= 4 else ()
    return one_of(rng, (f"all {many(name)}", f"the {many(name)}", f"every {name}", *number))
