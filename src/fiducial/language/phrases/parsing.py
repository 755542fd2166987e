"""Parsing: an instruction into a :class:`Request`."""

from __future__ import annotations

import re
import unicodedata

from fiducial.errors import InputError
from fiducial.language.instructions import check_instruction
from fiducial.language.phrases.finishing import finish
from fiducial.language.phrases.request import Request


def parse_instruction(text: str) -> Request:
    """Parse an instruction about places and picks.

    Understood are numbers, "all", "both", "any", "every other" and "half of"; superlatives and ordinals to
    ninety-nine in words ("the third largest", "twenty-first from the left"); rows and columns; colours; vague
    adjectives ("large", "round"); parts of the image ("in the top right", "left half"); relations to other
    things ("left of", "near", "between A and B"); "and"; and exclusions ("except the leftmost"). What is not
    understood is named in ``unknown``, as said. What follows "near", "in" or "of" belongs to the nearest noun
    before it; after a comma or an "and" it goes back to the first noun.

    Args:
        text: the instruction, at most 2,000 characters.

    Returns:
        The request: at least one target.

    Raises:
        InputError: the text is empty, has no word, or is too long.

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
        tuple(finish(draft, together=len(asked) > 1) for draft in asked),
        tuple(finish(draft, together=len(left_out) > 1) for draft in left_out),
        symbols,
    )


def normalise(text: str) -> tuple[str, tuple[str, ...]]:
    """Make an instruction plain.

    Args:
        text: any text of at most ``MAX_INSTRUCTION`` characters.

    Returns:
        The text in lower case, one space between words, hyphens and underscores opened, every other
        punctuation mark a comma; and the symbols that were taken out, each once.

    Raises:
        InputError: no word at all, or too long.
    """
    if not any(character.isalnum() for character in text):
        raise InputError("the instruction has no words: say what to segment, such as 'the largest ship'")
    plain = unicodedata.normalize("NFKC", check_instruction(text)).casefold().replace("\u2019", "'")
    plain = plain.replace("&", " and ")
    plain = re.sub(r"\b(that|which|who|what|where|there)'s\b", r"\1 is", plain)
    plain = re.sub(r"n't\b", " not", plain)
    plain = re.sub(r"(?<=\w)'s\b", "", plain)
    symbols: dict[str, None] = {}
    kept = "".join(_character(character, symbols) for character in plain)
    kept = re.sub(r"(?: *,)+ *", ", ", kept)
    return " ".join(kept.split()).strip(" ,"), tuple(symbols)


def _character(character: str, symbols: dict[str, None]) -> str:
    category = unicodedata.category(character)
    if category[0] in "LNM":
        return character
    if category[0] == "S" or category in ("Co", "Cn", "Cs"):
        symbols[character] = None
    if category in ("Po", "Ps", "Pe") and character not in "'\"()[]{}*#@%\\":
        return ","
    return " "
