"""Negation: which words of a sentence lie in the reach of a "not"."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.language.phrases.nouns import word_set
from fiducial.language.statements.words import BE, LOCATING, STOPS, Word, at

_NEGATORS = word_set(
    "not no never without neither nor except excluding outside unlike cannot opposite isn't aren't wasn't weren't "
    "doesn't don't didn't can't couldn't won't none nothing"
)
EXCEPTIONS = word_set("except excepting apart aside besides beyond")
"""What takes something out of a "nothing": "except for the upper right, there is nothing"."""
_PAIRS = {
    ("rather", "than"),
    ("instead", "of"),
    ("other", "than"),
    ("leaving", "out"),
    ("left", "out"),
    ("compared", "with"),
    ("compared", "to"),
    ("away", "from"),
    ("far", "from"),
    ("apart", "from"),
    ("free", "of"),
    ("absent", "from"),
    ("off", "centre"),
    ("off", "center"),
}
_LIGHT = {
    ("not", "only"),
    ("not", "just"),
    ("not", "far"),
    ("no", "doubt"),
    ("without", "doubt"),
    ("without", "any"),
    ("no", "longer"),
}
"""What looks like a negation and is none."""
_TURNS = word_set("but however although though while whereas yet")
_SUBJECTS = word_set("it they this these that")
_SHORT = word_set("rather instead unlike other")
"""After these a new clause may begin without a comma: "rather than on the left it lies on the right"."""
_FAR = 40
"""So many words from a place, nothing is said of it any more."""
CLEAR = word_set("clear empty normal unremarkable unaffected spared healthy free uninvolved intact absent")
_SHOWS = BE | word_set("there shows show contains contain has have appears appear remains remain looks seems exhibits")


def negated_words(words: Sequence[Word]) -> list[bool]:
    """Say of each word of a sentence whether it is denied.

    A negation reaches to the next comma, "but", or "and" with a verb; what "leaving out" opens reaches to the end of
    the brackets behind it.
    """
    flags: list[bool] = []
    nothing = any(word.text in ("nothing", "none", "no") for word in words)
    opener = ""
    depth = 0
    skip = -1
    for index, word in enumerate(words):
        text, after = word.text, at(words, index + 1)
        depth += (text == "(") - (text == ")")
        if opener and _ends(words, index, opener, depth):
            opener = ""
        if (text, after) in _LIGHT:
            skip = index + (2 if at(words, index + 2) == "from" else 1)
        elif nothing and text in EXCEPTIONS:
            opener = ""
        elif not opener and text == "than" and after in ("to", "on", "in", "at"):
            opener = text  # "more to the left than to the right"
        elif index > skip and ((text in _NEGATORS) or (text, after) in _PAIRS):
            opener = text
        flags.append(bool(opener))
    return flags


def denied_after(words: Sequence[Word], start: int, end: int) -> bool:
    """Say whether a clause denies what a place at ``start`` to ``end`` holds: "the left lung is clear"."""
    first = start
    while first > max(0, start - _FAR) and at(words, first - 1) not in STOPS and at(words, first - 1) not in _TURNS:
        first -= 1
    if any(word.text in BE or word.text in LOCATING - {"there"} for word in words[first:start]):
        return False
    shown = False
    for index in range(end, min(end + _FAR, len(words))):
        text = words[index].text
        if text in STOPS or text in _TURNS or (text == "and" and shown):
            return False
        found = text in CLEAR and at(words, index - 1) not in ("a", "an", "one")  # "shows a clear mass"
        if shown and (found or text in ("no", "not", "nothing", "none")):
            return True
        shown = shown or text in _SHOWS
    return False


def _ends(words: Sequence[Word], index: int, opener: str, depth: int) -> bool:
    """Say whether the reach of a negation ends before a word."""
    text, after = words[index].text, at(words, index + 1)
    if opener == "leaving":
        return text in (";", ")") or (depth == 0 and text in STOPS)
    if text in STOPS or text in _TURNS:
        return True
    if text == "and":
        return after in _SUBJECTS or after in BE or after in LOCATING
    return opener in _SHORT and text in _SUBJECTS
