"""Tokens: words that can only be read by what stands beside them, settled in small passes, one decision each."""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token

from fiducial.language.phrases.asking import limited, negated, opened
from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.ranking import nearest, ranked
from fiducial.language.phrases.spelling import misspelt
from fiducial.language.phrases.wording import TERMS, settle_wording
from fiducial.language.phrases.words import DESCRIBING, DETERMINERS, ITEMS, LINKS, NAMING, as_kind, is_side_of, kind_at

MAX_LINKS = 8
"""Longest chain of places named by places; what follows is not understood."""

GUESSED = "(and)"
"""The "and" that nobody said, between "the cat" and "the dog"."""
DIRECTED = word_set(
    "pointing facing heading looking moving going travelling traveling sailing headed turned running walking"
)
"""Words after which a side is a direction, not a place."""
_FACING = word_set("pointing facing heading looking headed turned")
_COURSES = word_set("to towards toward into from onto")
"""What is said of a course rather than of a place, after "sailing" or "moving"."""
_THINGS_IN_ING = word_set(
    "building wing ring painting ceiling swing string awning clothing railing king thing lightning earring sibling "
    "spring sling duckling dumpling crossing landing opening pudding wedding parking drawing writing sting viking "
    "coating marking housing bearing casing fitting lining paving roofing scaffolding planting dressing icing stocking "
    "clearing mooring airing flooring seedling sapling gosling starling morning evening being"
)


class PostLexer:
    """Settles every token whose reading depends on its neighbours; the grammar accepts what it leaves."""

    always_accept = (
        "REQUEST",
        "COURTESY",
        "COPULA",
        "IMAGE",
        "SHADE",
        "STRANGE",
        "COMMA",
        "COMPOUND",
        "ASK",
        "ONLY",
        "IMMEDIATE",
        "ACROSS",
        "APART",
        *sorted(TERMS),
    )
    """Terminals that only :meth:`process` sees; without this list lark would drop them as unused."""

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Return the tokens as the grammar needs them (the hook that lark calls after lexing)."""
        tokens = list(stream)
        # in this order: each step finds the tokens as those before it left them
        passes = (
            *(_distances, misspelt, opened, settle_wording, nearest, ranked, negated, limited),
            *(_numbers, _closest, _participles, _swallowed, _listed, _separators, _capped, _pairs, _ahead, _behind),
        )
        for settle in passes:
            tokens = settle(tokens)
        return iter(tokens)


def _distances(tokens: list[Token]) -> list[Token]:
    """Read "within 50 pixels of" as a place."""
    return [as_kind(token, "PLACE") if token.type == "APART" else token for token in tokens]


def _numbers(tokens: list[Token]) -> list[Token]:
    """Tell "one ship" from "the red one", "two ships" from "ship 2", "third" from "the left third"."""
    settled = list(tokens)
    for index, token in enumerate(tokens):
        after, before = kind_at(tokens, index + 1), kind_at(tokens, index - 1)
        opens = after in NAMING or after in DESCRIBING or after in ("OF", "ORDINAL", "COUNT")
        if token == "third" and before == "SIDE" and after not in ITEMS:
            settled[index] = as_kind(token, "WORD")
        if token.type != "COUNT":
            continue
        if before == "SIDE" and tokens[index - 1] == "top" and after == "SUPERLATIVE":
            settled[index - 1] = as_kind(tokens[index - 1], "IMPLIED", "")  # "the top 3 largest ships"
        if token == "one" and not opens:
            settled[index] = as_kind(token, "PRONOUN")
        elif token.isdigit() and before == "WORD" and not opens:
            settled[index] = as_kind(token, "WORD")
    return settled


def _closest(tokens: list[Token]) -> list[Token]:
    """Tell "the closest ship" from "the ship closest to the pier"."""
    settled = list(tokens)
    for index, token in enumerate(tokens):
        if token.type != "CLOSEST" or token == "next":
            continue
        bound = str(token).endswith((" to", " from"))
        after_noun = kind_at(tokens, index - 1) in NAMING and kind_at(tokens, index + 1) in ITEMS
        kind = str(token).split()[0]
        towards = str(token).endswith(" to") or (kind == str(token) and kind_at(tokens, index + 1) == "SIDE")
        # "furthest to the south" and "furthest south" are the closest to that side
        name = "closest" if kind in ("closest", "nearest") or towards else "furthest"
        settled[index] = as_kind(token, "PLACE" if bound or after_noun else "CLOSEST", name)
    return settled


def _participles(tokens: list[Token]) -> list[Token]:
    """Read "man standing near the car" as a man of whom something is said that cannot be checked."""
    settled = list(tokens)
    for index, token in enumerate(tokens):
        said = token.type in ("WORD", "PLAIN") and token.endswith(("ing", "parked", "moored", "docked", "painted"))
        after = kind_at(tokens, index - 1) in NAMING and kind_at(tokens, index + 1) not in NAMING
        if said and after and len(token) > 4 and token.split()[-1].removesuffix("s") not in _THINGS_IN_ING:
            settled[index] = as_kind(token, "STRANGE")
    return settled


def _swallowed(tokens: list[Token]) -> list[Token]:
    """Join what cannot be understood with its object: "wearing a red hat", "pointing north"."""
    settled: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.type not in ("STRANGE", "SHADE"):
            settled.append(token)
            continue
        words = [str(token)]
        after = kind_at(tokens, index)
        heads = str(token) in _FACING or (after == "PLACE" and str(tokens[index]) in _COURSES)
        directed = str(token) in DIRECTED and after in ("PLACE", "STRANGE") and (heads or after == "STRANGE")
        while token.type == "STRANGE" and (
            kind_at(tokens, index) in ITEMS or kind_at(tokens, index) == "OF" or directed
        ):
            words.append(str(tokens[index]))
            index += 1
            directed = False
        settled.append(as_kind(token, "PLAIN" if token.type == "SHADE" else "UNKNOWN", " ".join(words)))
    return settled


def _listed(tokens: list[Token]) -> list[Token]:
    """Begin a new target where a determiner follows a noun: "the cat the dog"."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        before = kind_at(tokens, index - 1)
        if token.type in DETERMINERS and (before in NAMING or before in DESCRIBING) and before != "PLAIN":
            settled.append(as_kind(token, "AND", GUESSED))
        settled.append(token)
    return settled


def _separators(tokens: list[Token]) -> list[Token]:
    """Read each comma and each "and": between adjectives, before a further place, or between targets."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type not in ("AND", "COMMA"):
            settled.append(token)
        elif settled and settled[-1].type in ("AND", "ALSO", "JOIN") and token.type == "COMMA":
            continue
        else:
            if settled and settled[-1].type in ("AND", "ALSO") and token.type == "AND":
                settled.pop()  # ", and"
            reading = "ALSO" if _crosses(tokens, index) else _separator(tokens, index, settled)
            if reading:
                settled.append(as_kind(token, reading))
            if _crosses(tokens, index):
                settled.append(as_kind(token, "PLACE", "in"))
            elif reading == "ALSO" and kind_at(tokens, index + 1) == "SIDE":  # "and south of the road"
                settled.append(as_kind(token, "PLACE", "to"))
    return settled


def _separator(tokens: list[Token], index: int, settled: list[Token]) -> str:
    before = settled[-1].type if settled else ""
    after = kind_at(tokens, index + 1)
    if not before or before == "LIMIT" or after in ("", "EXCEPT", "LIMIT", "OF"):
        return ""
    if after in ("PLACE", "BETWEEN", "UNKNOWN", "BOUND", "TOGETHER") or is_side_of(tokens, index + 1):
        return "ALSO"
    comma = tokens[index].type == "COMMA"
    if before == "SIDE" and after == "SIDE" and _in_place(settled) and _ends(tokens, index + 1, "SIDE"):
        return "JOIN"
    if before in ("COLOUR", "TRAIT", "PLAIN") and after in ("COLOUR", "TRAIT", "PLAIN"):
        return "" if comma else "JOIN"
    if comma and before in DESCRIBING and after in DESCRIBING and not _ends(tokens, index + 1, *DESCRIBING):
        return ""
    if comma and after in ("COLOUR", "TRAIT", "SIDE") and _ends(tokens, index + 1, *DESCRIBING):
        return ""  # "the ship, red" and "the ship, top right"
    return "AND"


def _crosses(tokens: list[Token], index: int) -> bool:
    """Say whether an "and" joins a row and a column that tell one place: "in the second row and third column"."""
    before = str(tokens[index - 1]) if index else ""
    start, end = index - 1, index + 1
    while kind_at(tokens, start - 1) in ("THE", "ORDINAL", "SIDE", "SUPERLATIVE"):
        start -= 1
    while kind_at(tokens, end) in ("THE", "ORDINAL", "SIDE", "SUPERLATIVE"):
        end += 1
    after = str(tokens[end]) if end < len(tokens) else ""
    return {before, after} == {"row", "column"} and kind_at(tokens, start - 1) == "PLACE"


def _ends(tokens: list[Token], index: int, *kinds: str) -> bool:
    """Say whether, from a token on, nothing but tokens of these kinds comes before the phrase ends."""
    while kind_at(tokens, index) in kinds:
        index += 1
    return kind_at(tokens, index) not in ITEMS or str(tokens[index]) in ("corner", "half", "side", "corners", "sides")


def _in_place(settled: list[Token]) -> bool:
    """Say whether the phrase at the end is "in the left", rather than "the left"."""
    index = len(settled) - 1
    while index >= 0 and settled[index].type in ("SIDE", "THE", "JOIN"):
        index -= 1
    return index >= 0 and settled[index].type == "PLACE"


def _pairs(tokens: list[Token]) -> list[Token]:
    """Find the "and" of "between A and B"; a between without one tells a place by a set."""
    settled = list(tokens)
    for index, token in enumerate(tokens):
        if token.type != "BETWEEN" or settled[index].type != "BETWEEN":
            continue
        partner = index + 1
        stops = ("AND", "EXCEPT", "LIMIT", "ALSO", "BETWEEN", "")
        while kind_at(tokens, partner) not in stops:
            partner += 1
        set_of = any(kind in ("COUNT", "QUANTIFIER") for kind in (t.type for t in tokens[index + 1 : index + 3]))
        follows = kind_at(tokens, partner + 1) in ITEMS and kind_at(tokens, index + 1) in ITEMS
        if kind_at(tokens, partner) == "AND" and follows and not set_of:
            settled[partner] = as_kind(tokens[partner], "PAIR")
        else:
            settled[index] = as_kind(token, "PLACE", "between")
    return settled


def _ahead(tokens: list[Token]) -> list[Token]:
    """Take what needs something after it and has nothing: unneeded words go, others are not understood."""
    settled: list[Token] = []  # from the last to the first, so that what comes after is settled
    for token in reversed(tokens):
        after = settled[-1].type if settled else ""
        if token.type in ("AND", "ALSO", "JOIN", "OF") and after not in (*ITEMS, *LINKS):
            continue
        if token.type == "OF" and after not in ITEMS:
            continue
        if token.type in ("PLACE", "BETWEEN", "PAIR") and after not in ITEMS:
            token = as_kind(token, "UNKNOWN")
        if token.type == "EXCEPT" and after == "UNKNOWN":  # "not wearing a hat"
            token = as_kind(token, "UNKNOWN", f"{token} {settled.pop()}")
        elif token.type in ("EXCEPT", "LIMIT") and after not in (*ITEMS, *LINKS):
            token = as_kind(token, "UNKNOWN")
        settled.append(token)
    return settled[::-1]


def _behind(tokens: list[Token]) -> list[Token]:
    """Give every phrase a word before what needs one: "in the top right" is what there is in it."""
    settled: list[Token] = []
    for index, token in enumerate(tokens):
        before = settled[-1].type if settled else ""
        if before in ("", "AND", "EXCEPT", "LIMIT") and is_side_of(tokens, index):  # "left of the pier"
            settled += [as_kind(token, "IMPLIED", ""), as_kind(token, "PLACE", "to")]
        if token.type in ("AND", "ALSO") and before in ("", "AND", "ALSO", "EXCEPT", "LIMIT"):
            continue
        if token.type in ITEMS and before in ("UNKNOWN", "TOGETHER"):
            token = as_kind(token, "UNKNOWN")
        if (token.type in LINKS and before in ("", "AND", "EXCEPT", "LIMIT", "PAIR")) or (
            token.type in ("EXCEPT", "LIMIT") and not before
        ):
            settled.append(as_kind(token, "IMPLIED", ""))
        settled.append(token)
    return settled or [Token("IMPLIED", "")]


def _capped(tokens: list[Token]) -> list[Token]:
    """End a chain of places after ``MAX_LINKS``: nobody means the tenth."""
    settled: list[Token] = []
    links, betweens = 0, 0
    for token in tokens:
        if token.type in ("AND", "EXCEPT", "LIMIT"):
            links = 0
        links += token.type in ("PLACE", "OF", "BETWEEN")
        betweens += token.type == "BETWEEN"
        if links <= MAX_LINKS and betweens <= MAX_LINKS:
            settled.append(token)
        elif settled[-1].type == "UNKNOWN":
            settled[-1] = as_kind(settled[-1], "UNKNOWN", f"{settled[-1]} {token}".strip())
        else:
            settled.append(as_kind(token, "UNKNOWN"))
    return settled
