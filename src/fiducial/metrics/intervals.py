"""Bootstrap intervals: how far a number could move had other samples been drawn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.metrics.policies import Policy
from fiducial.metrics.scoring import SampleScore
from fiducial.metrics.totals import Statistic, statistic

RESAMPLES = 2000
CONFIDENCE = 0.95
_DRAWN_AT_ONCE = 2_000_000  # indices held in memory at a time

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """How two runs differ in one statistic, over the samples that they share.

    Args:
        value: first minus second.
        low: lower end of the interval.
        high: upper end; an interval without 0 in it tells the runs apart.
        first_better: share of resamples in which the first is larger, ties counting half.
    """

    value: float
    low: float
    high: float
    first_better: float


def bootstrap(
    scores: Iterable[SampleScore],
    policy: Policy,
    name: str,
    seed: int,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the lower and upper end of a 95 % percentile bootstrap interval of a statistic.

    Samples are drawn with replacement, as many as there are. The result depends on the seed and on which scores there
    are, not on their order. Draws in which the statistic does not exist (none of the few samples without a target was
    drawn) are left out.

    Args:
        scores: the samples' scores; those that the policy does not count are skipped.
        policy: the policy by which they were counted.
        name: a key of the report, such as ``"mean_iou"``, ``"cum_iou"``, ``"p@0.5"``.
        seed: of the draws.
        groups: one label per score, such as its image; then whole groups are drawn, because sentences about one image
            succeed and fail together and single draws would give too narrow an interval.
        resamples: number of draws.
    """
    rows = _rows(_shares([list(scores)], statistic(policy, name)), groups)
    return _interval(_ratios(_draws(rows, seed, resamples))[:, 0], name)


def paired_bootstrap(
    first: Mapping[str, SampleScore],
    second: Mapping[str, SampleScore],
    policy: Policy,
    name: str,
    seed: int,
    *,
    groups: Mapping[str, Hashable] | None = None,
) -> Difference:
    """Compare two runs on the same samples: the same draw is made from both, so what is hard for both cancels out.

    Args:
        first: score per sample id.
        second: score per sample id; the same ids.
        policy: the policy by which both were counted.
        name: a key of the report.
        seed: of the draws.
        groups: label per sample id; see :func:`bootstrap`.
    """
    apart = sorted(set(first) ^ set(second))
    if apart:
        raise InputError(f"{len(apart)} samples are in one of the two runs only, such as {apart[0]!r}")
    ids = sorted(first)
    labels = None if groups is None else [groups[each] for each in ids]
    shares = _shares([[run[each] for each in ids] for run in (first, second)], statistic(policy, name))
    return _difference(_rows(shares, labels), seed, name)


def mean_interval(
    values: Sequence[float], seed: int, *, groups: Sequence[Hashable] | None = None
) -> tuple[float, float]:
    """Return the ends of a 95 % percentile bootstrap interval of a mean, such as the share of right answers.

    Args:
        values: one per sample.
        seed: of the draws.
        groups: one label per sample; whole groups are drawn, see :func:`bootstrap`.
    """
    return _interval(_ratios(_draws(_rows(_counted(values), groups), seed, RESAMPLES))[:, 0], "mean")


def mean_difference(
    first: Sequence[float], second: Sequence[float], seed: int, *, groups: Sequence[Hashable] | None = None
) -> Difference:
    """Compare two means over the same samples, in the same order; the same draw is made from both.

    ``groups`` and ``seed`` as for :func:`mean_interval`.
    """
    if len(first) != len(second):
        raise InputError(f"paired values are as many of each, got {len(first)} and {len(second)}")
    return _difference(_rows(np.concatenate([_counted(first), _counted(second)], axis=1), groups), seed, "mean")


def _difference(rows: Rows, seed: int, name: str) -> Difference:
    whole = _ratios(rows.sum(axis=0, keepdims=True))[0]
    values = _ratios(_draws(rows, seed, RESAMPLES))
    apart_by = values[:, 0] - values[:, 1]
    low, high = _interval(apart_by, name)
    known = apart_by[~np.isnan(apart_by)]
    better = ((known > 0).sum() + (known == 0).sum() / 2) / len(known)
    return Difference(float(whole[0] - whole[1]), low, high, float(better))


def _counted(values: Sequence[float]) -> Rows:
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def _shares(runs: list[list[SampleScore]], share: Statistic) -> Rows:
    """Return one row per sample: numerator and denominator of each run."""
    nothing = (0, 0)
    return np.array(
        [
            [value for score in row for value in (share(score) if score.counted else nothing)]
            for row in zip(*runs, strict=True)
        ],
        dtype=np.float64,
    ).reshape(-1, 2 * len(runs))


def _rows(rows: Rows, groups: Sequence[Hashable] | None) -> Rows:
    """Sum rows by group, and put them into an order of their own."""
    # Sorted before anything is summed: then the order in which samples came plays no part.
    if groups is not None:
        if len(groups) != len(rows):
            raise InputError(f"{len(rows)} scores need as many group labels, got {len(groups)}")
        numbers: dict[Hashable, int] = {}
        owner = np.array([numbers.setdefault(label, len(numbers)) for label in groups], dtype=np.int64)
        order = np.lexsort((*rows.T, owner))
        summed = np.zeros((len(numbers), rows.shape[1]))
        np.add.at(summed, owner[order], rows[order])
        rows = summed
    return np.asarray(rows[np.lexsort(rows.T)])


def _draws(rows: Rows, seed: int, resamples: int) -> Rows:
    """Return (resamples, columns): the sums of each draw."""
    if not len(rows):
        return np.zeros((0, rows.shape[1]))
    generator, at_once = np.random.default_rng(seed), max(1, _DRAWN_AT_ONCE // len(rows))
    sums = []
    for start in range(0, resamples, at_once):
        drawn = generator.integers(0, len(rows), size=(min(at_once, resamples - start), len(rows)))
        sums.append(np.stack([column[drawn].sum(axis=1) for column in rows.T], axis=1))
    return np.concatenate(sums)


def _ratios(sums: Rows) -> Rows:
    """Divide each numerator by its denominator; NaN where that is 0."""
    above, below = sums[:, 0::2], sums[:, 1::2]
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def _interval(values: Rows, name: str) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        raise InputError(f"no sample has the statistic {name!r}")
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
