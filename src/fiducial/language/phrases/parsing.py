"""Parsing: an instruction into a :class:`Request`."""

from __future__ import annotations

import re
import unicodedata
from copy import copy
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from fiducial.errors import InputError
from fiducial.language.answers import check_instruction
from fiducial.language.candidates import COLOURS
from fiducial.language.phrases import lexicon
from fiducial.language.phrases.drafts import Draft, line_of, sides_in, stride_of
from fiducial.language.phrases.request import Group, Order, Quantifier, Region, Relation, Request, Target, Trait

if TYPE_CHECKING:
    from lark import Token


def parse_instruction(text: str) -> Request:
    """Parse an instruction about places and picks.

    Understood are numbers, "all", "both", "any", "every other" and "half of"; superlatives and ordinals to
    ninety-nine in words ("the third largest", "twenty-first from the left"); rows and columns; colours; vague
    adjectives ("large", "round"); parts of the image ("in the top right", "left half"); relations to other
    things ("left of", "near", "between A and B"); "and"; and exclusions ("except the leftmost"). What is not
    understood is named in ``unknown``, as said. What follows "near", "in" or "of" belongs to the nearest noun
    before it; after a comma or an "and" it goes back to the first noun.

    Example:
        >>> request = parse_instruction("Show me the two largest shiny ships near the pier, please")
        >>> target = request.targets[0]
        >>> target.noun, target.count, target.orders[0].words, target.relations[0].words, request.unknown
        (('ships',), 2, 'largest', 'near the pier', ('shiny',))
    """
    plain, symbols = normalise(text)
    # lark is imported here, on first use: it is not needed to import the library
    from fiducial.language.phrases.tree import read

    asked, left_out = read(plain)
    return Request(
        text,
        tuple(_to_target(draft, together=len(asked) > 1) for draft in asked),
        tuple(_to_target(draft, together=len(left_out) > 1) for draft in left_out),
        symbols,
    )


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Return an instruction as the grammar needs it, and the symbols that were taken out, each once.

    That is in lower case, one space between words, hyphens and underscores opened, every other mark a comma.
    """
    if not any(character.isalnum() for character in unicodedata.normalize("NFKC", text)):
        raise InputError("the instruction has no words: say what to segment, such as 'the largest ship'")
    plain = unicodedata.normalize("NFKC", check_instruction(text)).casefold().replace("\u2019", "'")
    plain = re.sub(r",\s*(?:right|ok|okay|yes|please)\s*\?", "?", plain)
    plain = re.sub(r"^(?:ok|okay|hi|hello|hey|well|so|now|right|alright|great|yes|um|uh|hmm)\s*[,!]\s*", "", plain)
    lines = [re.sub(r"^\s*(?:[0-9]+[.)]|[-*\u2022\u2013])\s+", "", line).strip() for line in plain.splitlines()]
    plain = ", ".join(filter(None, lines))
    plain = re.sub(r"\s(?:-|\u2013|\u2014)\s|\u2014", ", ", plain)
    plain = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", plain)
    plain = re.sub(r"(?<=[0-9]) ?(?:px|pix|pixels?)\b", " pixels", plain)
    plain = re.sub(r" ?(?:%|\bper cent\b)", " percent ", plain)
    plain = plain.replace("&", " and ").replace("+", " and ")
    plain = re.sub(r"\b(that|which|who|what|where|there)'s\b", r"\1 is", plain)
    plain = re.sub(r"^(what|which|who|where)s\b", r"\1 is", plain)
    plain = re.sub(r"n't\b", " not", plain)
    plain = re.sub(r"^i'm\b", "i am", re.sub(r"^i'd\b", "i would", plain))
    plain = re.sub(r"(?<=\w)'s\b", "", plain)
    symbols: dict[str, None] = {}
    kept = "".join(
        part if _DECIMAL.fullmatch(part) else "".join(_character(character, symbols) for character in part)
        for part in _DECIMAL.split(plain)
    )
    kept = " ".join(re.sub(r"(?: *,)+ *", ", ", kept).split()).strip(" ,")
    return lexicon.PICTURES.sub(r"\1 the image", kept), tuple(symbols)


_DECIMAL = re.compile(r"((?<![\w.])[0-9]+\.[0-9]+(?![\w.]))")


def _character(character: str, symbols: dict[str, None]) -> str:
    category = unicodedata.category(character)
    if category[0] in "LNM":
        return character
    if category[0] == "S" or category in ("Co", "Cn", "Cs"):
        symbols[character] = None
    if category in ("Po", "Ps", "Pe") and character not in "'\"()[]{}*#@%\\":
        return ","
    return " "


_PICKING = (
    "SUPERLATIVE",
    "COUNT",
    "QUANTIFIER",
    "STRIDE",
    "FRACTION",
    "ORDINAL",
    "COLOUR",
    "TRAIT",
    "BARRED",
    "CLOSEST",
)
_PART_OF_NOUN = ("SIDE", "COLOUR", "TRAIT", "SUPERLATIVE", "PLAIN")


def _to_target(draft: Draft, *, together: bool = False) -> Target:
    """Turn a draft into a target; ``together`` with others "the largest and smallest ships" means one of each."""
    # references are read once, for all readings of the phrase: chains would explode else
    relations = tuple(
        Relation(
            relation.kind,
            tuple(map(_to_reference, relation.drafts)),
            relation.words,
            relation.order,
            relation.bound,
        )
        for relation in draft.relations
    )
    of = None if draft.of is None else _to_target(draft.of)
    if of is not None and draft.group_kind and (draft.group_kind not in lexicon.LINES or _plain_line(draft)):
        return _of_group(draft, together, relations, of)
    if draft.line_kind:
        return _of_line(draft, together, relations, of)
    if of is not None and _part_of(draft, of):
        return replace(of, unknown=(*of.unknown, *draft.unknown, f"{draft.words} of"))
    target = replace(_target(draft, together), relations=relations, of=of)
    # readings leave out what all share, so that a tree stays as small as its text
    others = [_target(other, together) for other in _compounds(draft)]
    if draft.is_place and draft.place_word and draft.sides and not draft.all_of("SUPERLATIVE") and draft.of is None:
        # "the upper left corner" on its own: what lies there, unless something bears that name
        there = Region(draft.region("").places, draft.region("").share, f"in {draft.words}")
        empty = replace(target, noun=(), quantifier=Quantifier.ALL, orders=(), regions=(there, *draft.regions))
        return replace(empty, compounds=tuple(others))
    return replace(target, compounds=tuple(others))


def _to_reference(draft: Draft) -> Target:
    """Read what a relation is told by; that it is another thing ("all other ships") goes without saying."""
    draft.unknown = [words for words in draft.unknown if words not in ("other", "different")]
    if not draft.plural:  # "left of both the dog and the cat": the "and" is no part of this phrase
        draft.unknown += [str(token) for token in draft.all_of("QUANTIFIER") if token == "both"]
    return _to_target(draft)


def _of_line(draft: Draft, together: bool, relations: tuple[Relation, ...], of: Target | None) -> Target:
    """Read "the top row of cars" as the cars that stand in it, unless something is called a row itself."""
    line = line_of(draft)
    members = of or Target(quantifier=Quantifier.ALL)
    unknown = [*draft.unknown]
    if line is None and (draft.before or draft.after) and not draft.plural:
        unknown.append(draft.words)
    elif line is None:
        unknown += [str(token) for token in draft.all_of("COLOUR", "TRAIT", "SUPERLATIVE", "SIDE", "COUNT")]
    unknown += [str(token) for token in draft.all_of("QUANTIFIER") if token == "both"]
    words = f"{draft.words} of {members.words}" if of else draft.words
    plain, whole = copy(draft), copy(draft)
    if of is not None:
        whole.noun = [*draft.noun, "of", *of.noun]
        plain.unknown = [*draft.unknown, f"of {of.words}"]
    others = [_target(other, together) for other in ((plain,) if of is None else (whole, plain))]
    return replace(
        members,
        quantifier=Quantifier.ALL,
        bounds=(*members.bounds, *draft.bounds),
        lines=(*members.lines, *draft.lines, *([line] if line else [])),
        regions=(*members.regions, *draft.regions),
        relations=(*members.relations, *relations),
        words=words,
        unknown=tuple(dict.fromkeys((*members.unknown, *unknown))),
        compounds=tuple(others),
    )


def _plain_line(draft: Draft) -> bool:
    """Say whether "a row of cars" does not say which of the rows is meant."""
    said = draft.all_of("SIDE", "SUPERLATIVE", "ORDINAL", "STRIDE", "CLOSEST", "COLOUR", "TRAIT", "FRACTION", "COUNT")
    return not (said or draft.toward or draft.counted_from or draft.regions or len(draft.noun) > 1)


def _of_group(draft: Draft, together: bool, relations: tuple[Relation, ...], of: Target) -> Target:
    """Read "the cluster of five cars" as the cars in it, unless something is called a cluster itself."""
    kind, count = lexicon.GROUPS[draft.group_kind]
    aside = [str(token) for token in draft.all_of("CLOSEST", "FRACTION", "STRIDE")]
    ranks = draft.all_of("ORDINAL")
    plain, whole = copy(draft), copy(draft)
    whole.noun, plain.unknown = [*draft.noun, "of", *of.noun], [*draft.unknown, f"of {of.words}"]
    orders = _superlatives(draft)
    before = [token for token in draft.before if token.type == "SIDE"]
    orders += [lexicon.place_order(sides_in(before))] if before and not orders else []
    sizes = [lexicon.superlative(str(token)) for token in draft.all_of("TRAIT")]
    if len(sizes) == 1 and not orders and not draft.plural and sizes[0].measure == "area":
        orders = sizes  # "the large group"
    else:
        aside += map(str, draft.all_of("TRAIT"))
    numbers = [lexicon.number_of(str(token)) for token in draft.all_of("COUNT")]
    if numbers not in ([], [1]):
        aside += map(str, draft.all_of("COUNT"))
    group = Group(
        kind,
        f"in {draft.words}",
        one=not draft.plural,
        count=of.count if of.quantifier in (Quantifier.COUNT, Quantifier.ALL) and of.count else count,
        orders=(*orders, *(order for order in of.orders if order.measure == "place")),
        rank=lexicon.ordinal_of(str(ranks[0])) if ranks else 1,
    )
    colours, any_colour = _colours(draft)
    traits = tuple(Trait(order, order.words) for order in of.orders if order.measure != "place")
    return replace(
        of,
        quantifier=Quantifier.ALL,
        orders=(),
        traits=(*of.traits, *traits),
        rank=1,
        ranked=False,
        count=None,
        colours=colours or of.colours,
        any_colour=any_colour if colours else of.any_colour,
        group=group,
        regions=(*of.regions, *draft.regions),
        relations=(*of.relations, *relations),
        words=f"{draft.words} of {of.words}",
        unknown=tuple(dict.fromkeys((*of.unknown, *draft.unknown, *aside))),
        compounds=tuple(_target(other, together) for other in (whole, plain)),
    )


def _compounds(draft: Draft) -> list[Draft]:
    """Return the phrase with one or two adjectives moved into its noun, longest noun first."""
    others = []
    last = reversed(draft.before[-2:] if draft.noun else [])
    adjacent = len(list(takewhile(lambda token: token.type in _PART_OF_NOUN, last)))
    for many in range(adjacent, 0, -1):
        moved = draft.before[-many:]
        aside = [str(token) for token in moved if token.type == "PLAIN"]
        other = copy(draft)
        other.before = draft.before[:-many]
        other.noun = [*map(str, moved), *draft.noun]
        other.unknown = [words for words in draft.unknown if words not in aside]
        others.append(other)
    return others


def _target(draft: Draft, together: bool) -> Target:
    """Read a phrase by itself, without the other phrases by which it says what it means."""
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
        barred=tuple(map(_barred, draft.all_of("BARRED"))),
        regions=tuple(regions),
        bounds=tuple(draft.bounds),
        lines=tuple(draft.lines),
        group=draft.group,
        step=step,
        share=share,
        words=draft.words,
        guessed=draft.guessed,
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _barred(token: Token) -> Target:
    """Return the phrase for what a thing must not be: "non-red"."""
    words = str(token)
    colour = words.split()[0].replace("gray", "grey")
    if colour in COLOURS:
        return Target(quantifier=Quantifier.ALL, colours=(colour,), words=words)
    return Target(quantifier=Quantifier.ALL, traits=(Trait(lexicon.superlative(words), words),), words=words)


def _part_of(draft: Draft, whole: Target) -> bool:
    """Say whether a part of a thing is meant ("the top of the bottle"), not a pick among things."""
    return not draft.all_of(*_PICKING) and not draft.pronoun and whole.quantifier in (Quantifier.THE, Quantifier.ANY)


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
    """Return what the phrase sorts by; "top" and "leftmost" become one corner when both were said."""
    orders = [lexicon.superlative(str(token)) for token in draft.all_of("SUPERLATIVE")]
    orders += [lexicon.place_order(sides, closest=closest) for sides, closest in draft.toward]
    if draft.counted_from:
        orders.append(lexicon.place_order(draft.counted_from))
    sides = [order.sides[0] for order in orders if len(order.sides) == 1 and order.sides[0] in lexicon.OPPOSITE]
    upright = [side for side in sides if side in ("top", "bottom")]
    level = [side for side in sides if side in ("left", "right")]
    if len(upright) == len(level) == 1 and len(orders) == 2:
        return [lexicon.place_order((upright[0], level[0]))]
    return orders


def _side_regions(draft: Draft, orders: list[Order], *, as_order: bool) -> list[Region]:
    """Read the words of direction around the noun: "the left ship" is the leftmost, "left ships" lie left.

    A direction that picks (``as_order``) is added to the orders.
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
    if words in ("above", "below"):
        return Region((sides_in(tokens),), 1 / 3, words)
    before = {"left": "on", "right": "on", "top": "at", "bottom": "at"}.get(words, "in")
    return Region((sides_in(tokens),), 1 / 3, f"{before} the {words}")


def _colours(draft: Draft) -> tuple[tuple[str, ...], bool]:
    said = tuple(dict.fromkeys(lexicon.colour_of(str(token)) for token in draft.all_of("COLOUR")))
    joins = {str(token) for token in draft.all_of("JOIN")}
    mixed = any(str(token).split()[0].endswith("ish") for token in draft.all_of("COLOUR"))  # "bluish green"
    either = mixed or "or" in joins or ("and" in joins and draft.plural)
    return said, either and len(said) > 1
