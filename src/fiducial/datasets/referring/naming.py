"""Class, count and several: phrases that name things by what they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from fiducial.datasets.referring.proposals import NUMBERS, Proposal, one_of
from fiducial.datasets.referring.view import Thing, View
from fiducial.datasets.referring.vocabulary import many

MOST_COUNTED = 6
"""More than this many things are not counted aloud."""


def by_class(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the bridge" and "all ships"."""
    for name, group in view.groups.items():
        yield Proposal.of(all_of(name, group, rng), "class", group)


def by_count(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "both bridges" and "the three ships"."""
    for name, group in view.groups.items():
        number = len(group)
        if number == 2:
            wordings = (f"both {many(name)}", f"the two {many(name)}")
        elif 3 <= number <= MOST_COUNTED:
            wordings = (f"all {NUMBERS[number]} {many(name)}", f"the {NUMBERS[number]} {many(name)}")
        else:
            continue
        yield Proposal.of(one_of(rng, wordings), "count", group)


def several(view: View, rng: np.random.Generator) -> Iterator[Proposal]:
    """Propose "the bridge and all ships"."""
    for (one, first), (other, second) in combinations(view.groups.items(), 2):
        words = f"{all_of(one, first, rng)} and {all_of(other, second, rng)}"
        yield Proposal.of(words, "several", (*first, *second))


def all_of(name: str, group: tuple[Thing, ...], rng: np.random.Generator) -> str:
    """Return words for all things of one name."""
    if len(group) == 1:
        return f"the {name}"
    return one_of(rng, (f"all {many(name)}", f"every {name}", f"all the {many(name)}", f"the {many(name)}"))
