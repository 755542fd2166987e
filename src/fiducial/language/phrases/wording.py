"""Wording: one plain sentence on how a choice was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fiducial.language.phrases.nouns import in_number
from fiducial.language.phrases.request import Quantifier, Target

if TYPE_CHECKING:
    from fiducial.language.phrases.filtering import Filter
    from fiducial.language.phrases.picking import Pick

_RANKS = ("", "", "second ", "third ", "fourth ", "fifth ")


def sentence(picks: Sequence[Pick], sieve: Filter, *, exclusions: Sequence[Target] = (), left_out: int = 0) -> str:
    """Say how a choice was made.

    Args:
        picks: what each target chose.
        sieve: the filter, which knows the candidates.
        exclusions: what was to be left out.
        left_out: how many candidates that took away.

    Returns:
        One sentence, with a full stop.
    """
    taken = [_taken(one, sieve) for one in picks if one.chosen]
    text = f"Chose {' and '.join(taken)}" if taken else "Chose nothing"
    if left_out:
        text += f", leaving out {left_out} ({' and '.join(_said(target) for target in exclusions)})"
    missing = [_missing(one, sieve) for one in picks if not one.chosen]
    text += "".join(f"; {words}" for words in missing)
    if not sieve.recognises_nouns and any(one.target.noun for one in picks):
        said = " and ".join(dict.fromkeys(f"'{' '.join(one.target.noun)}'" for one in picks if one.target.noun))
        text += f"; nouns are not recognised here, so every region counted as {said}"
    return text + "."


def _taken(one: Pick, sieve: Filter) -> str:
    """Return what a target chose, and out of how many."""
    many, there = len(one.chosen), len(one.fits)
    named = _describe(one.target, there, sieve)
    among = f"of {there} {named}"
    if one.inner is not None:
        inner = _taken(one.inner, sieve)
        among = f"of {inner}" if there == len(one.inner.chosen) else f"{among} among {inner}"
    elif there == 1:
        return f"the only {named}"
    if one.target.step:
        begin = "first" if one.target.rank == 1 else f"{one.target.rank}."
        return f"{many} {among}, one in {one.target.step} from the {begin} on, {' and '.join(one.orders)} first"
    if one.orders:
        number = f"{many} " if many > 1 else ""
        return f"the {number}{_rank(one.target.rank)}{' and '.join(one.orders)} {among}{_evidence(one, sieve)}"
    if many == there:
        number = "both" if there == 2 else f"all {there}"
        return f"{number} {among}" if one.inner else f"{number} {named}"
    rule = "best score" if one.by_score else "largest area"
    return f"the {many if many > 1 else 'one'} with the {rule} {among}"


def _missing(one: Pick, sieve: Filter) -> str:
    """Return why a target chose nothing."""
    there, total = len(one.fits), len(sieve.scene.candidates)
    if there and one.target.count == 0:
        return "none was asked for"
    named = _describe(one.target, there, sieve)
    if there:
        return f"only {there} {named} fit{'s' if there == 1 else ''}"
    if not total:
        return f"no {named} was found"
    return f"no {named} among {total} candidate{'' if total == 1 else 's'}"


def _rank(rank: int) -> str:
    if rank < 0:
        return "last " if rank == -1 else f"{_RANKS[min(-rank, 5)]}to last "
    return _RANKS[rank] if rank < len(_RANKS) else f"number {rank} "


def _evidence(one: Pick, sieve: Filter) -> str:
    """Return the area that decided, so that a reader can check a choice by size."""
    orders = one.target.orders
    if not orders or orders[0].measure != "area":
        return ""
    area = sieve.scene.area(one.chosen[-1])
    last = "smallest" if orders[0].largest == (one.target.rank > 0) else "largest"
    which = "it" if len(one.chosen) == 1 else f"the {last} of them"
    return f" ({which} covers {area:.0f} square pixels)"


def _describe(target: Target, count: int, sieve: Filter) -> str:
    """Return what was asked for in words: "red ships near the pier"."""
    number = 2 if count > 1 or (count == 0 and target.quantifier is Quantifier.ALL) else 1
    generic = "thing" if sieve.recognises_nouns else "region"
    noun = in_number(target.noun if target.noun and sieve.recognises_nouns else (generic,), number)
    colours = (" or " if target.any_colour else " and ").join(target.colours)
    front = [*(trait.words for trait in target.traits), *([colours] if colours else [])]
    return " ".join([*front, noun, *dict.fromkeys(_tails(target, sieve))])


def _tails(target: Target, sieve: Filter) -> list[str]:
    """Return the places that filtered, as said; those that were not used are left unsaid."""
    tails = [*(f"in {line.words}" for line in target.lines), *(region.words for region in target.regions)]
    for relation in target.relations:
        used = not any(sieve.cannot_tell(sieve.reading(reference)) for reference in relation.targets)
        if relation.kind not in ("closest", "furthest") and used:
            tails.append(relation.words)
    return tails


def _said(target: Target) -> str:
    tails = [*(f"in {line.words}" for line in target.lines), *(region.words for region in target.regions)]
    tails = [*tails, *(relation.words for relation in target.relations)]
    return " ".join([*([target.words] if target.words else []), *dict.fromkeys(tails)])
