"""Ordering: what things are put in order by, and in which order they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fiducial.language.phrases.lexicon import place_order
from fiducial.language.phrases.request import Order, Quantifier, Relation, Target

if TYPE_CHECKING:
    from fiducial.language.phrases.choosing import Filter

DISTANCES = ("closest", "furthest")
"""Relations that put in order and keep everything."""
_SIDES = ("left_of", "right_of", "above", "below")
_ONE_PLACE = (*_SIDES, "near", "beside")
"""Relations of which one thing is the best: the closest there."""


def ordering_relations(target: Target, there: int) -> list[tuple[Relation, str]]:
    """Return the relations by which things are put in order, each with ``closest`` or ``furthest``.

    "The ship left of the pier" and "the two ships near the pier" are the closest there, unless they say otherwise or
    no more than those are ``there``.
    """
    said = [(one, one.kind if one.kind in DISTANCES else one.order) for one in target.relations]
    said = [(one, order) for one, order in said if order]
    few = target.ranked or target.quantifier in (Quantifier.THE, Quantifier.COUNT, Quantifier.BOTH)
    enough = not target.ranked and there <= (target.count or 1)
    if said or target.orders or not few or target.step or enough:
        return said
    return [(one, "closest") for one in target.relations if one.kind in _ONE_PLACE]


def orders_of_parts(target: Target) -> tuple[Order, ...]:
    """Return what "the two ships on the right" are: the rightmost of those that lie there."""
    return tuple(place_order(region.places[0]) for region in target.regions if len(region.places) == 1)


def ranked(
    target: Target, orders: Sequence[Order], fits: Sequence[int], sieve: Filter
) -> tuple[list[int], tuple[str, ...]]:
    """Return what fits, best first, without what cannot be compared, and the superlatives used."""
    keys: dict[int, list[float]] = {index: [] for index in fits}
    words: list[str] = []
    for order in orders:
        values = {index: sieve.scene.measure(index, order) for index in keys}
        sieve.not_measured(order.measure, [index for index in keys if values[index] is None], list(keys))
        keys = {
            index: [*key, -value if order.largest else value]
            for index, key in keys.items()
            if (value := values[index]) is not None
        }
        words.append(order.words)
    keys, by_relation = _by_relations(target, keys, sieve)
    scene = sieve.scene
    scored = by_score(list(keys), sieve)

    def rule(index: int) -> tuple[float, ...]:
        score = scene.candidates[index].prompt.score or 0.0
        return (*keys[index], -score if scored else 0.0, -scene.area(index), *scene.centre(index), index)

    return sorted(keys, key=rule), (*words, *by_relation)


def _by_relations(
    target: Target, keys: dict[int, list[float]], sieve: Filter
) -> tuple[dict[int, list[float]], list[str]]:
    """Add the distance to a reference ("closest to the pier") to what is sorted by."""
    words: list[str] = []
    for relation, order in ordering_relations(target, len(keys)):
        if not sieve.can_use(relation):
            continue
        references = sieve.references(relation)[0]
        sign = 1.0 if order == "closest" else -1.0
        measured = {}
        for index, key in keys.items():
            apart = [_distance(index, other, relation.kind, sieve) for other in references if other != index]
            if apart:
                aside, *far = min(apart)
                measured[index] = [*key, aside, *(sign * value for value in far)]
        keys = measured
        words.append(relation.words if relation.kind in DISTANCES else order)
    return keys, words


def _distance(index: int, other: int, kind: str, sieve: Filter) -> tuple[float, float, float]:
    """Return whether a thing lies aside of what a side is told by, then the gap to it and the centres' distance."""
    aside = kind in _SIDES and not sieve.scene.aligned(index, other, kind)
    return float(aside), sieve.scene.gap(index, other), sieve.scene.apart(index, other)


def by_score(fits: Sequence[int], sieve: Filter) -> bool:
    """Say whether ties go to the best score: where all have one."""
    return bool(fits) and all(sieve.scene.candidates[index].prompt.score is not None for index in fits)
