"""The words of a run: which names are learned, and the vectors of the phrases that say them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Phrases in, unit vectors (n, D) out."""

_PLAIN = 0.3
"""How often the name itself is asked for, rather than any of its phrases."""


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Names with their phrases.

    Args:
        names: what can be asked for, singular.
        domains: the kind of picture that each belongs to.
        vectors: for each name (k, D) float32 unit vectors of its phrases, that of the name itself first.

    Raises:
        InputError: no names, a name that is there twice, or parts that do not fit.
    """

    names: tuple[str, ...]
    domains: tuple[str, ...]
    vectors: tuple[NDArray[np.float32], ...]

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise InputError(f"a lexicon needs names, each once, got {', '.join(self.names) or 'none'}")
        if not len(self.names) == len(self.domains) == len(self.vectors):
            raise InputError("a lexicon needs one domain and one array of vectors per name")
        if len({vectors.shape[1:] for vectors in self.vectors}) > 1 or not all(map(len, self.vectors)):
            raise InputError("every name needs at least one phrase, and all phrase vectors one length")

    @classmethod
    def of(cls, phrases: Mapping[str, Sequence[str]], domains: Mapping[str, str], embed: Embed) -> Lexicon:
        """Embed phrases.

        Args:
            phrases: for each name its phrases, the name first.
            domains: for each name its domain.
            embed: what gives phrases their vectors.
        """
        vectors = tuple(np.asarray(embed(list(said)), np.float32) for said in phrases.values())
        return cls(tuple(phrases), tuple(domains[name] for name in phrases), vectors)

    @classmethod
    def shipped(cls) -> Lexicon:
        """Read the vocabulary and the word table of the package."""
        from fiducial.prompters.grounder.vocabulary import Vocabulary
        from fiducial.prompters.grounder.words import phrase_vectors

        vocabulary = Vocabulary.read()
        entries = {name: vocabulary.entry(name) for name in vocabulary.names}
        return cls.of(
            {name: entry.phrases for name, entry in entries.items()},
            {name: entry.domain for name, entry in entries.items()},
            phrase_vectors,
        )

    @property
    def size(self) -> int:
        """Dimensions of a phrase vector."""
        return int(self.vectors[0].shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 of names and vectors, in hex: a run is only gone on with when its words are the same."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for vectors in self.vectors:
            digest.update(np.ascontiguousarray(vectors, np.float32).tobytes())
        return digest.hexdigest()

    def only(self, names: Sequence[str]) -> Lexicon:
        """Keep some of the names, in the order of the lexicon."""
        kept = [place for place, name in enumerate(self.names) if name in set(names)]
        parts = (self.names, self.domains, self.vectors)
        return Lexicon(*(tuple(part[place] for place in kept) for part in parts))  # type: ignore[arg-type]

    def mean_vectors(self) -> NDArray[np.float32]:
        """Return (N, D) the mean direction of each name's phrases, which is what is asked for at run time."""
        means = np.stack([vectors.mean(axis=0) for vectors in self.vectors])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-9), np.float32)

    def drawn_vectors(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Return (N, D) the vector of one phrase per name: the name itself now and then, else any of its phrases."""
        plain = random.random(len(self.names)) < _PLAIN
        places = [0 if own else int(random.integers(len(one))) for own, one in zip(plain, self.vectors, strict=True)]
        return np.stack([vectors[place] for vectors, place in zip(self.vectors, places, strict=True)])
