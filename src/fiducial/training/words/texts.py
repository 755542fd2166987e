"""Texts to learn from: single words, and phrases put together from them at random."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fiducial.errors import InputError

_PIECE = re.compile(r"(##)?[a-z0-9]+")
_WORD = re.compile(r"[a-z]{2,}")
LONGEST_PIECE = 18
"""Letters of the longest piece that is kept, with its ``##``: the width of a row in the table of pieces."""


def kept_pieces(vocabulary: Iterable[str]) -> list[str]:
    """Return the word pieces of the Latin alphabet without accents, sorted as bytes.

    Every word of a-z and 0-9 can be cut into them, for all single letters and digits are among them.
    """
    kept = {piece for piece in vocabulary if _PIECE.fullmatch(piece) and len(piece) <= LONGEST_PIECE}
    return sorted(kept)


def whole_words(vocabulary: Iterable[str]) -> list[str]:
    """Return the pieces that are words, in the order given (a BERT vocabulary has the frequent ones first)."""
    return [piece for piece in vocabulary if _WORD.fullmatch(piece)]


def read_words(path: str | Path, count: int) -> list[str]:
    """Read the first ``count`` words of a list, one a line; what is no plain word is left out.

    Raises:
        InputError: the list cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the list of words cannot be read ({error})") from None
    return [line for line in lines if _WORD.fullmatch(line)][:count]


def random_phrases(words: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Put phrases of two words (three quarters) and three words together at random.

    A word is drawn with a chance that falls with the square root of its rank, so that frequent words come often.
    """
    chance = 1 / np.sqrt(np.arange(1, len(words) + 1) + 50)
    chance /= chance.sum()
    lengths = np.where(rng.random(count) < 0.75, 2, 3)
    drawn = iter(rng.choice(len(words), size=int(lengths.sum()), p=chance).tolist())
    return [" ".join(words[next(drawn)] for _ in range(length)) for length in lengths.tolist()]
