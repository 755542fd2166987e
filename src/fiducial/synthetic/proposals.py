"""Proposals: sentences with what they name, by class, count, size, order and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fiducial.language.candidates import COLOURS
from fiducial.synthetic.view import Thing, View
from fiducial.synthetic.vocabulary import UNCOLOURED, UNSIZED, many, some

NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One sentence, without what stands around it.

    Args:
        words: a noun phrase, such as ``"the two largest ships"``.
        family: what kind of phrase it is; see :data:`fiducial.synthetic.expressions.FAMILIES`.
        chosen: numbers of the instances that it names, sorted; ``()`` when it names none.
        coloured: whether colours matter for it.
    """

    words: str
    family: str
    chosen: tuple[int, ...]
    coloured: bool = False

    @classmethod
    def of(cls, words: str, family: str, things: Iterable[Thing], *, coloured: bool = False) -> Proposal:
        """Make a proposal that names these things."""
        return cls(words, family, tuple(sorted(thing.index for thing in things)), coloured)


Proposer = Callable[[View, np.random.Generator], Iterator[Proposal]]
"""Proposes what a family can say of a view; the generator only chooses between equal wordings."""


def one_of(rng: np.random.Generator, wordings: Iterable[str]) -> str:
    """Choose between wordings that mean the same."""
    given = tuple(wordings)
    return given[int(rng.integers(len(given)))]


MAX_COUNTED = 6
"""More than this many things are not counted aloud."""


def by_class(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the bridge" and "all ships"."""
    for name, group in view.groups.items():
        yield Proposal.of(all_of(name, group, rng), "class", group)


def by_count(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "both bridges" and "the three ships"."""
    for name, group in view.groups.items():
        number = len(group)
        if number == 2:
            wordings = (f"both {many(name)}", f"the two {many(name)}")
        elif 3 <= number <= MAX_COUNTED:
            wordings = (f"all {NUMBERS[number]} {many(name)}", f"the {NUMBERS[number]} {many(name)}")
        else:
            continue
        yield Proposal.of(one_of(rng, wordings), "count", group)


def several(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the bridge and all ships"."""
    for (one, first), (other, second) in combinations(view.groups.items(), 2):
        words = f"{all_of(one, first, rng)} and {all_of(other, second, rng)}"
        yield Proposal.of(words, "several", (*first, *second))


def counted(name: str, count: int, rng: np.random.Generator) -> str:
    """Return words for some things of one name that differ from the others by what follows."""
    if count == 1:
        return f"the {name}"
    number = (f"the {NUMBERS[count]} {many(name)}",) if count <= 4 else ()
    return one_of(rng, (f"all {many(name)}", f"the {many(name)}", f"every {name}", *number))


def all_of(name: str, group: tuple[Thing, ...], rng: np.random.Generator) -> str:
    """Return words for all things of one name."""
    if len(group) == 1:
        return f"the {name}"
    return one_of(rng, (f"all {many(name)}", f"every {name}", f"all the {many(name)}", f"the {many(name)}"))


SIZE_STEP = 1.3
"""A thing is larger than another when its area is at least this multiple of the other's."""
PLACE_STEP, HEIGHT_STEP = 0.04, 0.08
"""A thing is further left than another when their centres are at least this share of the width apart; people are
less sure of what is higher up, so the share of the height is larger."""
MAX_RANKED = 7
"""Among more things than this, nobody counts to the third."""
ORDINALS = ("", "", "second", "third")
_SIZES: dict[str, tuple[str, ...]] = {"largest": ("largest", "biggest"), "smallest": ("smallest",)}
_SIDES: dict[str, tuple[str, ...]] = {
    "left": ("leftmost",),
    "right": ("rightmost",),
    "top": ("topmost",),
    "bottom": ("bottommost",),
}


@dataclass(frozen=True, slots=True)
class Line:
    """Things in order, first come first; ``k`` is a cut when the first ``k`` are clearly before all others."""

    things: tuple[Thing, ...]
    cuts: frozenset[int]

    def first(self, count: int) -> tuple[Thing, ...] | None:
        """Return the first ``count`` things, or None where it is not clear which they are."""
        return self.things[:count] if count in self.cuts else None

    def ranked(self, rank: int) -> Thing | None:
        """Return the thing of a rank counted from 1, or None where that is not clear."""
        clear = {0, len(self.things)} | self.cuts
        return self.things[rank - 1] if rank <= len(self.things) and {rank - 1, rank} <= clear else None


def size_line(view: View, group: Sequence[Thing], *, largest: bool) -> Line:
    """Put things in order by size: areas and boxes must agree on every clear step.

    Nothing is smaller than another thing that the picture's border may have cut.
    """
    order = sorted(group, key=lambda thing: -thing.area if largest else thing.area)
    cuts = set()
    for k in range(1, len(order)):
        large, small = (order[:k], order[k:]) if largest else (order[k:], order[:k])
        if any(view.is_cut(thing) for thing in small):  # who knows how large it is
            continue
        by_area = min(thing.area for thing in large) >= SIZE_STEP * max(thing.area for thing in small)
        by_box = min(thing.box_area for thing in large) > max(thing.box_area for thing in small)
        if by_area and by_box:
            cuts.add(k)
    return Line(tuple(order), frozenset(cuts))


def place_line(view: View, group: Sequence[Thing], side: str) -> Line:
    """Put things in order from the left, right, top or bottom: centres, near edges and far edges must agree."""
    axis, sign = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}[side]
    extent = (view.width, view.height)[axis]
    order = sorted(group, key=lambda thing: sign * thing.centre[axis])
    cuts = set()
    for k in range(1, len(order)):
        apart = sign * (order[k].centre[axis] - order[k - 1].centre[axis])
        near, far = ([sign * thing.box[axis + other] for thing in order] for other in ((0, 2) if sign > 0 else (2, 0)))
        agree = max(near[:k]) < min(near[k:]) and max(far[:k]) < min(far[k:])
        if apart >= (HEIGHT_STEP if axis else PLACE_STEP) * extent and agree:
            cuts.add(k)
    return Line(tuple(order), frozenset(cuts))


def ends(view: View, group: Sequence[Thing], *, sized: bool) -> dict[str, Line]:
    """Put things in order from the left, the right and, where sizes are spoken of, by size."""
    lines = {"leftmost": place_line(view, group, "left"), "rightmost": place_line(view, group, "right")}
    if sized:
        lines |= {"largest": size_line(view, group, largest=True), "smallest": size_line(view, group, largest=False)}
    return lines


def by_size(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the largest ship" and "the two smallest ships"."""
    for name, group in view.groups.items():
        if len(group) < 2 or name in UNSIZED:
            continue
        for word, wordings in _SIZES.items():
            line = size_line(view, group, largest=word == "largest")
            yield from _firsts(line, name, one_of(rng, wordings), "size")
            if len(group) == 2 and (first := line.first(1)) is not None:
                comparative = "larger" if word == "largest" else "smaller"
                yield Proposal.of(f"the {comparative} of the two {some(name, 2)}", "size", first)


def by_order(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the leftmost ship", "the second ship from the left" and "the third largest ship"."""
    for name, group in view.groups.items():
        if len(group) < 2:
            continue
        for side, wordings in _SIDES.items():
            line = place_line(view, group, side)
            most = 3 if side in ("left", "right") else 1  # "the two topmost ships" is not said
            yield from _firsts(line, name, one_of(rng, wordings), "order", most)
            for rank, thing in _seconds(line):
                word = ORDINALS[rank]
                yield Proposal.of(f"the {word} {name} from the {side}", "order", (thing,))
        if name not in UNSIZED:
            for word, wordings in _SIZES.items():
                for rank, thing in _seconds(size_line(view, group, largest=word == "largest")):
                    yield Proposal.of(f"the {ORDINALS[rank]} {one_of(rng, wordings)} {name}", "order", (thing,))


def _firsts(line: Line, name: str, word: str, family: str, most: int = 3) -> Iterator[Proposal]:
    """Propose the first one, two and three, as long as something is left over."""
    for count in range(1, min(most + 1, len(line.things))):
        found = line.first(count)
        if found is not None:
            number = f"{NUMBERS[count]} " if count > 1 else ""
            yield Proposal.of(f"the {number}{word} {some(name, count)}", family, found)


def _seconds(line: Line) -> Iterator[tuple[int, Thing]]:
    """Yield what is second and third, where a person would count that far."""
    if len(line.things) > MAX_RANKED:
        return
    for rank in (2, 3):
        thing = line.ranked(rank)
        if thing is not None and len(line.things) > 2:
            yield rank, thing


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
                yield Proposal.of(counted(f"{colour} {name}", len(found), rng), "colour", found, coloured=True)
                yield from _first_of_colour(view, f"{colour} {name}", found, name not in UNSIZED)


def _first_of_colour(view: View, name: str, found: Sequence[Thing], sized: bool) -> Iterator[Proposal]:
    if len(found) < 2:
        return
    for word, line in ends(view, found, sized=sized).items():
        first = line.first(1)
        if first is not None:
            yield Proposal.of(f"the {word} {name}", "combined", first, coloured=True)
