"""Totals: the statistics of a report, each a ratio of two sums, gathered in any order and any grouping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from fiducial.errors import InputError, UnknownNameError
from fiducial.language import Outcome
from fiducial.metrics.policies import Policy
from fiducial.metrics.scoring import SampleScore

Share = tuple[float, int]
"""What one sample adds to the numerator and to the denominator; (0, 0) when the statistic does not concern it."""
Statistic = Callable[[SampleScore], Share]

_NOTHING: Share = (0, 0)
_MEANS = ("boundary_f", "hausdorff95", "box_iou", "box_giou", "box_diou", "box_ciou", "mixed_ciou")
_BITS = 1074


def statistics(policy: Policy) -> dict[str, Statistic]:
    """Return every statistic that a policy's reports have, by name.

    Each is a ratio of two sums over the samples counted:

    * ``mean_iou``, ``dice``, ``boundary_f``, ``hausdorff95``, ``box_iou``, ``box_giou``, ``box_diou``, ``box_ciou``,
      ``mixed_ciou``: means over the samples that have the value;
    * ``cum_iou``: intersections over unions;
    * ``p@T``: the share of samples whose mask IoU passes T; ``box_acc@T``: the share whose box IoU passes it;
    * ``n_acc``, ``t_acc``: the share of samples without, and with, a target that were taken for what they are.
    """
    table: dict[str, Statistic] = {"mean_iou": _mean("iou"), "cum_iou": _cumulative}
    table |= {f"p@{threshold:g}": _precision(policy, threshold) for threshold in policy.thresholds}
    table |= {"dice": _mean("dice"), "n_acc": _presence(target=False), "t_acc": _presence(target=True)}
    table |= {name: _mean(name) for name in _MEANS}
    table |= {f"box_acc@{threshold:g}": _box_accuracy(policy, threshold) for threshold in policy.thresholds}
    return table


def statistic(policy: Policy, name: str) -> Statistic:
    """Return one statistic, or raise UnknownNameError."""
    table = statistics(policy)
    if name not in table:
        raise UnknownNameError("statistic", name, table)
    return table[name]


def _mean(key: str) -> Statistic:
    def share(score: SampleScore) -> Share:
        value = getattr(score, key)
        return _NOTHING if value is None else (value, 1)

    return share


def _cumulative(score: SampleScore) -> Share:
    return score.cum_intersection, score.cum_union


def _precision(policy: Policy, threshold: float) -> Statistic:
    def share(score: SampleScore) -> Share:
        if not score.in_precision or score.iou is None:
            return _NOTHING
        return int(policy.passes(score.iou, threshold)), 1

    return share


def _box_accuracy(policy: Policy, threshold: float) -> Statistic:
    def share(score: SampleScore) -> Share:
        return _NOTHING if score.box_iou is None else (int(policy.box_passes(score.box_iou, threshold)), 1)

    return share


def _presence(*, target: bool) -> Statistic:
    def share(score: SampleScore) -> Share:
        return (int(score.presence_right), 1) if score.has_target is target else _NOTHING

    return share


def scaled(value: float) -> int:
    """Return a whole number or finite double times 2**1074: every double is a whole multiple of 2**-1074.

    Such numbers are summed without any rounding, so that neither order nor grouping matters; a sum is a few hundred
    bytes long, whatever the count.
    """
    top, bottom = value.as_integer_ratio()
    return top << (_BITS + 1 - bottom.bit_length())


class Totals:
    """Sums from which every statistic of a report follows.

    Nothing is rounded before the report, so any order, any sharding and any interruption give the same numbers to the
    last bit. Memory does not grow with the samples.

    Example:
        >>> from fiducial.geometry import Mask
        >>> from fiducial.metrics import policy, score_sample
        >>> rules, truth = policy("fiducial"), Mask.from_box((0, 0, 4, 4), 8, 8)
        >>> totals = Totals(rules)
        >>> totals.add(score_sample(rules, truth, truth, Outcome.FOUND))
        >>> totals.add(score_sample(rules, truth, None, Outcome.MALFORMED))
        >>> totals.report()["mean_iou"], totals.outcomes["malformed"]
        (0.5, 1)
    """

    def __init__(self, policy: Policy) -> None:
        """Start with no sample; every score to come was counted by this policy."""
        self.policy = policy
        self._statistics = statistics(policy)
        self._above = dict.fromkeys(self._statistics, 0)
        self._below = dict.fromkeys(self._statistics, 0)
        self._outcomes: Counter[str] = Counter()
        self._scored = 0

    def add(self, score: SampleScore) -> None:
        """Count one sample, whose score needs to be counted by this policy."""
        if score.policy != self.policy.name:
            raise InputError(f"a score counted by policy {score.policy!r} cannot join totals of {self.policy.name!r}")
        self._outcomes[score.outcome.value] += 1
        if not score.counted:
            return
        self._scored += 1
        for name, share in self._statistics.items():
            above, below = share(score)
            if below:
                self._above[name] += scaled(above)
                self._below[name] += below

    def extend(self, scores: Iterable[SampleScore]) -> Totals:
        """Count several samples and return these totals."""
        for score in scores:
            self.add(score)
        return self

    def merge(self, other: Totals) -> None:
        """Add the totals of other samples, such as another shard's, which need to be counted by this policy."""
        if other.policy != self.policy:
            raise InputError(f"totals of policy {other.policy.name!r} cannot join those of {self.policy.name!r}")
        self._outcomes += other._outcomes
        self._scored += other._scored
        for name in self._statistics:
            self._above[name] += other._above[name]
            self._below[name] += other._below[name]

    @property
    def outcomes(self) -> dict[str, int]:
        """How asking ended, counted over every sample: found, no_target, malformed, truncated, failed."""
        return {outcome.value: self._outcomes[outcome.value] for outcome in Outcome}

    @property
    def count(self) -> int:
        """How many samples were added."""
        return self._outcomes.total()

    def report(self) -> dict[str, float | int | None]:
        """Return the numbers, each rounded once from its exact value; None where no sample has it.

        They are ``n`` (samples added), ``n_scored`` (those in the policy's prediction set), ``n_no_target`` (those of
        them without a target), ``n_hausdorff95`` (those of them with a Hausdorff distance), and every statistic of
        :func:`fiducial.metrics.statistics`.
        """
        report: dict[str, float | int | None] = {
            "n": self.count,
            "n_scored": self._scored,
            "n_no_target": self._below["n_acc"],
            "n_hausdorff95": self._below["hausdorff95"],
        }
        for name, above in self._above.items():
            below = self._below[name]
            report[name] = above / (below << _BITS) if below else None
        return report
