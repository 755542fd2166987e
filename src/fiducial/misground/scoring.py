"""Scoring: accuracy overall and by factor, paired tests between the levels of a factor, and runs against each other."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from fiducial.errors import InputError
from fiducial.metrics import Difference, mean_difference, mean_interval
from fiducial.misground.asking import AskedRun, Reply
from fiducial.misground.items import FACTORS, Item, letter

VARIED = ("plane", "view", "input", "prompt", "background", "terms")
"""Factors that otherwise identical items may differ in."""
_VOLUME = "volume"
_LEVELS = {
    "view": ("radiological", "storage"),
    "input": ("slice", "stack"),
    "prompt": ("none", "label", "box", "point", "mask"),
    "background": ("image", "blank"),
    "terms": ("anatomical", "directional", "colloquial"),
    "plane": ("axial", "coronal", "sagittal"),
}
"""The order of levels."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An item and what came of it."""

    item: Item
    reply: Reply

    @property
    def right(self) -> bool:
        """Whether the right option was chosen; what could not be read is wrong."""
        return self.reply.choice == self.item.letter

    @property
    def is_flip(self) -> bool:
        """Whether the option was chosen that taking a direction for its opposite leads to."""
        return self.item.flipped is not None and self.reply.choice == letter(self.item.flipped)


@dataclass(frozen=True, slots=True)
class Share:
    """Accuracy over some items.

    Args:
        n: items.
        accuracy: share of right choices, 0..1.
        low: lower end of the 95 % bootstrap interval, whole situations drawn.
        high: its upper end.
        chance: what choosing by lot would reach.
        unread: share of replies of which no choice could be read, failures among them.
        flips: share of wrong choices that are the opposite, of the items that have one; None where none is wrong.
    """

    n: int
    accuracy: float
    low: float
    high: float
    chance: float
    unread: float
    flips: float | None


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two levels of a factor on otherwise identical items.

    Args:
        factor: which.
        first: one level.
        second: the other.
        pairs: how many pairs of items there are.
        accuracies: of the items with the first level, and with the second.
        difference: first minus second, with a 95 % paired bootstrap interval, whole situations drawn.
        p: exact two-sided McNemar test on the pairs of which one is right and one is wrong.
        p_holm: that corrected for all tests of the table (Holm).
    """

    factor: str
    first: str
    second: str
    pairs: int
    accuracies: tuple[float, float]
    difference: Difference
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a run.

    Args:
        name: of the run.
        planned: items that belong to it.
        total: over all that have a reply.
        levels: by factor, then level.
        tests: between the levels of factors.
        failed: replies that a model or server did not give.
        cut: replies that came to the limit of tokens.
        seconds: mean time a reply.
        choices: how often each letter was chosen.
    """

    name: str
    planned: int
    total: Share
    levels: Mapping[str, Mapping[str, Share]]
    tests: tuple[PairedTest, ...]
    failed: int
    cut: int
    seconds: float
    choices: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def read_scored(run: AskedRun) -> list[Scored]:
    """Read a run's items that have a reply, in the benchmark's order.

    Raises:
        InputError: there is none, or an item is not what was asked.
    """
    replies, scored = run.replies(), []
    for item in run.items():
        if (reply := replies.get(item.id)) is not None:
            if reply.digest != item.digest:
                raise InputError(f"{run.folder}: {item.id} is not what was asked: was the benchmark built anew?")
            scored.append(Scored(item, reply))
    if not scored:
        raise InputError(f"{run.folder}: there is no reply to score")
    return scored


def summarise(run: AskedRun, scored: Sequence[Scored], *, seed: int = 0) -> Summary:
    """Count a run; ``seed`` is that of the bootstrap."""
    levels: dict[str, dict[str, Share]] = {}
    for factor in (*FACTORS, _VOLUME):
        grouped: dict[str, list[Scored]] = defaultdict(list)
        for one in scored:
            volume = one.item.provenance.get(_VOLUME)
            grouped[str(volume if factor == _VOLUME else getattr(one.item.factors, factor)) or "no single one"].append(
                one
            )
        order = _LEVELS.get(factor, tuple(sorted(grouped)))
        levels[factor] = {level: share(grouped[level], seed) for level in order if level in grouped}
    return Summary(
        name=run.name,
        planned=int(run.settings["benchmark"]["items"]),
        total=share(scored, seed),
        levels=levels,
        tests=paired_tests(scored, seed),
        failed=sum(bool(one.reply.failure) for one in scored),
        cut=sum(not one.reply.finished for one in scored),
        seconds=sum(one.reply.seconds for one in scored) / len(scored),
        choices=dict(sorted(Counter(one.reply.choice or "none" for one in scored).items())),
    )


def share(scored: Sequence[Scored], seed: int) -> Share:
    """Count some items."""
    right = [float(one.right) for one in scored]
    low, high = mean_interval(right, seed, groups=[one.item.situation for one in scored])
    wrong = [one for one in scored if not one.right and one.item.flipped is not None]
    n = len(scored)
    return Share(
        n=n,
        accuracy=sum(right) / n,
        low=low,
        high=high,
        chance=sum(1 / len(one.item.options) for one in scored) / n,
        unread=sum(not one.reply.choice for one in scored) / n,
        flips=sum(one.is_flip for one in wrong) / len(wrong) if wrong else None,
    )


# -- paired tests -------------------------------------------------------------------------------------


def paired_tests(scored: Sequence[Scored], seed: int = 0) -> tuple[PairedTest, ...]:
    """Compare every two levels of a factor on pairs of items that are alike in everything else."""
    found: list[tuple[str, str, str, list[tuple[Scored, Scored]]]] = []
    for factor in VARIED:
        for first, second in combinations(_LEVELS[factor], 2):
            pairs = _pairs(scored, factor, first, second)
            if pairs:
                found.append((factor, first, second, pairs))
    values = [mcnemar([(one.right, other.right) for one, other in pairs]) for *_, pairs in found]
    tests = []
    for (factor, first, second, pairs), p, corrected in zip(found, values, holm(values), strict=True):
        sides = [[float(pair[side].right) for pair in pairs] for side in (0, 1)]
        groups = [one.item.situation for one, _ in pairs]
        tests.append(
            PairedTest(
                factor=factor,
                first=first,
                second=second,
                pairs=len(pairs),
                accuracies=(sum(sides[0]) / len(pairs), sum(sides[1]) / len(pairs)),
                difference=mean_difference(sides[0], sides[1], seed, groups=groups),
                p=p,
                p_holm=corrected,
            )
        )
    return tuple(tests)


def _pairs(scored: Sequence[Scored], factor: str, first: str, second: str) -> list[tuple[Scored, Scored]]:
    by_rest: dict[tuple[str, ...], dict[str, Scored]] = defaultdict(dict)
    for one in scored:
        rest = [str(getattr(one.item.factors, name)) for name in FACTORS if name != factor]
        by_rest[(one.item.situation, *rest)][str(getattr(one.item.factors, factor))] = one
    return [(held[first], held[second]) for held in by_rest.values() if first in held and second in held]


def mcnemar(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return the p-value of McNemar's exact two-sided test: the binomial test on the pairs that disagree.

    Example:
        >>> mcnemar([(True, False)] * 5 + [(True, True)] * 9)
        0.0625
    """
    only_first = sum(one and not other for one, other in pairs)
    apart = sum(one != other for one, other in pairs)
    fewer = min(only_first, apart - only_first)
    return min(1.0, float(2 * sum(math.comb(apart, count) for count in range(fewer + 1)) / 2**apart))


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, by Holm's method.

    Example:
        >>> holm([0.25, 0.0625, 0.5])
        [0.5, 0.1875, 0.5]
    """
    corrected, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda one: values[one])):
        largest = max(largest, min(1.0, values[place] * (len(values) - rank)))
        corrected[place] = largest
    return corrected


# -- runs against each other --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunDifference:
    """A run against the first, on the items that both have: its name, that run minus the first, and McNemar's p."""

    name: str
    n: int
    accuracies: tuple[float, float]
    difference: Difference
    p: float


def compare(named: Sequence[tuple[str, Sequence[Scored]]], seed: int = 0) -> tuple[RunDifference, ...]:
    """Hold each further run against the first.

    Raises:
        InputError: two runs share no item, or the same id means other questions in them.
    """
    (_, reference), *others = named
    known = {one.item.id: one for one in reference}
    found = []
    for name, scored in others:
        pairs = [(one, known[one.item.id]) for one in scored if one.item.id in known]
        if not pairs or any(one.item.digest != other.item.digest for one, other in pairs):
            raise InputError(f"{name}: shares no question with {named[0][0]}, or was asked other ones under their ids")
        sides = [[float(pair[side].right) for pair in pairs] for side in (0, 1)]
        found.append(
            RunDifference(
                name=name,
                n=len(pairs),
                accuracies=(sum(sides[0]) / len(pairs), sum(sides[1]) / len(pairs)),
                difference=mean_difference(sides[0], sides[1], seed, groups=[one.item.situation for one, _ in pairs]),
                p=mcnemar([(one.right, other.right) for one, other in pairs]),
            )
        )
    return tuple(found)
