"""Requests: what an instruction asks for, as a small typed tree made from the text alone, without pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from fiducial.language.phrases.bounds import Bound


class Quantifier(StrEnum):
    """How many things a target asks for."""

    THE = "the"
    """One that is thought to be known: "the ship", "ship"."""
    ANY = "any"
    """One, whichever: "a ship", "any ship"."""
    COUNT = "count"
    """As many as said: "two ships", "the three ships"."""
    BOTH = "both"
    """Two, and there should be no more."""
    ALL = "all"
    """Every one: "all ships", "every ship", "ships"; with a count, there should be that many."""


@dataclass(frozen=True, slots=True)
class Order:
    """A superlative: candidates sorted by something, best first.

    Args:
        measure: ``"area"``, ``"length"``, ``"roundness"``, ``"brightness"``, ``"height"``, ``"width"`` (of the box),
            ``"isolation"`` (the gap to the nearest thing of its name), or ``"place"``: the distance to ``sides``.
        largest: the largest value comes first; a place is a distance, so False is the closest.
        sides: for a place: one of left, right, top, bottom (that edge of the image), two of them
            (that corner), ``centre`` or ``edge`` (the closest edge).
        words: the superlative in plain words, such as ``"largest"`` or ``"closest to the centre"``.
    """

    measure: str
    largest: bool
    words: str
    sides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trait:
    """A vague adjective used as a filter, such as "large" or "round": its superlative, and the adjective as said."""

    order: Order
    words: str


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the image.

    Args:
        places: alternatives; each names the sides that must hold together, out of left, right, top,
            bottom, centre, corner (any of the four) and edge.
        share: how much of the image along an axis a side takes, in 0..1: 1/3, or 1/2 for halves; near an edge 1/6.
        words: as said, such as ``"in the top right"``.
    """

    places: tuple[tuple[str, ...], ...]
    share: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One or some of the rows or columns in which things stand.

    Args:
        kind: ``"row"``, counted from the top, or ``"column"``, counted from the left.
        rank: 1 for the first, 2 for the second, -1 for the last, -2 for the one before it; 0 for the middle.
        words: as said, such as ``"the top row"``.
        count: how many lines from there on; 0 for the half of them that lies on that side.
        step: 2 for every second line from there on; 0 for a run of ``count``.
    """

    kind: str
    rank: int
    words: str
    count: int = 1
    step: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Things that stand together.

    Args:
        kind: ``"cluster"``, close to each other, or ``"line"``, along one line as well.
        words: as said, such as ``"in the cluster"`` or ``"parked together"``.
        one: whether one group is meant ("the group of cars"), or every one ("cars parked together").
        count: how many things the group has, or None.
        orders: what the groups are put in order by, each taken as its bounding box, the first deciding.
        rank: which of them in that order; 1 for the first, -1 for the last.
    """

    kind: str
    words: str
    one: bool = False
    count: int | None = None
    orders: tuple[Order, ...] = ()
    rank: int = 1


@dataclass(frozen=True, slots=True)
class Relation:
    """A place named by other things.

    Args:
        kind: ``left_of``, ``right_of``, ``above``, ``below``, ``between``, ``near``, ``beside``,
            ``closest``, ``furthest``, ``apart``, ``inside``, ``on``, ``larger``, ``smaller``, ``with`` (the
            reference is on it or at it) or ``among`` (it is one of the references).
        targets: the reference: one target, or two for "between A and B".
        words: as said, such as ``"near the pier"``.
        order: ``closest`` or ``furthest`` of what is there: "just left of the pier", "the furthest ship below it".
        bound: how large the gap is, for ``apart``.
    """

    kind: str
    targets: tuple[Target, ...]
    words: str
    order: str = ""
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One noun phrase: what is asked for, or a reference.

    Args:
        noun: the noun's words as said, such as ``("fishing", "boats")``; empty for anything at all.
        quantifier: how many are asked for.
        count: the number said, or None.
        orders: superlatives; the first decides, the next break ties.
        rank: 1 for the first in that order, 2 for the second, -1 for the last.
        ranked: whether an ordinal ("second", "last") was said.
        colours: basic colour terms.
        any_colour: one of the colours is enough; else each of them is needed.
        traits: vague adjectives that filter.
        barred: what it must not be: phrases of a colour or a vague adjective each ("non-red ships").
        regions: parts of the image, all of which must hold.
        relations: relations to other targets, all of which must hold.
        bounds: sizes that are compared with numbers, all of which must hold.
        lines: rows and columns in which it stands, among all that fits noun and colour.
        group: the group that it stands in, among all that fits noun and colour, or None.
        step: n takes every nth in that order, from ``rank`` on; 0 takes one run.
        share: the share of what fits that is taken ("half of the ships"), or None.
        of: the choice is made among what this target gives ("the leftmost of the two largest ships").
        words: the phrase as said, without what follows its noun.
        guessed: no word parts it from the phrase beside it ("the cat the dog"), so that it may be no phrase at all.
        unknown: what was not understood in this phrase, as said.
        compounds: the same phrase read with adjectives as part of the noun, longest first, without
            ``relations`` and ``of``; such a reading is preferred where a candidate is called exactly
            that ("left hand", "black bear").
    """

    noun: tuple[str, ...] = ()
    quantifier: Quantifier = Quantifier.THE
    count: int | None = None
    orders: tuple[Order, ...] = ()
    rank: int = 1
    ranked: bool = False
    colours: tuple[str, ...] = ()
    any_colour: bool = False
    traits: tuple[Trait, ...] = ()
    barred: tuple[Target, ...] = ()
    regions: tuple[Region, ...] = ()
    relations: tuple[Relation, ...] = ()
    bounds: tuple[Bound, ...] = ()
    lines: tuple[Line, ...] = ()
    group: Group | None = None
    step: int = 0
    share: float | None = None
    of: Target | None = None
    words: str = ""
    guessed: bool = False
    unknown: tuple[str, ...] = ()
    compounds: tuple[Target, ...] = ()

    def walk(self) -> Iterator[Target]:
        """Yield this target, then its references, outermost first."""
        yield self
        for relation in self.relations:
            for target in relation.targets:
                yield from target.walk()
        if self.of is not None:
            yield from self.of.walk()

    @property
    def bare(self) -> bool:
        """Whether nothing but a noun tells what is meant."""
        more = self.orders or self.colours or self.traits or self.barred or self.regions or self.lines or self.of
        return (
            not more
            and not self.relations
            and not self.bounds
            and self.group is None
            and not self.ranked
            and not self.step
            and self.share is None
        )


@dataclass(frozen=True, slots=True)
class Request:
    """An instruction, parsed: what is asked for, what is left out of all of it, and what belonged to no phrase."""

    text: str
    targets: tuple[Target, ...]
    exclusions: tuple[Target, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Everything that was not understood, as said, each once."""
        inside = (words for root in (*self.targets, *self.exclusions) for part in root.walk() for words in part.unknown)
        return tuple(dict.fromkeys((*inside, *self.strays)))
