"""Expressions: instructions with exact truth, chosen fairly among everything that can be said of a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.language.candidates import COLOURS
from fiducial.language.phrases import resolve
from fiducial.synthetic.places import PARTS, beside, by_between, by_corner_distance, by_position, by_relation, inside
from fiducial.synthetic.proposals import (
    NUMBERS,
    Proposal,
    Proposer,
    by_class,
    by_colour,
    by_count,
    by_order,
    by_size,
    coloured_so,
    ends,
    one_of,
    place_line,
    several,
    size_line,
)
from fiducial.synthetic.view import Thing, View
from fiducial.synthetic.vocabulary import UNCOLOURED, UNCOUNTABLE, UNSIZED, confusable, many

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
    for word, line in ends(view, group, sized=name not in UNSIZED).items():
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
                yield from _first_in(view, name, found, one_of(rng, part.wordings))


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
    for word, line in ends(view, found, sized=name not in UNSIZED).items():
        first = line.first(1)
        if first is not None and word[:-4] not in where:  # not "the leftmost ship on the left"
            yield Proposal.of(f"the {word} {name} {where}", "combined", first)


_PLAIN_COLOURS = tuple(colour for colour in COLOURS if colour not in ("grey", "brown"))
_HIGH_ORDINALS = {3: "third", 4: "fourth", 5: "fifth"}


def absent_classes(view: View, vocabulary: Sequence[str], rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the airplane" where there is none, from spoken names; those that fit the picture best come first."""
    for name in vocabulary:
        if name not in UNCOUNTABLE and not confusable(name, view.names):
            words = one_of(rng, (f"the {name}", f"the {name}", f"all {many(name)}", f"the largest {name}"))
            yield Proposal(words, "no_target_class", ())


def absent_properties(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the purple ship", "the ship in the top left" and "the fourth ship from the left" where there is none."""
    for name, group in view.groups.items():
        for colour in _PLAIN_COLOURS if name not in UNCOLOURED else ():
            if coloured_so(view, group, colour) == ():
                yield Proposal(f"the {colour} {name}", "no_target_property", (), coloured=True)
        for part in PARTS:
            if inside(view, group, part) == ():
                yield Proposal(f"the {name} {one_of(rng, part.wordings)}", "no_target_property", ())
        number = len(group)
        if number + 1 in _HIGH_ORDINALS and all(place_line(view, group, "left").first(k) for k in range(1, number)):
            side = one_of(rng, ("left", "right"))
            words = f"the {_HIGH_ORDINALS[number + 1]} {name} from the {side}"
            yield Proposal(words, "no_target_property", ())
        for other, references in view.groups.items():
            for direction, words in (("left", "to the left of"), ("right", "to the right of"), ("above", "above")):
                if other != name and len(references) == 1 and beside(view, group, references[0], direction) == ():
                    yield Proposal(f"the {name} {words} the {other}", "no_target_property", ())


VERSION = 2
"""Rises when the same seed no longer gives the same expressions."""

FAMILIES: Mapping[str, float] = {
    "class": 0.6,
    "count": 0.6,
    "size": 1.2,
    "position": 1.5,
    "order": 1.5,
    "relation": 1.2,
    "colour": 1.5,
    "exclusion": 0.8,
    "combined": 0.8,
    "several": 0.3,
    "no_target_class": 0.35,
    "no_target_property": 0.45,
}
"""The families and how often each is said where it can be."""
NO_TARGET = ("no_target_class", "no_target_property")

_PROPOSERS: tuple[Proposer, ...] = (
    by_class,
    by_count,
    several,
    by_size,
    by_order,
    by_position,
    by_corner_distance,
    by_relation,
    by_between,
    by_colour,
    by_exclusion,
    combined,
    absent_properties,
)
_REQUESTS = ("", "", "", "segment ", "find ", "show me ", "outline ")
_SAME_TRUTH = 2
"""At most this many expressions of one picture name the same things."""
_PER_ABSENT = 6
"""At most one expression in this many, and one in any case, names nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """An instruction of a family about one view, and the numbers of the things that it names, sorted."""

    instruction: str
    family: str
    chosen: tuple[int, ...]


def propose(view: View, rng: np.random.Generator, vocabulary: Sequence[str] = ()) -> list[Proposal]:
    """List everything that can be said of a view, in a fixed order and each wording once.

    ``vocabulary`` holds spoken names of things that are not there but could be.
    """
    found = [proposal for proposer in _PROPOSERS for proposal in proposer(view, rng)]
    found += absent_classes(view, vocabulary, rng)
    return list({proposal.words: proposal for proposal in found}.values())


def say(
    view: View,
    rng: np.random.Generator,
    count: int,
    *,
    vocabulary: Sequence[str] = (),
    families: Sequence[str] = tuple(FAMILIES),
) -> list[Said]:
    """Choose instructions about a view, of as many families as there are.

    Each reads back: :func:`fiducial.language.phrases.resolve` chooses exactly the things named, understands every word
    and relaxes no rule.

    Args:
        view: the things of a picture.
        rng: makes every choice.
        count: how many at most; fewer where not enough can be said without doubt.
        vocabulary: spoken names of things that are not there but could be.
        families: which families may be used.
    """
    pools: dict[str, list[Proposal]] = defaultdict(list)
    for proposal in propose(view, rng, vocabulary):
        if proposal.family in families:
            pools[proposal.family].append(proposal)
    for family in sorted(pools):
        rng.shuffle(pools[family])
    said: list[Said] = []
    named: dict[tuple[int, ...], int] = defaultdict(int)
    while len(said) < count and any(pools.values()):
        for family in _in_turn(sorted(family for family in pools if pools[family]), rng):
            if len(said) >= count:
                break
            if family in NO_TARGET and named[()] >= max(1, count // _PER_ABSENT):
                pools[family].clear()
            one = _next(view, pools[family], named, vocabulary, rng)
            if one is not None:
                said.append(one)
                named[one.chosen] += 1
    return said


def reads_back(view: View, said: Said | Proposal, *, vocabulary: Sequence[str] = (), coloured: bool = True) -> bool:
    """Say whether the spatial phrases' own reading of an instruction is its truth, without any doubt.

    An adjective that is part of a name of the view or the vocabulary ("running track") needs no other meaning: the
    phrases may leave it out;
    ``coloured`` says whether colours have to be measured.
    """
    text = said.words if isinstance(said, Proposal) else said.instruction
    resolution = resolve(text, view.candidates(coloured=coloured), view.frame, rest=True)
    parts = {word for name in (*view.names, *vocabulary) for word in name.lower().split()}
    relaxed = bool(resolution.unmet) and bool(said.chosen)  # what is not there is "unmet" by its nature
    return tuple(sorted(resolution.chosen)) == said.chosen and parts.issuperset(resolution.unknown) and not relaxed


def _next(
    view: View,
    pool: list[Proposal],
    named: Mapping[tuple[int, ...], int],
    vocabulary: Sequence[str],
    rng: np.random.Generator,
) -> Said | None:
    """Take proposals from a pool until one is fit to be said."""
    while pool:
        proposal = pool.pop()
        if proposal.chosen and named.get(proposal.chosen, 0) >= _SAME_TRUTH:
            continue
        request = _REQUESTS[int(rng.integers(len(_REQUESTS)))]
        one = Said(request + proposal.words, proposal.family, proposal.chosen)
        if reads_back(view, one, vocabulary=vocabulary, coloured=proposal.coloured):
            return one
    return None


def _in_turn(families: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Put families in a random order in which the weighty ones tend to come first."""
    weights = np.array([FAMILIES[family] for family in families])
    keys = rng.random(len(families)) ** (1 / weights)
    return [families[k] for k in np.argsort(-keys, kind="stable")]
