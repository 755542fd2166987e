"""Counts in an answer's text: how many things it says there are, or were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiducial.language.phrases.lexicon import NUMBERS, superlative
from fiducial.language.phrases.nouns import is_plural, word_set
from fiducial.language.statements.negation import EXCEPTIONS
from fiducial.language.statements.words import BE, LOCATING, PART_NOUNS, PICTURES, STOPS, Word, at, sides_in

_TOTALS = word_set(
    "of among from than number slice frame step image picture level grade type figure stage in x at by to"
)
"""After these a number is that of something else: "of 4 ships", "slice 3"."""
_UNITS = word_set(
    "percent pixels pixel px mm cm millimetres centimetres millimeters centimeters square degrees points times colours "
    "o'clock oclock "
    "colors candidates halves thirds quarters dimensions seconds parts sides sections minutes years"
)
_SIDES = word_set("sides halves ends edges corners the a an of in on at")
_LEAST = {("at", "least"): (0, None), ("more", "than"): (1, None), ("over", ""): (1, None)}
_MOST = {("at", "most"): 0, ("up", "to"): 0, ("fewer", "than"): 1, ("less", "than"): 1}
_ABOUT = word_set("about around approximately roughly some nearly almost")
_SEVERAL = word_set("several multiple many various numerous")
_PARTS = word_set("one another")
_BEHIND = word_set("other others second third fourth fifth last")
_SEEN = word_set("visible present seen found detected there identified shown evident find see detect identify")
_MORE = word_set("second third another other others further additional more")
_SIGNS = word_set("effect shift evidence sign signs")
"""Signs that something is not there with, rather than the thing itself: "no mass effect"."""
_SELECTS = word_set("segmented marked picked selected chosen chose outlined asked meant wanted answer only")
"""After a count and a mark these say that not all of what was counted is meant."""
_ROUGH = 0.3
"""By this share "about 10" may be off."""


@dataclass(frozen=True, slots=True)
class FoundCount:
    """A count as it stands in a sentence: words from ``start`` to ``end`` (not included), least and most."""

    start: int
    end: int
    low: int
    high: int | None


def counts_in(words: Sequence[Word], denied: Sequence[bool]) -> Iterator[FoundCount]:
    """Yield at most one count of a sentence: that of everything it tells of.

    Several counted phrases add up; as two of them may be about the same things, the largest of them is the least.
    """
    if at(words, 0) == "chose":
        found, parts = _chosen(words), list[FoundCount]()
    else:
        found, parts = _counted(words, denied), _parts(words, denied)
        single = all(one.low == one.high == 1 for one in found)
        if len(parts) > 1 and (not found or single):
            found = []
        elif parts and not single and not any(one.start <= part.start < one.end for one in found for part in parts):
            found = sorted([*found, *(part for part in parts if _names(words, part.end))], key=lambda one: one.start)
            parts = []
    if found:
        highs = [one.high for one in found]
        high = None if None in highs else sum(high for high in highs if high is not None)
        yield FoundCount(found[0].start, found[-1].end, max(one.low for one in found), high)
    elif len(parts) > 1:
        total = sum(one.low for one in parts)
        yield FoundCount(parts[0].start, parts[-1].end, total, total)


def compares(words: Sequence[Word]) -> bool:
    """Say whether a sentence picks by a superlative: counts around it are of what it picks from."""
    return at(words, 0) != "chose" and any(_is_superlative(word.text) for word in words)


def selected_from(sentences: Sequence[Sequence[Word]]) -> int:
    """Return up to where a text counts what it selects from: "There are two: I marked the left one"; 0: nowhere."""
    if not sentences or at(sentences[0], 0) == "chose":  # the resolver counts what it chose
        return 0
    stopped = False
    for words in sentences:
        for word in words:
            stopped = stopped or word.text in STOPS
            if stopped and word.text in _SELECTS:
                return word.start
        stopped = True
    return 0


def nothing_in(words: Sequence[Word]) -> FoundCount | None:
    """Read "there is no tumour", "nothing was found", "chose nothing", "no lesion is visible"."""
    if any(word.text in EXCEPTIONS for word in words):
        return None
    for index, word in enumerate(words):
        text, after = word.text, at(words, index + 1)
        if text in ("nothing", "none") or (text == "no" and _zero_noun(words, index)):
            return FoundCount(index, min(len(words), index + (2 if text == "no" else 1)), 0, 0)
        denies = text in ("not", "cannot") or text.endswith("n't")
        if denies and _MORE & {word.text for word in words[index : index + 6]}:
            continue  # "could not find a second lesion"
        if text == "absent" or (text == "free" and after == "of") or (denies and {after, at(words, index + 2)} & _SEEN):
            return FoundCount(index, index + 1, 0, 0)
    return None


def _zero_noun(words: Sequence[Word], index: int) -> bool:
    after = at(words, index + 1)
    if at(words, index + 2) in _SIGNS:
        return False
    return bool(after) and after not in STOPS and after not in ("doubt", "longer", "other", "further", "more", "one")


def _number(words: Sequence[Word], index: int) -> int | None:
    """Return the number that one word names, from one on; tens with units are two words, read by the first's caller."""
    text = at(words, index)
    if text.isascii() and text.isdigit() and len(text) < 5:
        return int(text)
    value = NUMBERS.get(text)
    if value is not None and text not in ("no", "zero", "couple", "dozen"):
        return NUMBERS.get(f"{text} {at(words, index + 1)}", value)
    return None


def _chosen(words: Sequence[Word]) -> list[FoundCount]:
    """Read how the resolver says what it chose: one count for each phrase that its "and" joins."""
    found: list[FoundCount] = []
    taken = False  # whether the phrase at hand has its count already
    for index in range(1, len(words)):
        text, before = words[index].text, at(words, index - 1)
        if text == "leaving" or text in (";", "("):
            break
        if text == "nothing":
            return [FoundCount(index, index + 1, 0, 0)]
        taken = taken and text != "and"
        if taken or before not in ("chose", "and"):
            continue
        one = _phrase(words, index)
        if one is not None:
            found.append(one)
            taken = True
    return found


def _phrase(words: Sequence[Word], index: int) -> FoundCount | None:
    text, number = at(words, index), _number(words, index)
    if text == "both":
        return FoundCount(index, index + 1, 2, 2)
    if text in ("all", "the") and (value := _number(words, index + 1)) is not None:
        return FoundCount(index, index + 2, value, value)
    if text == "the" and at(words, index + 1) == "only":
        return FoundCount(index, index + 2, 1, 1)
    if number is not None:
        return FoundCount(index, index + 1, number, number)
    if text == "the":
        for end in range(index + 2, min(index + 24, len(words))):
            if at(words, end) == "of" and (
                _number(words, end + 1) is not None or at(words, end + 1) in ("the", "all", "both")
            ):
                return FoundCount(index, index + 2, 1, 1)
    return None


def _counted(words: Sequence[Word], denied: Sequence[bool]) -> list[FoundCount]:
    """Return the counted noun phrases of a sentence: "three small tumours", "both ships", "the only lesion"."""
    found: list[FoundCount] = []
    index = 0
    while index < len(words):
        one = None if denied[index] else _one_counted(words, index)
        if one is not None:
            found.append(one)
        index = one.end if one is not None else index + 1
    return found


def _one_counted(words: Sequence[Word], index: int) -> FoundCount | None:
    text, before, after = at(words, index), at(words, index - 1), at(words, index + 1)
    if text == "both" and after not in _SIDES and not sides_in(after):
        return FoundCount(index, index + 1, 2, 2)
    if text in ("pair", "couple") and after == "of" and before == "a":
        return FoundCount(index, index + 2, 2, 2)
    if text in _SEVERAL and _names(words, index + 1, plural=True):
        return FoundCount(index, index + 1, 2, None)
    single = (text == "only" and before == "the") or (text == "single" and before in ("a", "one"))
    if single and _names(words, index + 1, plural=False):
        return FoundCount(index - 1, index + 1, 1, 1)
    number = _number(words, index)
    if number is None or _is_total(words, index):
        return None
    end = index + (2 if NUMBERS.get(f"{text} {after}") == number else 1)
    if number == 1 and not _names(words, end, plural=False):
        return None
    if number != 1 and (not number or not _names(words, end, plural=True)):
        return None
    return _bounded(words, index, end, number)


def _is_total(words: Sequence[Word], index: int) -> bool:
    """Say whether a number is that of something else: "of the two cars", "slice 3"."""
    before = index - 1
    while index - before < 4 and at(words, before) in ("the", "these", "all"):
        before -= 1
    bound = at(words, before - 1) in ("at", "up", "more", "fewer", "less")
    return at(words, before) in _TOTALS and not bound


def _bounded(words: Sequence[Word], index: int, end: int, number: int) -> FoundCount:
    pair = (at(words, index - 2), at(words, index - 1))
    for said, (more, high) in _LEAST.items():
        if said == pair or (said[1] == "" and said[0] == pair[1]):
            return FoundCount(index, end, number + more, high)
    if pair in _MOST:
        return FoundCount(index, end, 0, number - _MOST[pair])
    if pair[1] in _ABOUT:
        return FoundCount(index, end, round(number * (1 - _ROUGH)), round(number * (1 + _ROUGH)))
    return FoundCount(index, end, number, number)


def _parts(words: Sequence[Word], denied: Sequence[bool]) -> list[FoundCount]:
    """Return the parts that a sentence tells apart: "one in the upper left, another near it and the third below"."""
    found = []
    for index, word in enumerate(words):
        text, before, after = word.text, at(words, index - 1), at(words, index + 1)
        if denied[index] or after == "of" or before in ("each", "no", "any", "another"):
            continue
        many = _number(words, index) if text not in STOPS and not text.isdigit() else None
        spoken = many if many is not None and many < 20 else 1 if text in _PARTS else 0
        behind = text in _BEHIND and before in ("the", "a") and text != "others"
        if not (spoken or behind) or _is_total(words, index):
            continue
        if _leads(after) or (spoken < 2 and _names(words, index + 1)):
            found.append(FoundCount(index, index + 1, spoken or 1, spoken or 1))
    return found


def _leads(text: str) -> bool:
    return text in BE or text in LOCATING or text in ("in", "on", "at", "near", "close", "to")


def _names(words: Sequence[Word], index: int, plural: bool | None = None) -> bool:
    """Say whether a noun, after at most three words that describe it, stands here, of a number if one is asked for."""
    for place in range(index, index + 4):
        text = at(words, place)
        if not text or text in STOPS or text in BE or text in _UNITS or text in PICTURES or not text[0].isalpha():
            return False
        if _leads(text) or text in ("of", "and", "or") or text in PART_NOUNS:
            return False
        after = at(words, place + 1)
        if plural and is_plural(text):
            return True
        ends = (
            not after
            or after in STOPS
            or after in BE
            or _leads(after)
            or after in ("that", "which", "and", "with", "was")
        )
        if ends:
            return not plural and (plural is None or not is_plural(text))
    return False


def _is_superlative(text: str) -> bool:
    if not text.endswith(("est", "most")) or text in ("most", "almost"):
        return text in ("closest", "nearest")
    try:
        superlative(text)
    except KeyError:
        return text in ("closest", "nearest", "furthest", "farthest")
    return True
