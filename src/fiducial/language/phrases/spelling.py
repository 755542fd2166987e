"""Spelling: words that are nearly words of the grammar are not understood rather than taken for names of things.

What describes a thing ("gren", "lagre") is looked for only where a noun follows or "is" stands before.
"""

from __future__ import annotations

from functools import lru_cache

from lark import Token

from fiducial.language.phrases.nouns import word_set
from fiducial.language.phrases.words import NAMING, as_kind, kind_at

_WORDS = word_set(
    "leftmost rightmost topmost bottommost uppermost lowermost left right bottom upper lower middle center centre "
    "central corner second third fourth fifth sixth seventh eighth ninth tenth largest biggest smallest longest "
    "shortest tallest widest narrowest closest nearest furthest farthest between above below beneath underneath "
    "beside under inside within except excluding without other than neither only every furthest larger smaller"
)
_DESCRIBING = word_set(
    "black white grey gray red orange yellow green blue purple pink brown large huge giant small little tiny long tall "
    "wide narrow round circular bright dark short turquoise silver golden violet magenta crimson isolated"
)
_NO_SLIPS = word_set(
    "light night fight sight tight might eight bright wright rights lights tower power mower flower blower lover rower "
    "sower cower glower bower supper udder sunder abode bellow reside besides bedside riddle fiddle muddle meddle "
    "enter renter excerpt closet dearest wildest very mother otter others bother brother either another seconds "
    "thirds forth filth fifths corners centres centers bottoms rightly middles lowers uppers thirst onside insides "
    "corned coroner wither smaller nether weather neighter lefts cleft lift loft lest deft weft heft felt theft sixty "
    "ninety inner outer order over ever wonder thunder tender renders back block slack lack blank flack while write "
    "whine range grange fellow bellow mellow greed greek greet greens blown brow crown drown frown grown barge lager "
    "marge giants mall shall smell stall arrow barrow marrow harrow around bound found ground hound mound pound sound "
    "wound fright wright shirt shoot shore shot shout snort sort sport holden silvery whites blacks browns shorts"
)
"""Words of their own that are one letter away from a word of the grammar."""
_LEAST = 5
"""Shorter words of the grammar are only looked for with two letters in each other's place."""


def misspelt(tokens: list[Token]) -> list[Token]:
    """Mark "lefmost" and "secnd" as not understood: they are no names of things."""
    return [
        as_kind(t, "PLAIN") if t.type == "WORD" and _is_slip(tokens, index) else t for index, t in enumerate(tokens)
    ]


def _is_slip(tokens: list[Token], index: int) -> bool:
    known = meant(str(tokens[index]))
    describes = kind_at(tokens, index + 1) in NAMING or kind_at(tokens, index - 1) in ("COPULA", "EXCEPT")
    return known is not None and (describes or known not in _DESCRIBING)


@lru_cache(maxsize=4096)
def meant(word: str) -> str | None:
    """Return the word of the grammar that a word is a slip of: one letter is more, less or other, or two swapped.

    Example:
        >>> meant("lefmost"), meant("secnd"), meant("rigth"), meant("yelow"), meant("tower"), meant("ship")
        ('leftmost', 'second', 'right', 'yellow', None, None)
    """
    known_words = sorted(_WORDS | _DESCRIBING)
    if word in _NO_SLIPS or word in known_words or len(word) < 3:
        return None
    near = [known for known in known_words if _changed_places(word, known)]
    near += [known for known in known_words if len(known) >= _LEAST and _one_letter(word, known)]
    return min(near, key=lambda known: known[0] != word[0], default=None)


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
