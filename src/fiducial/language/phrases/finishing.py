"""Finishing: what a noun phrase asks for, once everything that belongs to it is known."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fiducial.language.phrases import words as lexicon
from fiducial.language.phrases.drafts import Draft, sides_in
from fiducial.language.phrases.lines import line_of, stride_of
from fiducial.language.phrases.request import Order, Quantifier, Region, Relation, Target, Trait

if TYPE_CHECKING:
    from lark import Token

_PICKING = ("SUPERLATIVE", "COUNT", "QUANTIFIER", "STRIDE", "FRACTION", "ORDINAL", "COLOUR", "TRAIT", "CLOSEST")
_PART_OF_NOUN = ("SIDE", "COLOUR", "TRAIT", "SUPERLATIVE", "PLAIN")


def finish(draft: Draft, *, together: bool = False) -> Target:
    """Turn a draft into a target.

    Args:
        draft: the phrase; what it is told by is finished with it.
        together: other targets stand beside it, so that "the largest and smallest ships" means one of each.

    Returns:
        The target, with its other readings in ``compounds``.
    """
    # what the phrase is told by is finished once, for all of its readings: chains would explode else
    told = _Told(
        tuple(
            Relation(relation.kind, tuple(finish(child) for child in relation.drafts), relation.words)
            for relation in draft.relations
        ),
        None if draft.of is None else finish(draft.of),
    )
    if draft.line_kind:
        return _of_line(draft, together, told)
    if told.of is not None and _part_of(draft, told.of):
        return replace(told.of, unknown=(*told.of.unknown, *draft.unknown, f"{draft.words} of"))
    target = _target(draft, together, told)
    # readings leave out what all share, so that a tree stays as small as its text
    others = [replace(_target(other, together, told), relations=(), of=None) for other in _compounds(draft)]
    if draft.is_place and draft.place_word and draft.sides and not draft.all_of("SUPERLATIVE") and draft.of is None:
        # "the upper left corner" on its own: what lies there, unless something bears that name
        there = Region(draft.region("").places, draft.region("").share, f"in {draft.words}")
        empty = replace(target, noun=(), quantifier=Quantifier.ALL, orders=(), regions=(there, *draft.regions))
        return replace(empty, compounds=tuple(others))
    return replace(target, compounds=tuple(others))


def _of_line(draft: Draft, together: bool, told: _Told) -> Target:
    """Read "the top row of cars" as the cars that stand in it, unless something is called a row itself."""
    line = line_of(draft)
    members = told.of or Target(quantifier=Quantifier.ALL)
    unknown = [*draft.unknown]
    if line is None and (draft.before or draft.after) and not draft.plural:
        unknown.append(draft.words)
    elif line is None:
        unknown += [str(token) for token in draft.all_of("COLOUR", "TRAIT", "SUPERLATIVE", "SIDE", "COUNT")]
    unknown += [str(token) for token in draft.all_of("QUANTIFIER") if token == "both"]
    words = f"{draft.words} of {members.words}" if told.of else draft.words
    plain, whole = copy(draft), copy(draft)
    if told.of is not None:
        whole.noun = [*draft.noun, "of", *told.of.noun]
        plain.unknown = [*draft.unknown, f"of {told.of.words}"]
    bare = _Told((), None)
    readings = (whole, plain) if told.of is not None else (plain,)
    others = [_target(other, together, bare) for other in readings]
    return replace(
        members,
        quantifier=Quantifier.ALL,
        lines=(*members.lines, *draft.lines, *([line] if line else [])),
        regions=(*members.regions, *draft.regions),
        relations=(*members.relations, *told.relations),
        words=words,
        unknown=tuple(dict.fromkeys((*members.unknown, *unknown))),
        compounds=tuple(others),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What a phrase is told by, finished."""

    relations: tuple[Relation, ...]
    of: Target | None


def _compounds(draft: Draft) -> list[Draft]:
    """Return the phrase with one or two adjectives moved into its noun, longest noun first."""
    others = []
    for many in range(_adjacent(draft), 0, -1):
        moved = draft.before[-many:]
        aside = [str(token) for token in moved if token.type == "PLAIN"]
        other = copy(draft)
        other.before = draft.before[:-many]
        other.noun = [*map(str, moved), *draft.noun]
        other.unknown = [words for words in draft.unknown if words not in aside]
        others.append(other)
    return others


def _adjacent(draft: Draft) -> int:
    """Return how many adjectives in front of the noun may be part of it: at most two."""
    if not draft.noun:
        return 0
    count = 0
    while count < min(2, len(draft.before)) and draft.before[-1 - count].type in _PART_OF_NOUN:
        count += 1
    return count


def _target(draft: Draft, together: bool, told: _Told) -> Target:
    quantifier, count = _how_many(draft, together)
    several = quantifier in (Quantifier.ALL, Quantifier.ANY)
    orders, traits, regions = _superlatives(draft), list[Trait](), list(draft.regions)
    as_order = not several and not orders and not draft.all_of("ORDINAL")
    for trait in draft.all_of("TRAIT"):
        order = lexicon.superlative(str(trait))
        if as_order and not orders:
            orders.append(order)
        else:
            traits.append(Trait(order, str(trait)))
    regions += _side_regions(draft, orders, as_order=as_order)
    colours, any_colour = _colours(draft)
    ordinal = draft.all_of("ORDINAL")
    unknown = list(draft.unknown)
    unknown += [str(token) for token in draft.all_of("CLOSEST")]
    unknown += [str(token) for kind in ("COUNT", "ORDINAL") for token in draft.all_of(kind)[1:]]
    rank = lexicon.ordinal_of(str(ordinal[0])) if ordinal else 1
    strides, fraction = draft.all_of("STRIDE"), draft.all_of("FRACTION")
    step = 0
    if strides:
        rank, step = stride_of(str(strides[0]))
    share = lexicon.fraction_of(str(fraction[0])) if fraction and quantifier is Quantifier.ALL else None
    if share is None:  # "most of the ships"; "half of the ship", a part of a thing
        unknown += map(str, fraction)
    if rank < 0 and orders and len(orders[0].sides) == 1 and orders[0].sides[0] in lexicon.OPPOSITE:
        # the last from the left is the first from the right
        rank, orders[0] = -rank, lexicon.place_order(orders[0].sides, closest=False)
    return Target(
        noun=tuple(draft.noun),
        quantifier=quantifier,
        count=count,
        orders=tuple(dict.fromkeys(orders)),
        rank=rank,
        ranked=bool(ordinal),
        colours=colours,
        any_colour=any_colour,
        traits=tuple(traits),
        regions=tuple(regions),
        relations=told.relations,
        lines=tuple(draft.lines),
        step=step,
        share=share,
        of=told.of,
        words=draft.words,
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _part_of(draft: Draft, whole: Target) -> bool:
    """Say whether a part of a thing is meant ("the top of the bottle"), not a pick among things."""
    picks = draft.all_of(
        "SUPERLATIVE", "COUNT", "QUANTIFIER", "STRIDE", "FRACTION", "ORDINAL", "COLOUR", "TRAIT", "CLOSEST"
    )
    return not picks and not draft.pronoun and whole.quantifier in (Quantifier.THE, Quantifier.ANY)


def _how_many(draft: Draft, together: bool) -> tuple[Quantifier, int | None]:
    numbers = draft.all_of("COUNT")
    count = lexicon.number_of(str(numbers[0])) if numbers else None
    said = {str(token).split()[0] for token in draft.all_of("QUANTIFIER")}
    if "both" in said:
        return Quantifier.BOTH, 2
    if said or draft.all_of("STRIDE"):
        # "every one of the ships": the numeral is no number
        return Quantifier.ALL, None if count == 1 and {"each", "every"} & said else count
    if count is not None:
        return Quantifier.COUNT, count
    if draft.all_of("ORDINAL"):
        return Quantifier.THE, None
    return _unnumbered(draft, together), None


def _unnumbered(draft: Draft, together: bool) -> Quantifier:
    picks = bool(draft.all_of("SUPERLATIVE", "CLOSEST", "SIDE") or draft.toward)
    if draft.plural:
        return Quantifier.THE if together and draft.shares_noun and picks else Quantifier.ALL
    if draft.all_of("A") or draft.pronoun == "something":
        return Quantifier.ANY
    if draft.noun or draft.pronoun or draft.all_of("THE") or picks:
        return Quantifier.THE
    return Quantifier.ALL


def _superlatives(draft: Draft) -> list[Order]:
    orders = [lexicon.superlative(str(token)) for token in draft.all_of("SUPERLATIVE")]
    orders += [lexicon.place_order(sides, closest=closest) for sides, closest in draft.toward]
    if draft.counted_from:
        orders.append(lexicon.place_order(draft.counted_from))
    return _corners(orders)


def _corners(orders: list[Order]) -> list[Order]:
    """Join "top" and "leftmost" into one corner when both were said."""
    sides = [order.sides[0] for order in orders if len(order.sides) == 1 and order.sides[0] in lexicon.OPPOSITE]
    upright = [side for side in sides if side in ("top", "bottom")]
    level = [side for side in sides if side in ("left", "right")]
    if len(upright) == len(level) == 1 and len(orders) == 2:
        return [lexicon.place_order((upright[0], level[0]))]
    return orders


def _side_regions(draft: Draft, orders: list[Order], *, as_order: bool) -> list[Region]:
    """Read the words of direction beside the noun: "the left ship" is the leftmost, "left ships" lie left.

    Args:
        draft: the phrase.
        orders: superlatives so far; a direction that picks is added to them.
        as_order: whether a direction before the noun picks rather than filters.
    """
    before = [token for token in draft.before if token.type == "SIDE"]
    after = [token for token in draft.after if token.type == "SIDE"]
    regions = []
    if before and as_order and not orders:
        orders.append(lexicon.place_order(sides_in(before)))
    elif before:
        regions.append(_region(before))
    if after:
        regions.append(_region(after))
    return regions


def _region(tokens: list[Token]) -> Region:
    words = " ".join(tokens)
    before = {"left": "on", "right": "on", "top": "at", "bottom": "at"}.get(words, "in")
    return Region((sides_in(tokens),), 1 / 3, f"{before} the {words}")


def _colours(draft: Draft) -> tuple[tuple[str, ...], bool]:
    said = tuple(dict.fromkeys(str(token).split()[0].replace("gray", "grey") for token in draft.all_of("COLOUR")))
    joins = {str(token) for token in draft.all_of("JOIN")}
    either = "or" in joins or ("and" in joins and draft.plural)
    return said, either and len(said) > 1
