"""Wording: what people write around places, looks and groups, settled before the tokens are read.

Each step takes the tokens of an instruction and returns them with what it knows put into the grammar's own terms:
"located towards the lower center" into a place, "with a dark hue" into an adjective, "below and slightly to the right
of" into one relation, "sitting" before a place into nothing. What a step does not know it leaves as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from lark import Token

from fiducial.language.phrases.nouns import singular, word_set
from fiducial.language.phrases.ranking import NEAREST
from fiducial.language.phrases.words import NAMING, as_kind, is_side_of, kind_at

TERMS = word_set(
    "HEDGE TOWARD UPWARD CENTRAL INCLUDING SIZED REST ATTACHED TINT PALE LIGHTER LIGHT NAME "
    "ALONE SINGLE MANY FURTHEST TOGETHER RELATIVE WITH"
)
"""Terminals of the grammar that only :func:`settle_wording` sees; of these TOGETHER alone is left for the parser."""
LIVING = word_set(
    "person man woman child boy girl baby kid guy lady player adult pedestrian worker cyclist rider driver passenger "
    "skier surfer spectator dog cat horse cow sheep bird animal elephant bear giraffe zebra"
)
"""What sits, stands or lies by its own will: of these a posture tells one from another."""
HUES = word_set(
    "color colour colors colours coloring colouring coloration colouration hue shade tone tint appearance look surface "
    "paint"
)
"""Nouns for how a thing looks: "with a dark hue" says no more than "dark"."""
_LOOKS = ("TRAIT", "COLOUR", "SUPERLATIVE", "PLAIN", "AND", "JOIN")
_STATES = word_set("parked moored docked standing sitting")
_VERTICAL = {"above", "over", "below", "under", "underneath", "beneath", "up", "down"}
_OPENING = ("THE", "A", "QUANTIFIER", "COUNT", "ORDINAL", "SUPERLATIVE", "COLOUR", "TRAIT", *NAMING)
_ARTICLES = ("THE", "A")


def settle_wording(tokens: list[Token]) -> list[Token]:
    """Return the tokens of an instruction in the grammar's own terms."""
    steps: tuple[Callable[[list[Token]], list[Token]], ...] = (
        _renamed,
        _lights,
        _hues,
        _resting,
        _others,
        _hedges,
        _joined,
        _ending,
    )
    for step in steps:
        tokens = step(tokens)
    return tokens


_SAME = {
    **{
        "TINT": "COLOUR",
        "PALE": "TRAIT",
        "ALONE": "TRAIT",
        "SIZED": "TRAIT",
        "SINGLE": "COUNT",
        "MANY": "A",
        "NAME": "WORD",
    },
    **{"FURTHEST": "SUPERLATIVE", "UPWARD": "PLACE", "CENTRAL": "SIDE", "INCLUDING": "AND"},
}


def _renamed(tokens: list[Token]) -> list[Token]:
    """Give what has one reading its name in the grammar."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        kind = _SAME.get(token.type, token.type)
        before = settled[-1] if settled else None
        if token.type == "TOWARD":
            kind = "STRANGE" if before is not None and before.type == "STRANGE" else "PLACE"
        elif token.type == "ATTACHED":
            token, kind = as_kind(token, "PLACE", "touching"), "PLACE"
        elif token.type == "RELATIVE":  # "to the left relative to the pier"
            beside = before is not None and (before.type == "SIDE" or before in ("side", "direction"))
            kind = "OF" if beside else "STRANGE"
        elif token.type == "SINGLE" and before is not None and before.type == "QUANTIFIER":
            continue  # "every single ship"
        elif token == "side" and before is not None and before.type == "SUPERLATIVE" and len(settled) > 1:
            if settled[-2].type in NAMING:
                continue  # "the car that is most to the left side"
        elif token.type == "TOGETHER" and (before is None or before.type not in (*NAMING, "COUNT", "REST", "PLAIN")):
            kind = "PLAIN" if kind_at(tokens, index + 1) in NAMING else "TOGETHER"
        settled.append(as_kind(token, kind))
    return settled


def _lights(tokens: list[Token]) -> list[Token]:
    """Tell "the light ship" from "the traffic light", "the lighter boat" from "the lighter"."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type in ("LIGHT", "LIGHTER"):
            after = kind_at(tokens, index + 1)
            describes = after in (*NAMING, "SIDE", "TRAIT", "SUPERLATIVE", "PLAIN", "LIGHT", "COMMA") or after in HUES
            describes = describes and not (after == "COMMA" and kind_at(tokens, index + 2) not in (*_LOOKS, *NAMING))
            describes = describes or (token.type == "LIGHTER" and (after == "OF" or len(token.split()) > 1))
            named = bool(settled) and settled[-1].type == "WORD" and token.type == "LIGHT"
            kind = "WORD" if named or not describes else "TRAIT" if token.type == "LIGHT" else "SUPERLATIVE"
            token = as_kind(token, kind)
        settled.append(token)
    return settled


def _hues(tokens: list[Token]) -> list[Token]:
    """Read "with a dark hue" and "painted in a light color" as the adjective in it, and any other "with" as a place."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        first = index + 1 + (kind_at(tokens, index + 1) == "PLACE" and tokens[index + 1] == "in")
        last = _look(tokens, first + (kind_at(tokens, first) in _ARTICLES))
        wanted = token.type in ("WITH", "OF") or token == "painted" or (token.type == "PLACE" and token == "in")
        if wanted and last and settled and settled[-1].type != "AND":
            settled += [as_kind(one, one.type) for one in tokens[first:last] if one.type in _LOOKS]
            index = last + (str(tokens[last]) in HUES if last < len(tokens) else 0)
            continue
        if token.type == "WITH":
            token = as_kind(
                token, "PLACE" if kind_at(tokens, index + 1) not in ("COUNT", "QUANTIFIER") else "STRANGE", "with"
            )
        settled.append(token)
        index += 1
    return settled


def _look(tokens: list[Token], start: int) -> int:
    """Return where a run of adjectives that ends in a noun for looks has that noun, or 0 where it does not."""
    end = start
    while kind_at(tokens, end) in _LOOKS:
        end += 1
    if end == start:
        return 0
    if end < len(tokens) and str(tokens[end]) in HUES:
        return end
    painted = start and str(tokens[start - 1]) == "painted"
    return end if painted or tokens[end - 1].endswith((" color", " colour")) else 0  # "with the red color"


def _resting(tokens: list[Token]) -> list[Token]:
    """Pass over how a thing rests at a place ("parked near the pier"); elsewhere it is an adjective that is named."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type != "REST":
            settled.append(token)
            continue
        after = kind_at(tokens, index + 1)
        placed = after in ("PLACE", "BETWEEN", "HEDGE", "IMMEDIATE", "ONLY", "TOGETHER", "CLOSEST") or is_side_of(
            tokens, index + 1
        )
        posture = any(singular(str(one)) in LIVING for one in settled if one.type == "WORD")
        if placed and settled and not posture:
            continue
        word = str(token).split()[-1]
        settled.append(as_kind(token, "PLAIN" if word in _STATES or placed else "WORD", word))
    return settled


def _others(tokens: list[Token]) -> list[Token]:
    """Read "a different plane", "another similar car" and "two other boats", told by, as others than the first."""
    settled: list[Token] = []
    told = False
    for index, token in enumerate(tokens):
        before = settled[-1].type if settled else ""
        told = token.type in ("PLACE", "BETWEEN", "OF", "PAIR") or (told and token.type not in ("EXCEPT", "LIMIT"))
        after = kind_at(tokens, index + 1)
        opens = before == "A" and settled[-1] in ("a", "an", "another")
        if token.type == "COMMA" and opens:  # "another, similar truck"
            continue
        if opens and told and after not in ("", "PLACE", "OF", "COMMA"):
            if token in ("different", "similar") and not (after == "WORD" and tokens[index + 1] == "sized"):
                continue
            if token.type == "ORDINAL" and token == "second" and after in NAMING:
                continue
        if told and token == "other" and before in ("A", "COUNT", "QUANTIFIER"):
            continue
        settled.append(token)
    return settled


def _hedges(tokens: list[Token]) -> list[Token]:
    """Drop "slightly" and "just" before a place; before "west of the car" they begin one."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type != "HEDGE":
            settled.append(token)
        elif settled and settled[-1].type == "SIDE" and is_side_of(tokens, index + 1):
            settled.append(as_kind(token, "PLACE"))
    return settled


def _joined(tokens: list[Token]) -> list[Token]:
    """Make one relation of "below and to the right of" and "to the left and below"."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        end, parts = index, 0
        while (size := _relation(tokens, end)) and (parts == 0 or kind_at(tokens, end - 1) == "AND"):
            end, parts = end + size, parts + 1
            if kind_at(tokens, end) != "AND" or not _relation(tokens, end + 1):
                break
            end += 1
        # the last part has what it refers to; the others have none
        last = tokens[end - 1] if end else None
        bound = last is not None and (last.type == "OF" or (last.type == "PLACE" and last in _VERTICAL))
        if parts > 1 and bound and kind_at(tokens, end) in _OPENING:
            words = " ".join(str(one) for one in tokens[index:end])
            if settled and (settled[-1].type == "IMMEDIATE" or settled[-1] == "just"):  # "just below and left of"
                settled.pop()
                words = f"{NEAREST}{words}"
            settled.append(as_kind(tokens[index], "PLACE", words))
            index = end
        else:
            settled.append(tokens[index])
            index += 1
    return settled


def _relation(tokens: list[Token], index: int) -> int:
    """Return how many tokens from an index on are "below", "to the right of" or "to the right", without a noun."""
    start = index
    if kind_at(tokens, index) == "PLACE" and str(tokens[index]) in _VERTICAL:
        return 1
    if kind_at(tokens, index) == "PLACE" and tokens[index] in ("to", "on", "at"):
        index += 1
    prefix = index > start
    index += kind_at(tokens, index) == "THE"
    first = index
    while kind_at(tokens, index) == "SIDE":
        index += 1
    if index == first:
        return 0
    index += kind_at(tokens, index) == "WORD" and tokens[index] == "side"
    if kind_at(tokens, index) == "OF":
        return index + 1 - start
    return index - start if not prefix or tokens[start] == "to" else 0


def _ending(tokens: list[Token]) -> list[Token]:
    """Read "the pool below", which names nothing that it is below of, as the one at the bottom."""
    told = [one for one in tokens if one.type in ("PLACE", "BETWEEN", "OF", "AND", "EXCEPT", "COMMA", "LIMIT")]
    ends = len(told) == 1 and len(tokens) > 1 and tokens[-1] is told[0] and tokens[-1] in ("above", "below")
    return [*tokens[:-1], as_kind(tokens[-1], "SIDE")] if ends and tokens[-2].type in NAMING else tokens
