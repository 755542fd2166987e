"""Spelling: words that are nearly words of the grammar are not understood rather than taken for names of things."""

from __future__ import annotations

from functools import lru_cache

from lark import Token

from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.words import as_kind

_WORDS = word_set(
    "leftmost rightmost topmost bottommost uppermost lowermost left right bottom upper lower middle center centre "
    "central corner second third fourth fifth sixth seventh eighth ninth tenth largest biggest smallest longest "
    "shortest tallest widest narrowest closest nearest furthest farthest between above below beneath underneath "
    "beside under inside within except excluding without other than neither only every furthest larger smaller"
)
_NO_SLIPS = word_set(
    "light night fight sight tight might eight bright wright rights lights tower power mower flower blower lover rower "
    "sower cower glower bower supper udder sunder abode bellow reside besides bedside riddle fiddle muddle meddle "
    "enter renter excerpt closet dearest wildest very mother otter others bother brother either another seconds "
    "thirds forth filth fifths corners centres centers bottoms rightly middles lowers uppers thirst onside insides "
    "corned coroner wither smaller nether weather neighter lefts cleft lift loft lest deft weft heft felt theft sixty "
    "ninety inner outer order over ever wonder thunder tender renders"
)
"""Words of their own that are one letter away from a word of the grammar."""
_LEAST = 5
"""Shorter words of the grammar are only looked for with two letters in each other's place."""


def misspelt(tokens: list[Token]) -> list[Token]:
    """Mark "lefmost" and "secnd" as not understood: they are no names of things."""
    return [as_kind(t, "PLAIN") if t.type == "WORD" and meant(str(t)) else t for t in tokens]


@lru_cache(maxsize=4096)
def meant(word: str) -> str | None:
    """Return the word of the grammar that a word is a slip of: one letter is more, less or other, or two swapped.

    Example:
        >>> meant("lefmost"), meant("secnd"), meant("rigth"), meant("tower"), meant("ship")
        ('leftmost', 'second', 'right', None, None)
    """
    if word in _NO_SLIPS or word in _WORDS or len(word) < 4:
        return None
    near = [known for known in sorted(_WORDS) if _changed_places(word, known)]
    near += [known for known in sorted(_WORDS) if len(known) >= _LEAST and _one_letter(word, known)]
    return near[0] if near else None


def _changed_places(word: str, other: str) -> bool:
    if len(word) != len(other):
        return False
    start = next((k for k in range(len(word)) if word[k] != other[k]), len(word))
    return word != other and word[start : start + 2][::-1] + word[start + 2 :] == other[start:]


def _one_letter(word: str, other: str) -> bool:
    """Say whether one letter was added, lost or replaced."""
    short, long = sorted((word, other), key=len)
    if len(long) - len(short) > 1 or word == other:
        return False
    start = next((k for k in range(len(short)) if short[k] != long[k]), len(short))
    return short[start + (len(short) == len(long)) :] == long[start + 1 :]
