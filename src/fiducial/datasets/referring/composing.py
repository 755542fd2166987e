"""Exclusion and combination: phrases that choose twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fiducial.datasets.referring.colouring import coloured_so
from fiducial.datasets.referring.ordering import place_line, size_line
from fiducial.datasets.referring.places import PARTS, inside
from fiducial.datasets.referring.proposals import NUMBERS, Proposal, one_of
from fiducial.datasets.referring.view import Thing, View
from fiducial.datasets.referring.vocabulary import UNCOLOURED, UNSIZED, many
from fiducial.language.candidates import COLOURS

_EXCEPT = ("except", "but not", "other than", "except for")


def by_exclusion(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "all ships except the leftmost one" and "every car but the red ones"."""
    for name, group in view.groups.items():
        if len(group) < 3:
            continue
        for words, left_out, coloured in _exceptions(view, name, group):
            rest = [thing for thing in group if thing not in left_out]
            if rest and left_out:
                all_things = one_of(rng, (f"all {many(name)}", f"every {name}", f"all the {many(name)}"))
                said = f"{all_things} {one_of(rng, _EXCEPT)} {words}"
                yield Proposal.of(said, "exclusion", rest, coloured=coloured)


def _exceptions(view: View, name: str, group: Sequence[Thing]) -> Iterator[tuple[str, Sequence[Thing], bool]]:
    """Yield what can be left out: words, things, and whether colours matter."""
    lines = {"leftmost": place_line(view, group, "left"), "rightmost": place_line(view, group, "right")}
    if name not in UNSIZED:
        lines |= {"largest": size_line(view, group, largest=True), "smallest": size_line(view, group, largest=False)}
    for word, line in lines.items():
        for count in (1, 2):
            first = line.first(count)
            if first is not None and len(group) > count + 1:
                yield (f"the {word} one" if count == 1 else f"the {NUMBERS[count]} {word} ones"), first, False
    for part in PARTS:
        found = inside(view, group, part)
        if found and len(found) < len(group):
            yield f"the {'one' if len(found) == 1 else 'ones'} {part.wordings[0]}", found, False
    for colour in COLOURS if name not in UNCOLOURED else ():
        found = coloured_so(view, group, colour)
        if found and len(found) < len(group):
            yield f"the {colour} {'one' if len(found) == 1 else 'ones'}", found, True


def combined(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the leftmost of the two largest ships" and "the largest ship in the top half"."""
    for name, group in view.groups.items():
        if len(group) < 3:
            continue
        if name not in UNSIZED:
            yield from _of_the_largest(view, name, group)
        for part in PARTS:
            found = inside(view, group, part)
            if found and 1 < len(found) < len(group):
                where = one_of(rng, part.wordings)
                yield from _first_in(view, name, found, where)


def _of_the_largest(view: View, name: str, group: Sequence[Thing]) -> Iterator[Proposal]:
    for count in (2, 3):
        largest = size_line(view, group, largest=True).first(count)
        if largest is None or len(group) <= count:
            continue
        for side, word in (("left", "leftmost"), ("right", "rightmost")):
            first = place_line(view, largest, side).first(1)
            if first is not None:
                yield Proposal.of(f"the {word} of the {NUMBERS[count]} largest {many(name)}", "combined", first)


def _first_in(view: View, name: str, found: Sequence[Thing], where: str) -> Iterator[Proposal]:
    lines = {"leftmost": place_line(view, found, "left"), "rightmost": place_line(view, found, "right")}
    if name not in UNSIZED:
        lines |= {"largest": size_line(view, found, largest=True), "smallest": size_line(view, found, largest=False)}
    for word, line in lines.items():
        first = line.first(1)
        if first is not None and word[:-4] not in where:  # not "the leftmost ship on the left"
            yield Proposal.of(f"the {word} {name} {where}", "combined", first)
