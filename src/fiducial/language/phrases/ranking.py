"""Ranking: ranks and ranges wherever they stand in a phrase, and words of nearness before a place."""

from __future__ import annotations

from lark import Token

from fiducial.language.phrases import lexicon
from fiducial.language.phrases.words import DESCRIBING, NAMING, as_kind, end_of_items, is_side_of, kind_at

NEAREST = "nearest "
"""What is put before a word of place that means the closest such thing: "just above"."""
_SIDED = ("above", "over", "below", "under", "underneath", "beneath")
_TO = ("to", "through", "thru", "until", "till")


def ranked(tokens: list[Token]) -> list[Token]:
    """Put ranks where phrases have them: "the second from the left car", "largest but one", "2nd to 4th"."""
    for settle in (_across, _but_one, _ranges, _before_noun):
        tokens = settle(tokens)
    return tokens


def _across(tokens: list[Token]) -> list[Token]:
    """Read "left to right" and a leading "from the left," as where ranks are counted from; else they mean nothing."""
    counts = any(token.type in ("ORDINAL", "STRIDE") for token in tokens)
    settled: list[Token] = []
    last: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type != "ACROSS":
            settled.append(token)
            continue
        side = next((word for word in token.split() if word in lexicon.SIDE_OF), "")
        said = [as_kind(token, "PLACE", "from"), as_kind(token, "SIDE", side)]
        if not counts:
            settled.append(as_kind(token, "UNKNOWN"))
        elif index:
            settled += said
        else:
            last = said
    end = 3 if kind_at(settled, 1) == "THE" else 2
    leads = bool(settled) and settled[0] == "from" and kind_at(settled, end - 1) == "SIDE"
    if counts and leads and kind_at(settled, end) == "COMMA":
        last, settled = settled[:end], settled[end:]
    return [*settled[kind_at(settled, 0) == "COMMA" and bool(last) :], *last]


def _but_one(tokens: list[Token]) -> list[Token]:
    """Read "largest but one" and "last but two", before the noun or after it, as the second largest, third to last."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        start = len(settled)
        while start and settled[start - 1].type in (*NAMING, *DESCRIBING, "ORDINAL"):
            start -= 1
        best = next((k for k in range(start, len(settled)) if settled[k].type in ("SUPERLATIVE", "ORDINAL")), None)
        number = str(tokens[index]) if kind_at(tokens, index) == "COUNT" else ""
        if token != "but" or best is None or not 0 < lexicon.NUMBERS.get(number, 0) < 10:
            settled.append(token)
            continue
        if kind_at(tokens, index + 1) in NAMING and settled[-1].type in NAMING:  # "the largest ship but one dog"
            settled.append(token)
            continue
        end = lexicon.ordinal_of(str(settled[best])) if settled[best].type == "ORDINAL" else 1
        if abs(end) > 1 or any(one.type in ("COUNT", "QUANTIFIER", "ORDINAL") for one in settled[:best]):
            settled.append(as_kind(token, "PLAIN"))  # "the two largest but one", "the second but one": which?
            continue
        rank = lexicon.ordinal_name(lexicon.NUMBERS[number] + 1)
        replaced = best + (settled[best].type == "ORDINAL")
        settled[best:replaced] = [as_kind(token, "ORDINAL", rank if end > 0 else f"{rank} to last")]
        index += 1
    return settled


def _ranges(tokens: list[Token]) -> list[Token]:
    """Read "2nd to 4th" as three from the second on."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        other = index + 2 + (kind_at(tokens, index + 2) == "THE")
        index += 1
        joined = index < len(tokens) and str(tokens[index]) in _TO and kind_at(tokens, other) == "ORDINAL"
        if token.type == "ORDINAL" and joined:
            first, last = (lexicon.ordinal_of(str(one)) for one in (token, tokens[other]))
            if 0 < first < last or first < last < 0:
                settled += [token, as_kind(token, "COUNT", str(last - first + 1))]
                index = other + 1
                continue
        settled.append(token)
    return settled


def _before_noun(tokens: list[Token]) -> list[Token]:
    """Move "from the left" behind the noun: "the second from the left car"; and read "number two from the left"."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token == "number" and kind_at(tokens, index) == "COUNT" and str(tokens[index]) != "no":
            rank = lexicon.number_of(str(tokens[index]))
            settled.append(as_kind(token, "ORDINAL", lexicon.ordinal_name(rank)))
            index += 1
            continue
        settled.append(token)
        side = index + 1 + (kind_at(tokens, index + 1) == "THE")
        if token.type != "ORDINAL" or str(tokens[index] if index < len(tokens) else "") not in ("from", "on"):
            continue
        end = end_of_items(tokens, side + 1)
        noun = [str(one) for one in tokens[side + 1 : end] if one.type in NAMING]
        if kind_at(tokens, side) == "SIDE" and noun and noun[0] not in (*lexicon.PLACE_NOUNS, "hand"):
            settled += [*tokens[side + 1 : end], *tokens[index : side + 1]]
            index = end
    return settled


def nearest(tokens: list[Token]) -> list[Token]:
    """Read "just left of", "right above" and "the next car to the right of" as the closest there."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        after = kind_at(tokens, index + 1)
        if token.type == "PLACE" and settled and str(settled[-1]) == f"{NEAREST}{token}":
            continue
        if token == "next" and token.type == "WORD" and after in (*NAMING, *DESCRIBING):
            settled.append(as_kind(token, "CLOSEST"))
        elif token.type != "IMMEDIATE" and token != "just":
            settled.append(token)
        elif is_side_of(tokens, index + 1):
            settled.append(as_kind(token, "PLACE", f"{NEAREST}to"))
        elif after == "PLACE" and (str(tokens[index + 1]) in _SIDED or _to_side(tokens, index + 1)):
            settled.append(as_kind(token, "PLACE", f"{NEAREST}{tokens[index + 1]}"))
        elif token == "just":
            settled.append(token)
        elif after not in ("PLACE", "BETWEEN"):
            settled.append(as_kind(token, "PLAIN"))
    return settled


def _to_side(tokens: list[Token], index: int) -> bool:
    """Say whether "to the left of" or "on the left of" stands at a token."""
    start = index + 1 + (kind_at(tokens, index + 1) == "THE")
    return str(tokens[index]) in ("to", "on") and is_side_of(tokens, start)
