"""Sizes in an answer's text: shares of the picture, square pixels, and "small" or "large"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiducial.language.phrases.lexicon import FRACTIONS, superlative
from fiducial.language.phrases.nouns import word_set
from fiducial.language.statements.words import BE, PICTURES, STOPS, Word, at, sides_in

_TAKES = word_set(
    "covers cover covering occupies occupy occupying fills fill filling spans span takes taking makes takes"
)
_ABOUT = word_set(
    "up about around approximately roughly nearly almost just over under some more less than the a an one"
)
_FACTOR = 1.6
"""By this factor a share that is said in round words may be off."""
SHARES = {"most": (0.4, 1.0), "much": (0.25, 1.0), "all": (0.6, 1.0), "whole": (0.6, 1.0), "entire": (0.6, 1.0)}
"""What "most of the picture" and the like mean, in 0..1 of its pixels."""
VAGUE = {
    "small": (0.0, 0.25),
    "little": (0.0, 0.25),
    "tiny": (0.0, 0.1),
    "large": (0.002, 1.0),
    "big": (0.002, 1.0),
    "huge": (0.02, 1.0),
    "giant": (0.02, 1.0),
}
"""What one such word can mean at most, in 0..1 of the picture's pixels: large ships are small beside the sea."""
_LESS = word_set("very extremely really quite relatively rather fairly so too the")


@dataclass(frozen=True, slots=True)
class FoundSize:
    """A size as it stands in a sentence: words from ``start`` to ``end`` (not included), and its bounds."""

    start: int
    end: int
    low: float
    high: float
    pixels: bool = False


def sizes_in(words: Sequence[Word]) -> Iterator[FoundSize]:
    """Yield the sizes that the words of one sentence state, in order, denied or not."""
    chosen = at(words, 0) == "chose"  # "small" is there said of what was chosen from
    for index, word in enumerate(words):
        found = _taken(words, index) if word.text in _TAKES else None
        if found is None and word.text in VAGUE and not chosen:
            found = _vague(words, index)
        if found is not None:
            yield found


def _taken(words: Sequence[Word], index: int) -> FoundSize | None:
    """Read "covers about a third of the picture" and "covers 300 square pixels"."""
    place = index + 1
    while at(words, place) in _ABOUT:
        place += 1
    text, after = at(words, place), at(words, place + 1)
    number = _number(text)
    if number is not None and after in ("square", "pixels", "px"):
        end = place + (3 if after == "square" else 2)
        return FoundSize(index, end, number, number, pixels=True)
    end = place + 1
    share: tuple[float, float] | None = SHARES.get(text)
    if share is None:
        said = FRACTIONS.get(f"{text} {after}") or FRACTIONS.get(text)
        if said is not None:
            end += f"{text} {after}" in FRACTIONS
        elif number is not None and (text.endswith("%") or after in ("percent", "%")):
            said, end = number / 100, end + (after in ("percent", "%"))
        share = None if said is None or said > 1 else (said / _FACTOR, min(1.0, said * _FACTOR))
    if share is None or not _of_picture(words, end):
        return None
    return FoundSize(index, end, *share)


def _of_picture(words: Sequence[Word], index: int) -> bool:
    """Say whether "of the picture" follows, rather than of a part of it or of a thing."""
    for text in (word.text for word in words[index : index + 6]):
        if text in PICTURES:
            return True
        if text in STOPS or text in BE or sides_in(text):
            return False
    return False


def _vague(words: Sequence[Word], index: int) -> FoundSize | None:
    """Read "a small lesion" and "it is large"; "small for ...", "as large as" and "large part" compare or measure."""
    before, after = at(words, index - 1), at(words, index + 1)
    if after in ("for", "as", "than", "part", "portion", "area", "amount", "number", "enough", "bowel", "intestine"):
        return None
    place = index - 1
    while at(words, place) in _LESS:
        place -= 1
    led = at(words, place)
    if before in ("as", "how", "too") or not (led in BE or led in ("a", "an", "one", "", "single", "appears", "and")):
        return None
    superlative(at(words, index))  # every such word is one of the grammar's
    return FoundSize(index, index + 1, *VAGUE[at(words, index)])


def _number(text: str) -> float | None:
    plain = text.removesuffix("%").replace(",", "")
    return float(plain) if plain.replace(".", "", 1).isascii() and plain.replace(".", "", 1).isdigit() else None
