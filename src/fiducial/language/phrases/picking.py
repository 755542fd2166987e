"""Picking: order, rank and number among the candidates that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from fiducial.language.phrases.nouns import in_number
from fiducial.language.phrases.request import Order, Quantifier, Target
from fiducial.language.phrases.words import place_order

if TYPE_CHECKING:
    from fiducial.language.phrases.filtering import Filter


@dataclass(frozen=True, slots=True)
class Pick:
    """What one target chose.

    Args:
        target: the target.
        fits: the candidates that fit it, best first.
        chosen: those that were taken, best first.
        orders: what they were put in order by, when something in the phrase said so.
        by_score: ties, and choices by no superlative, went to the best score rather than the largest.
        inner: what the choice was made among ("the leftmost of the two largest"), or None for everything.
    """

    target: Target
    fits: tuple[int, ...]
    chosen: tuple[int, ...]
    orders: tuple[str, ...]
    by_score: bool
    inner: Pick | None = None


def pick(target: Target, fits: Sequence[int], sieve: Filter) -> Pick:
    """Put what fits in order and take as many as asked for.

    Args:
        target: the phrase.
        fits: the candidates that fit it.
        sieve: measures, and keeps account of what could not be had.
    """
    orders = target.orders
    if (target.ranked or target.step) and not orders and not _distances(target):
        orders = (place_order(("left",)),)
        sieve.unmet.append(f"'{target.words}' says no order: counted from the left")
    ranked, words = _ranked(target, orders, fits, sieve)
    wanted = _wanted(target, len(ranked), bool(words), sieve)
    start = abs(target.rank) - 1
    line = ranked if target.rank > 0 else ranked[::-1]
    chosen = line[start :: target.step] if target.step else line[start : start + wanted]
    _account(target, len(ranked), len(chosen), wanted, sieve)
    return Pick(target, tuple(ranked), tuple(chosen), words, _by_score(ranked, sieve), sieve.inner.get(id(target)))


def _distances(target: Target) -> list[str]:
    return [relation.words for relation in target.relations if relation.kind in ("closest", "furthest")]


def _ranked(
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
    by_score = _by_score(list(keys), sieve)

    def rule(index: int) -> tuple[float, ...]:
        score = scene.candidates[index].prompt.score or 0.0
        return (*keys[index], -score if by_score else 0.0, -scene.area(index), *scene.centre(index), index)

    return sorted(keys, key=rule), (*words, *by_relation)


def _by_relations(
    target: Target, keys: dict[int, list[float]], sieve: Filter
) -> tuple[dict[int, list[float]], list[str]]:
    """Add the distance to a reference ("closest to the pier") to what is sorted by."""
    words: list[str] = []
    for relation in target.relations:
        if relation.kind not in ("closest", "furthest"):
            continue
        if any(sieve.cannot_tell(sieve.reading(reference)) for reference in relation.targets):
            sieve.unmet.append(f"'{relation.words}' was not used: what the regions show is not recognised here")
            continue
        references = sieve.references(relation)[0]
        sign = 1.0 if relation.kind == "closest" else -1.0
        told = {}
        for index, key in keys.items():
            apart = [sieve.scene.apart(index, other) for other in references if other != index]
            if apart:
                told[index] = [*key, sign * min(apart)]
        keys = told
        words.append(relation.words)
    return keys, words


def _by_score(fits: Sequence[int], sieve: Filter) -> bool:
    return bool(fits) and all(sieve.scene.candidates[index].prompt.score is not None for index in fits)


def _wanted(target: Target, there: int, ordered: bool, sieve: Filter) -> int:
    """Return how many to take."""
    if target.count is not None:
        return target.count
    if target.share is not None:
        wanted = ceil(target.share * there)
        if not ordered and wanted < there:
            rule = f"the first {wanted} of {there}, by score or else by size, were taken"
            sieve.unmet.append(f"'{target.words}' says no order: {rule}")
        return wanted
    if target.quantifier is not Quantifier.ALL or target.step:
        return 1
    if ordered and there > 1 and not target.ranked:
        half = ceil(there / 2)
        sieve.unmet.append(f"'{target.words}' says no number: the first {half} of {there} were taken")
        return half
    return there


def _account(target: Target, there: int, taken: int, wanted: int, sieve: Filter) -> None:
    """Note where the number asked for and the number there are differ."""
    noun = in_number(target.noun or ("thing",), wanted)
    if (target.ranked or target.step) and not taken:
        sieve.unmet.append(f"'{target.words}' needs at least {abs(target.rank)}, found {there}")
    elif target.count is not None and (taken < wanted or not wanted):
        sieve.unmet.append(f"asked for {wanted} {noun}, found {taken}")
    elif target.quantifier in (Quantifier.BOTH, Quantifier.ALL) and target.count is not None and there > wanted:
        said = "both" if target.quantifier is Quantifier.BOTH else f"all {wanted}"
        sieve.unmet.append(f"asked for {said} {noun}, but {there} fit: {wanted} were taken")
