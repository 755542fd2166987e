"""Kinds of tokens, and where a run of them ends: what all passes over an instruction share."""

from __future__ import annotations

from lark import Token

from fiducial.language.phrases.nouns import word_set

ITEMS = word_set(
    "THE A QUANTIFIER STRIDE FRACTION COUNT ORDINAL SUPERLATIVE CLOSEST SIDE COLOUR TRAIT BARRED PLAIN WORD PRONOUN "
    "IMPLIED JOIN"
)
"""What a phrase is made of."""
DETERMINERS = frozenset(("THE", "A", "QUANTIFIER"))
DESCRIBING = frozenset(("COLOUR", "TRAIT", "SIDE", "SUPERLATIVE", "BARRED", "PLAIN", "CLOSEST"))
NAMING = frozenset(("WORD", "PRONOUN"))
LINKS = frozenset(("PLACE", "OF", "BETWEEN", "UNKNOWN", "BOUND", "TOGETHER"))
"""What joins a phrase to the one before it."""


def as_kind(token: Token, kind: str, words: str | None = None) -> Token:
    """Return a token of another type, and perhaps other words, at the same place."""
    return Token.new_borrow_pos(kind, str(token) if words is None else words, token)


def kind_at(tokens: list[Token], index: int) -> str:
    """Return the type of a token, or nothing beyond either end."""
    return tokens[index].type if 0 <= index < len(tokens) else ""


def is_side_of(tokens: list[Token], index: int) -> bool:
    """Say whether "left of" starts at a token."""
    start = index
    while kind_at(tokens, index) == "SIDE":
        index += 1
    return index > start and kind_at(tokens, index) == "OF"


def end_of_items(tokens: list[Token], index: int) -> int:
    """Return where the phrase that begins at a token ends."""
    while kind_at(tokens, index) in ITEMS:
        index += 1
    return index
