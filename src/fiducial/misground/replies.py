"""Reading a reply: which option it chooses, by fixed rules, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fiducial.language.dialects.replies import Notes, split_reply
from fiducial.misground.items import letter

_ALONE = re.compile(r"[\s\"'*_`(\[]*(?:option|answer)?\s*[(\[*]*([A-Z])[\s\"'*_`)\].,:;!]*", re.IGNORECASE)
_STATED = re.compile(
    r"\b(?:answer|option|choice|choose|select)(?:\s+is|\s*:|\s+would\s+be)?\s*(?:option\s*)?[\"'*_`(\[]*([A-Z])(?![\w'])"
)
_LISTED = re.compile(r"^[\s\"'*_`(\[]*([A-Z])[)\].:*]+(?=\s|$)", re.MULTILINE)
_LETTER = re.compile(r"(?<![\w'])([A-Z])[)\].:*]+(?=\s|$)")
_MARKS = re.compile(r"[^\w\s]+")


def choice(reply: str, options: Sequence[str]) -> int | None:
    """Return the place of the option that a reply chooses, from 0; None where it chooses none, or several.

    The first rule that finds something decides, what stands between thinking tags left out:

    1. the whole reply is a letter, or an option's text;
    2. it states one: "the answer is B", the last such statement;
    3. a line begins with one letter as options are listed, "B.", and no other letter is written so;
    4. exactly one option's text stands in it, not within the text of another that does.

    Example:
        >>> options = ("the liver", "the spleen", "cannot be told from this slice")
        >>> choice("B", options), choice("The answer is (A).", options), choice("It is the spleen.", options)
        (1, 0, 1)
        >>> choice("A liver or a spleen", options) is None, choice("the liver and the spleen", options) is None
        (True, True)
    """
    said = split_reply(reply, Notes()).answer.strip()
    letters = [letter(place) for place in range(len(options))]
    for found in (_alone(said, letters, options), _stated(said, letters), _listed(said, letters)):
        if found is not None:
            return found
    return _named(said, options)


def _alone(said: str, letters: Sequence[str], options: Sequence[str]) -> int | None:
    if (match := _ALONE.fullmatch(said)) and match[1].upper() in letters:
        return letters.index(match[1].upper())
    plain = [_plain(option) for option in options]
    return plain.index(_plain(said)) if _plain(said) in plain else None


def _stated(said: str, letters: Sequence[str]) -> int | None:
    # "the answer is B" in any case, but the letter itself is a capital: "the answer is a liver" chooses nothing.
    lowered = re.sub(r"\b(answer|option|choice|choose|select|is|would|be)\b", lambda m: m[0].lower(), said, flags=re.I)
    found = [match[1] for match in _STATED.finditer(lowered) if match[1] in letters]
    return letters.index(found[-1]) if found else None


def _listed(said: str, letters: Sequence[str]) -> int | None:
    found = {match[1] for match in _LISTED.finditer(said) if match[1] in letters}
    others = {match[1] for match in _LETTER.finditer(said) if match[1] in letters}
    return letters.index(found.pop()) if len(found) == len(others) == 1 else None


def _named(said: str, options: Sequence[str]) -> int | None:
    text = f" {_plain(said)} "
    named = []
    for place in sorted(range(len(options)), key=lambda one: len(options[one]), reverse=True):
        words = f" {_plain(options[place])} "
        if words in text:
            named.append(place)
            text = text.replace(words, " | ")
    return named[0] if len(named) == 1 else None


def _plain(text: str) -> str:
    """Return lower-case words without marks between them, and without a leading article."""
    words = " ".join(_MARKS.sub(" ", text.lower()).split())
    return words.removeprefix("the ")
