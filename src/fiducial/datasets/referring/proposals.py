"""Proposals: a sentence and what it names, before it is known whether it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fiducial.datasets.referring.view import Thing, View

NUMBERS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One sentence, without what stands around it.

    Args:
        words: a noun phrase, such as ``"the two largest ships"``.
        family: what kind of phrase it is; see :data:`FAMILIES`.
        chosen: numbers of the instances that it names, sorted; ``()`` when it names none.
        coloured: whether colours matter for it.
    """

    words: str
    family: str
    chosen: tuple[int, ...]
    coloured: bool = False

    @classmethod
    def of(cls, words: str, family: str, things: Iterable[Thing], *, coloured: bool = False) -> Proposal:
        """Make a proposal that names these things."""
        return cls(words, family, tuple(sorted(thing.index for thing in things)), coloured)


Proposer = Callable[[View, np.random.Generator], Iterator[Proposal]]
"""Proposes what a family can say of a view; the generator only chooses between equal wordings."""


def one_of(rng: np.random.Generator, wordings: Iterable[str]) -> str:
    """Choose between wordings that mean the same."""
    given = tuple(wordings)
    return given[int(rng.integers(len(given)))]
