"""The statistics of a report, each a sum over samples divided by a sum over samples."""

from __future__ import annotations

from collections.abc import Callable

from fiducial.errors import UnknownNameError
from fiducial.metrics.policies import Policy
from fiducial.metrics.scoring import SampleScore

Share = tuple[float, int]
"""What one sample adds to the numerator and to the denominator; (0, 0) when the statistic does not concern it."""
Statistic = Callable[[SampleScore], Share]

_NOTHING: Share = (0, 0)
_MEANS = {
    "mean_iou": "iou",
    "dice": "dice",
    "boundary_f": "boundary_f",
    "hausdorff95": "hausdorff95",
    "box_iou": "box_iou",
    "box_giou": "box_giou",
    "box_diou": "box_diou",
    "box_ciou": "box_ciou",
    "mixed_ciou": "mixed_ciou",
}


def statistics(policy: Policy) -> dict[str, Statistic]:
    """Return every statistic that a policy's reports have, by name.

    Each is a ratio of two sums over the samples counted:

    * ``mean_iou``, ``dice``, ``boundary_f``, ``hausdorff95``, ``box_iou``, ``box_giou``, ``box_diou``, ``box_ciou``,
      ``mixed_ciou``: means over the samples that have the value;
    * ``cum_iou``: intersections over unions;
    * ``p@T``: the share of samples whose mask IoU passes T; ``box_acc@T``: likewise of boxes;
    * ``n_acc``, ``t_acc``: the share of samples without, and with, a target that were taken for what they are.

    Args:
        policy: whose thresholds and comparisons are used.
    """
    table: dict[str, Statistic] = {"mean_iou": _mean("iou"), "cum_iou": _cumulative}
    table |= {f"p@{threshold:g}": _precision(policy, threshold) for threshold in policy.thresholds}
    table |= {"dice": _mean("dice"), "n_acc": _presence(target=False), "t_acc": _presence(target=True)}
    table |= {name: _mean(key) for name, key in _MEANS.items() if name not in table}
    table |= {f"box_acc@{threshold:g}": _box_accuracy(policy, threshold) for threshold in policy.thresholds}
    return table


def statistic(policy: Policy, name: str) -> Statistic:
    """Return one statistic.

    Raises:
        UnknownNameError: the policy's reports have none of that name.
    """
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
