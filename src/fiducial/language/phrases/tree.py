"""The tree: phrases as the grammar finds them, and what belongs to what (see ``parsing.parse_instruction``)."""

from __future__ import annotations

from copy import copy

from lark import Token, Tree

from fiducial.language.phrases import lexicon
from fiducial.language.phrases.bounds import read_bound, read_bounds
from fiducial.language.phrases.drafts import Draft, DraftRelation, line_of, sides_in
from fiducial.language.phrases.nouns import singular
from fiducial.language.phrases.ranking import NEAREST
from fiducial.language.phrases.request import Group, Region
from fiducial.language.phrases.tables import parser
from fiducial.language.phrases.tokens import GUESSED

_IN_LINE = ("in", "on", "at", "from", "within", "inside", "inside of")
Link = tuple[str, str, list[Draft]]
"""Type of the linking word, the word, and the phrases that follow it."""


def read(plain: str) -> tuple[list[Draft], list[Draft]]:
    """Return what a normalised instruction asks for, and what is to be left out, in the order said.

    Every noun is lent to the phrases that leave theirs unsaid: "the red ship and the blue one".
    """
    head, *others = (child for child in parser().parse(plain).children if isinstance(child, Tree))
    asked = _clauses(head)
    left_out = [draft for other in others if other.data == "exclusion" for draft in _clauses(other)]
    _lend_nouns(asked)
    _lend_nouns(left_out)
    if asked[0].pronoun in ("one", "ones") and not asked[0].noun:  # "not the red car, the blue one"
        asked[0].noun = next((list(draft.noun) for draft in left_out if draft.noun), [])
    for other in others:
        if other.data == "limit":
            limits = _clauses(other)
            _lend_nouns([*left_out, *limits] if not any(draft.noun for draft in asked) else limits)
            asked = [_limited(draft, limit, alone=len(asked) == 1) for draft in asked for limit in limits]
    return asked, left_out


def _limited(draft: Draft, limit: Draft, *, alone: bool) -> Draft:
    """Choose by one phrase among what another names: "the cars, but only the red ones"; ``alone`` it may pick."""
    among = copy(draft)
    if not (among.plural or among.all_of("QUANTIFIER", "COUNT", "SUPERLATIVE", "ORDINAL", "CLOSEST", "STRIDE")):
        # "the car, only the red one": there is more than one
        among.before = [Token("QUANTIFIER", "all"), *(token for token in among.before if token.type != "A")]
    chosen = copy(limit)
    chosen.of = among
    if limit.of is not None or (not alone and limit.all_of("SUPERLATIVE", "ORDINAL", "CLOSEST", "COUNT", "STRIDE")):
        chosen.unknown = [*limit.unknown, f"only {_in_full(limit)}"]
    return chosen


def _trees(tree: Tree[Token], *names: str) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree) and child.data in names]


def _clauses(tree: Tree[Token]) -> list[Draft]:
    clauses = tree if tree.data == "clauses" else _trees(tree, "clauses")[0]
    drafts = [_clause(child) for child in _trees(clauses, "clause")]
    joins = [child for child in clauses.children if isinstance(child, Token) and child.type == "AND"]
    for index, join in enumerate(joins):
        if join == GUESSED:
            drafts[index].guessed = drafts[index + 1].guessed = True
    return drafts


def _clause(tree: Tree[Token]) -> Draft:
    head = _phrase(_trees(tree, "phrase")[0])
    for part in (tree, *_trees(tree, "also")):
        links = [_link(child) for child in _trees(part, "link", "between")]
        if "or" in (str(child) for child in part.children if isinstance(child, Token)):
            _attach_or(head, links)
        else:
            _chain(head, links)
    return head


def _attach_or(head: Draft, links: list[Link]) -> None:
    """Read "in the middle or on the right"; other places after an "or" are not understood."""
    other = Draft([], list(head.noun))
    _chain(other, links)
    joined = [*head.regions[-1:], *other.regions]
    alike = bool(head.regions and other.regions) and len({region.share for region in joined}) == 1
    if not alike or other.relations or other.unknown or other.toward or other.lines or other.bounds:
        said = [" ".join([word, *map(_in_full, phrases)]) for _, word, phrases in links]
        head.unknown.append(f"or {' '.join(said)}")
        return
    places = tuple(place for region in joined for place in region.places)
    words = " or ".join(region.words for region in joined)
    head.regions[-1] = Region(places, joined[0].share, words)


def _phrase(tree: Tree[Token]) -> Draft:
    return Draft.of_tokens(token for token in tree.children if isinstance(token, Token))


def _link(tree: Tree[Token]) -> Link:
    phrases = [_phrase(child) for child in _trees(tree, "phrase")]
    token = next(child for child in tree.children if isinstance(child, Token))
    if tree.data == "between":
        _chain(phrases[0], [_link(child) for child in _trees(tree, "link")])
    return token.type, str(token), phrases


def _chain(head: Draft, links: list[Link]) -> None:
    """Attach each link to the phrase before it, from the last to the first."""
    owners = [head, *(phrases[-1] if phrases else None for _, _, phrases in links)]
    for index in range(len(links) - 1, -1, -1):
        owner = next(draft for draft in reversed(owners[: index + 1]) if draft is not None)
        _attach(owner, links[index])


def _attach(owner: Draft, link: Link) -> None:
    kind, word, phrases = link
    order = "closest" if word.startswith(NEAREST) else ""
    word = word.removeprefix(NEAREST)
    if kind == "BOUND":
        bounds = read_bounds(word)
        owner.bounds += bounds
        owner.unknown += [] if bounds else [word]
    elif kind == "UNKNOWN":
        owner.unknown.append(word)
    elif kind == "TOGETHER":
        line = any(part in word for part in ("line", "row", "align"))
        owner.group = owner.group or Group("line" if line else "cluster", word)
    elif kind == "OF":
        _attach_of(owner, phrases[0])
    elif kind == "BETWEEN":
        said = f"between {phrases[0].words} and {phrases[1].words}"
        owner.relations.append(DraftRelation("between", phrases, said))
    elif phrases[0].is_place and read_bound(word, gap=True) is not None:
        owner.unknown.append(f"{word} {_in_full(phrases[0])}")
    elif phrases[0].is_place and word != "with":
        _attach_place(owner, word, phrases[0], order)
    elif phrases[0].line_kind and phrases[0].of is None and word in _IN_LINE:
        _attach_line(owner, word, phrases[0])
    else:
        _attach_relation(owner, word, phrases[0], order)


def _taken_order(owner: Draft) -> str:
    """Return what "the nearest" and "the next" before a noun order by, for a place that follows it, and take it out."""
    token = next(iter(owner.all_of("CLOSEST")), None)
    if token is None:
        return ""
    owner.before = [other for other in owner.before if other is not token]
    owner.after = [other for other in owner.after if other is not token]
    return "furthest" if token == "furthest" else "closest"


def _attach_of(owner: Draft, child: Draft) -> None:
    trailing = [token for token in owner.after if token.type == "SIDE"]
    if trailing:  # "the ship left of the pier"
        owner.after = [token for token in owner.after if token.type != "SIDE"]
        owner.words = owner.words.removesuffix(f" {' '.join(trailing)}")
        if child.is_place and child.sides == ("centre",) and not child.place_word:  # "right of the centre"
            _add_region(owner, Region((sides_in(trailing),), 1 / 2, f"{' '.join(trailing)} of {child.words}"))
            owner.hoist(child)
            return
        order = _taken_order(owner)
        for side in dict.fromkeys(side for token in trailing for side in lexicon.sides_of(str(token))):
            said = f"{' '.join(trailing)} of {child.words}"
            owner.relations.append(DraftRelation(lexicon.SIDE_RELATIONS.get(side, "inside"), [child], said, order))
    elif not owner.noun or owner.place_word or owner.line_kind or _is_group_of(owner, child):
        owner.of = child
    elif child.line_kind and child.of is None:  # "the leftmost car of the top row"
        _attach_line(owner, "of", child)
    elif child.of is not None and (child.group_kind or child.line_kind):  # "the leftmost car of the row of cars"
        owner.relations.append(DraftRelation("among", [child], f"of {_in_full(child)}"))
    elif child.noun and not (child.regions or child.relations or child.of or _tells(child)):  # "bottle of water"
        owner.noun += ["of", *child.noun]
        owner.unknown += child.unknown
    else:
        owner.unknown.append(f"of {_in_full(child)}")


def _is_group_of(owner: Draft, child: Draft) -> bool:
    """Say whether "group of cars" names cars; "a pair of glasses" is one thing."""
    paired = bool(child.noun) and singular(child.noun[-1]) in lexicon.PAIRED
    return bool(owner.group_kind) and not (owner.group_kind == "pair" and paired)


def _tells(child: Draft) -> bool:
    """Say whether a phrase says more than its noun and how many."""
    return bool(
        child.all_of("COLOUR", "TRAIT", "SUPERLATIVE", "SIDE", "ORDINAL", "CLOSEST") or child.group or child.lines
    )


def _attach_line(owner: Draft, word: str, child: Draft) -> None:
    """Read "in the top row"; where it names no line, all of it is not understood."""
    line = line_of(child)
    if line is None:
        owner.unknown.append(f"{word} {_in_full(child)}")
    else:
        owner.lines.append(line)
        owner.hoist(child)


def _attach_place(owner: Draft, word: str, place: Draft, order: str) -> None:
    if place.of is not None and place.of.is_place and place.of.of is None and word not in ("closest", "furthest"):
        _attach_inner(owner, word, place, place.of)
        return
    if place.of is not None:
        _attach_side(owner, word, place, order)
        return
    over = lexicon.RELATIONS.get(word) if place.sides == ("centre",) and not place.place_word else None
    if over in ("above", "below"):  # "above the middle"
        _add_region(owner, Region((lexicon.sides_of(over),), 1 / 2, f"{word} {place.words}"))
        owner.hoist(place)
        return
    sides = place.sides + (("edge",) if place.place_word in lexicon.EDGES else ())
    if place.place_word in lexicon.CORNERS and len(sides) < 2:
        sides += ("corner",)
    if word in ("closest", "furthest"):
        owner.toward.append((sides, word == "closest"))
    elif word == "to" and owner.all_of("CLOSEST") and owner.all_of("CLOSEST")[0] != "next":
        token = owner.all_of("CLOSEST")[0]
        owner.before = [other for other in owner.before if other is not token]
        owner.toward.append((sides, token == "closest"))
    elif owner.all_of("ORDINAL", "STRIDE") and len(sides) == 1 and sides[0] in lexicon.OPPOSITE:
        # "second from the left" and "second on the left" count the same way; "the last on the right"
        # is the rightmost, "the last from the right" the leftmost
        last = str(owner.all_of("ORDINAL", "STRIDE")[0]) in ("last", "final") and word != "from"
        owner.counted_from = (lexicon.OPPOSITE[sides[0]],) if last else sides
    elif place.all_of("SUPERLATIVE") or word == "from":
        owner.toward.append((sides, True))
    else:
        _add_region(owner, place.region(f"{word} {place.words}"))
    owner.hoist(place)


def _attach_inner(owner: Draft, word: str, place: Draft, inner: Draft) -> None:
    """Read "in the center of the bottom part" as one place, and "left of the center" as that half."""
    said = f"{word} {place.words} of {inner.words}"
    if inner.sides == ("centre",) and not inner.place_word and place.sides and word in ("to", "on"):
        _add_region(owner, Region((place.sides,), 1 / 2, said))
    else:
        if place.all_of("SUPERLATIVE"):  # "on the far right of the central part"
            owner.toward.append((place.sides, True))
            place.before = [token for token in place.before if token.type != "SUPERLATIVE"]
        whole, part = inner.region(said), place.region(said)
        places = tuple(tuple(dict.fromkeys((*a, *b))) for a in part.places or ((),) for b in whole.places or ((),))
        _add_region(owner, Region(places, min(whole.share, part.share), said))
    owner.hoist(inner)
    owner.hoist(place)


def _add_region(owner: Draft, region: Region) -> None:
    """Add a part of the image; "on the left and on the right" are alternatives, not both at once."""
    if region.places == (("centre",),):
        region = _centred(owner, region)
    for index, other in enumerate(owner.regions):
        if other.places == (("centre",),) and len(region.places) == 1 and len(region.places[0]) == 1:
            place = (*region.places[0], "centre")
            owner.regions[index] = Region((place,), region.share, f"{other.words} {region.words}")
            return
        opposite = {lexicon.OPPOSITE.get(side) for place in other.places for side in place}
        if any(side in opposite for place in region.places for side in place):
            joined = f"{other.words} or {region.words}"
            owner.regions[index] = Region(other.places + region.places, min(other.share, region.share), joined)
            return
    owner.regions.append(region)


def _centred(owner: Draft, region: Region) -> Region:
    """Return "near the middle" after "on the right side" as the middle of that side."""
    orders = [lexicon.superlative(str(token)).sides for token in owner.all_of("SUPERLATIVE")]
    orders += [sides for sides, closest in owner.toward if closest]
    sides = {place for other in owner.regions for places in other.places for place in places}
    sides |= {side for order in orders for side in order}
    level, upright = sides & {"left", "right"}, sides & {"top", "bottom"}
    if len(level) + len(upright) != 1:
        return region
    return Region(((*level, *upright, "centre"),), region.share, region.words)


def _attach_side(owner: Draft, word: str, place: Draft, order: str) -> None:
    """Read "to the left of the pier" and "in the middle of the field"."""
    child = place.of
    assert child is not None
    said = f"{word} {place.words} of {child.words}"
    if word == "to" and place.before and place.before[0].type == "SIDE":
        said = said.removeprefix("to ")  # "left of", not "to left of"
    if word in ("in", "inside", "within") and place.sides and place.sides != ("centre",):
        owner.unknown.append(f"{place.words} of")
        owner.relations.append(DraftRelation("inside", [child], f"in {child.words}"))
    elif word in ("closest", "furthest", "from"):
        said = {"closest": "closest to", "furthest": "furthest from"}.get(word, word)
        owner.unknown.append(f"{said} {_in_full(place)}")
        return
    elif place.all_of("SUPERLATIVE"):  # "to the far left of the pier"
        owner.unknown.append(said)
    elif not place.sides or "centre" in place.sides:
        kind = "inside" if place.sides else "near"
        owner.relations.append(DraftRelation(kind, [child], said))
    else:
        order = order or _taken_order(owner)
        if lexicon.RELATIONS.get(word) in ("near", "beside") and word != "at":
            owner.relations.append(DraftRelation("near", [child], said))
        for side in place.sides:
            owner.relations.append(DraftRelation(lexicon.SIDE_RELATIONS[side], [child], said, order))
    owner.hoist(place)


def _attach_relation(owner: Draft, word: str, child: Draft, order: str) -> None:
    closest = owner.all_of("CLOSEST")
    apart = word == "from" and bool(closest) and closest[0] == "furthest"
    if apart or (word == "to" and closest):  # "the closest ship to the pier", "the furthest ship from it"
        words = f"{closest[0]} {word} {child.words}"
        owner.relations.append(DraftRelation(_taken_order(owner), [child], words))
    elif word in ("closest", "furthest"):
        said = "closest to" if word == "closest" else "furthest from"
        owner.relations.append(DraftRelation(word, [child], f"{said} {child.words}"))
    elif word in ("in", "with") and _is_worn(
        child
    ):  # "the man in the red shirt next to the dog": the dog is beside the man
        owner.unknown.append(f"{word} {child.words}")
        owner.hoist(child)
    elif word in _IN_LINE and child.of is not None and (child.group_kind or child.line_kind):
        owner.relations.append(DraftRelation("among", [child], f"{word} {_in_full(child)}"))
    elif word == "to" and child.noun and child.after and {token.type for token in child.after} == {"SIDE"}:
        _attach_named_side(owner, child)  # "to the harbor's left"
    elif word == "with" and (not child.noun or child.all_of("COUNT", "QUANTIFIER", "ORDINAL")):
        owner.unknown.append(f"{word} {_in_full(child)}")  # "with a dark center", "with a single door"
    elif kinds := lexicon.relation_kinds(word):
        sided = kinds[0] in ("above", "below", "near", "beside", "left_of", "right_of")
        order = order or (_taken_order(owner) if sided else "")
        owner.relations += [DraftRelation(kind, [child], f"{word} {child.words}", order) for kind in kinds]
    elif (bound := read_bound(word, gap=True)) is not None:
        owner.relations.append(DraftRelation("apart", [child], f"{word} {child.words}", bound=bound))
    else:
        owner.unknown.append(f"{word} {_in_full(child)}")


def _attach_named_side(owner: Draft, child: Draft) -> None:
    said = f"to {child.words}"
    sides = dict.fromkeys(side for token in child.after for side in lexicon.sides_of(str(token)))
    child.after = []
    for side in sides:
        owner.relations.append(DraftRelation(lexicon.SIDE_RELATIONS.get(side, "inside"), [child], said))


def _is_worn(draft: Draft) -> bool:
    """Say whether clothes are named, or no more than their colour: "in red"."""
    if draft.noun:
        return singular(draft.noun[-1]) in lexicon.CLOTHES
    return not draft.pronoun and bool(draft.all_of("COLOUR"))


def _in_full(draft: Draft) -> str:
    """Return a phrase with what was attached to it, so that nothing is lost when it is not understood."""
    attached = [region.words for region in draft.regions] + [relation.words for relation in draft.relations]
    inner = [f"of {_in_full(draft.of)}"] if draft.of is not None else []
    return " ".join([draft.words, *inner, *dict.fromkeys(attached), *draft.unknown])


def _lend_nouns(drafts: list[Draft]) -> None:
    """Give nouns to phrases that leave theirs to another: the next one's, else the one before's."""
    if len(drafts) > 1 and not drafts[0].plural:  # "both the cat and the dog"
        drafts[0].before = [token for token in drafts[0].before if token != "both"]
    for index, draft in enumerate(drafts):
        if draft.noun or draft.pronoun not in ("", "one", "ones") or draft.of is not None:
            continue
        later = None if draft.pronoun else next((other for other in drafts[index + 1 :] if other.noun), None)
        lender = later or next((other for other in reversed(drafts[:index]) if other.noun), None)
        if lender is None or not (draft.before or draft.after):
            continue
        draft.noun, draft.shares_noun = list(lender.noun), True
        if later is not None:
            draft.regions += [region for region in lender.regions if region not in draft.regions]
            draft.relations += lender.relations
            lender.shares_noun = True
            if not (draft.all_of("SUPERLATIVE", "TRAIT", "COLOUR", "SIDE") or draft.counted_from):
                draft.before += lender.all_of("SUPERLATIVE")
                draft.counted_from = lender.counted_from
    for draft in drafts:
        _lend_to_references(draft)


def _lend_to_references(draft: Draft) -> None:
    """Let "one" in a reference mean the noun it follows: "the ship next to the red one"."""
    for relation in draft.relations:
        for child in relation.drafts:
            if not child.noun and child.pronoun in ("one", "ones") and draft.noun:
                child.noun = list(draft.noun)
            _lend_to_references(child)
    if draft.of is not None:
        _lend_to_references(draft.of)
