"""Expressions: instructions with exact truth, chosen fairly among everything that can be said of a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.datasets.referring import absent, colouring, composing, naming, ordering, places, relations
from fiducial.datasets.referring.proposals import Proposal, Proposer
from fiducial.datasets.referring.view import View
from fiducial.language.phrases import resolve

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
    naming.by_class,
    naming.by_count,
    naming.several,
    ordering.by_size,
    ordering.by_order,
    places.by_position,
    places.by_corner_distance,
    relations.by_relation,
    relations.by_between,
    colouring.by_colour,
    composing.by_exclusion,
    composing.combined,
    absent.absent_properties,
)
_REQUESTS = ("", "", "", "segment ", "find ", "show me ", "outline ")
_SAME_TRUTH = 2
"""At most this many expressions of one picture name the same things."""
_PER_ABSENT = 6
"""At most one expression in this many, and one in any case, names nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """An instruction about one view, with its truth.

    Args:
        instruction: what is said.
        family: one of :data:`FAMILIES`.
        chosen: numbers of the things that it names, sorted.
    """

    instruction: str
    family: str
    chosen: tuple[int, ...]


def propose(view: View, rng: np.random.Generator, vocabulary: Sequence[str] = ()) -> list[Proposal]:
    """List everything that can be said of a view.

    Args:
        view: the things of a picture.
        rng: chooses between wordings that mean the same.
        vocabulary: spoken names of things that are not there but could be.

    Returns:
        The proposals in a fixed order, each wording once.
    """
    found = [proposal for proposer in _PROPOSERS for proposal in proposer(view, rng)]
    found += absent.absent_classes(view, vocabulary, rng)
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

    Args:
        view: the things of a picture.
        rng: makes every choice.
        count: how many at most; fewer where not enough can be said without doubt.
        vocabulary: spoken names of things that are not there but could be.
        families: which families may be used.

    Returns:
        Instructions of which each reads back: :func:`fiducial.language.phrases.resolve` chooses exactly the things
        named, understands every word and relaxes no rule.
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

    Args:
        view: the things of a picture.
        said: an instruction with its truth.
        vocabulary: spoken names of things that are not there; an adjective that is part of a name ("running
            track") needs no other meaning.
        coloured: whether colours have to be measured for it.
    """
    text = said.words if isinstance(said, Proposal) else said.instruction
    resolution = resolve(text, view.candidates(coloured=coloured), view.frame)
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
