"""Words: vectors of nouns and short phrases from a small table, for judging how alike two of them are.

The table holds a vector for each word piece of BERT's lower-case vocabulary; a few small matrices make a phrase's
vector of them, fitted to the embeddings of a MiniLM (see the card of ``nano-words``). Only NumPy runs here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.language.phrases.nouns import head_index, words_of

DIMENSIONS = 64
EMBEDDED = "nano-words"
"""The table that comes with the package."""
MAX_WORDS = 8
"""Words of a phrase that are used: the last ones, since the head stands at the end."""
_LONGEST_WORD = 40


@dataclass(frozen=True, eq=False)
class WordTable:
    """Turns phrases into vectors."""

    pieces: NDArray[np.bytes_]  # (P,), sorted; those inside a word begin with ``##``
    codes: NDArray[np.int8]  # (P, 64): a piece's vector in steps of its scale
    scales: NDArray[np.float16]  # (P,)
    weights: NDArray[np.float16]  # (P,): how much a piece counts beside the others, before the softmax
    head: NDArray[np.float32]  # (1,): what the pieces of the head, the last word, count more
    inner: NDArray[np.float32]  # (192, H): from head, modifiers and their product to the hidden layer
    inner_shift: NDArray[np.float32]  # (H,)
    outer: NDArray[np.float32]  # (H, 64): from the hidden layer to the correction of the weighted mean

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> WordTable:
        """Make a table of the arrays in its file, where pieces are rows of letters (uint8, zero-padded)."""
        letters = np.ascontiguousarray(arrays["pieces"])
        pieces = letters.view(f"S{letters.shape[1]}")[:, 0]
        return cls(pieces=pieces, **{name: arrays[name] for name in ARRAYS})

    def knows(self, word: str) -> bool:
        """Say whether a word in lower case is one piece: a frequent word, hardly a typing error."""
        piece = word.encode("ascii", "ignore")
        at = int(np.searchsorted(self.pieces, piece)) if piece else len(self.pieces)
        return at < len(self.pieces) and bool(self.pieces[at] == piece)

    def cut(self, word: str) -> list[int]:
        """Cut a word of a-z and 0-9 into pieces, the longest first: rows of the table, none where that fails."""
        rows, start, letters = [], 0, word[:_LONGEST_WORD].encode("ascii", "ignore")
        width = self.pieces.dtype.itemsize
        while start < len(letters):
            mark = b"##" if start else b""
            longest = min(len(letters) - start, width - len(mark))
            tried = np.array(
                [mark + letters[start : start + size] for size in range(1, longest + 1)], self.pieces.dtype
            )
            at = np.minimum(np.searchsorted(self.pieces, tried), len(self.pieces) - 1)
            found = np.flatnonzero(self.pieces[at] == tried)
            if not found.size:
                return []
            rows.append(int(at[found[-1]]))
            start += int(found[-1]) + 1
        return rows

    def vectors(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (n, 64) float32 of any phrases; zeros for one without a letter or digit."""
        sums = np.zeros((len(phrases), 3, DIMENSIONS), dtype=np.float32)
        for number, phrase in enumerate(phrases):
            rows, is_head = self.cut_phrase(phrase)
            if rows:
                sums[number] = self._pooled(np.array(rows), np.array(is_head))
        mean, head, modifiers = sums[:, 0], sums[:, 1], sums[:, 2]
        hidden = np.concatenate([head, modifiers, head * modifiers], axis=1) @ self.inner + self.inner_shift
        out = mean + np.maximum(hidden, 0) @ self.outer
        out[~sums.any(axis=(1, 2))] = 0
        length = np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out / np.where(length == 0, 1, length), dtype=np.float32)

    def cut_phrase(self, phrase: str) -> tuple[list[int], list[bool]]:
        """Return the rows of a phrase's pieces, and which of them belong to its head."""
        words = plain_words(phrase)
        head = head_index(words) if words else 0
        rows: list[int] = []
        is_head: list[bool] = []
        for index, word in enumerate(words):
            found = self.cut(word)
            rows += found
            is_head += [index == head] * len(found)
        return rows, is_head

    def _pooled(self, rows: NDArray[np.int64], is_head: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the weighted mean of all pieces, the mean of the head's and that of the others', shape (3, 64)."""
        vectors = self.codes[rows].astype(np.float32) * self.scales[rows].astype(np.float32)[:, None]
        weights = np.exp(self.weights[rows].astype(np.float32) + self.head * is_head)
        head, others = vectors[is_head], vectors[~is_head]
        parts = [weights @ vectors / weights.sum(), head.sum(axis=0) / max(1, len(head))]
        return np.stack([*parts, others.sum(axis=0) / max(1, len(others))]).astype(np.float32)


ARRAYS = ("codes", "scales", "weights", "head", "inner", "inner_shift", "outer")
"""What the table's file holds beside the pieces."""


def plain_words(phrase: str) -> tuple[str, ...]:
    """Return the words of a phrase in lower case, without accents, the last eight of them.

    Example:
        >>> plain_words("Café-Terrace")
        ('cafe', 'terrace')
    """
    folded = unicodedata.normalize("NFKD", phrase)
    return words_of("".join(letter for letter in folded if not unicodedata.combining(letter)))[-MAX_WORDS:]


@lru_cache(maxsize=1)
def word_table() -> WordTable:
    """Return the table that comes with the package; it is read when first needed."""
    from safetensors import safe_open

    place = files("fiducial.models").joinpath(f"{EMBEDDED}.safetensors")
    with as_file(place) as path, safe_open(path, framework="np") as file:
        return WordTable.of({name: file.get_tensor(name) for name in ("pieces", *ARRAYS)})


def phrase_vectors(phrases: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of phrases from the package's table; the dot product of two is how alike they are, -1..1."""
    return word_table().vectors(phrases)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Listed phrases, as unit vectors (n, 64), and the name each stands for; one of two names is there twice."""

    vectors: NDArray[np.float32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Neighbours:
        """Make them of pairs of phrase and name."""
        return cls(phrase_vectors([phrase for phrase, _ in pairs]), tuple(name for _, name in pairs))

    def near(self, noun: str) -> tuple[tuple[str, float], ...]:
        """Return all names with their similarity to a noun, in -1..1, the likest first.

        A name is as like a noun as the likest of its phrases.
        """
        similarity = self.vectors @ phrase_vectors([noun])[0]
        best: dict[str, float] = {}
        for index in np.argsort(-similarity, kind="stable").tolist():
            best.setdefault(self.names[index], float(similarity[index]))
        return tuple(best.items())


def is_one_typo(one: str, other: str) -> bool:
    """Say whether two words differ by one letter that is missing, added, wrong or swapped with its neighbour.

    Example:
        >>> is_one_typo("brigde", "bridge"), is_one_typo("brige", "bridge"), is_one_typo("bride", "ridge")
        (True, True, False)
    """
    shorter, longer = sorted((one, other), key=len)
    if one == other or len(longer) - len(shorter) > 1:
        return False
    start = next((k for k, letter in enumerate(shorter) if longer[k] != letter), len(shorter))
    if len(shorter) < len(longer):
        return shorter[start:] == longer[start + 1 :]
    if one[start + 1 :] == other[start + 1 :]:
        return True
    return one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
