from __future__ import annotations

import numpy as np
import pytest

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import (
    Difference,
    Totals,
    bootstrap,
    mean_difference,
    mean_interval,
    paired_bootstrap,
    policy,
    score_sample,
)

OURS = policy("fiducial")


def scored(part, height=10):
    """The score of a sample whose IoU is part / 10."""
    truth, prediction = Mask.from_box((0, 0, 10, 1), height, 10), Mask.from_box((0, 0, part, 1), height, 10)
    return score_sample(OURS, truth, prediction, Outcome.FOUND)


def run_of(seed, shift=0, count=120):
    parts = np.random.default_rng(seed).integers(0, 9 - shift, count) + shift
    return [scored(int(part)) for part in parts]


@pytest.mark.parametrize("name", ["mean_iou", "cum_iou", "p@0.5", "dice", "box_giou", "t_acc"])
def test_the_interval_holds_the_number_and_is_seeded(name):
    run = run_of(1)
    low, high = bootstrap(run, OURS, name, seed=7)
    assert low < Totals(OURS).extend(run).report()[name] < high
    assert bootstrap(run, OURS, name, seed=7) == (low, high)
    if name == "mean_iou":  # shares of 120 samples may well meet
        assert bootstrap(run, OURS, name, seed=8) != (low, high)


def test_order_plays_no_part():
    run = run_of(2)
    assert bootstrap(run[::-1], OURS, "mean_iou", seed=0) == bootstrap(run, OURS, "mean_iou", seed=0)
    labels = [number // 3 for number in range(len(run))]
    expected = bootstrap(run, OURS, "cum_iou", seed=0, groups=labels)
    assert bootstrap(run[::-1], OURS, "cum_iou", seed=0, groups=labels[::-1]) == expected


def test_the_width_is_that_of_the_normal_law():
    run = run_of(3, count=400)
    values = np.array([score.iou for score in run])
    low, high = bootstrap(run, OURS, "mean_iou", seed=0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_groups_that_succeed_together_widen_the_interval():
    parts = np.random.default_rng(4).integers(0, 10, 40)
    run = [scored(int(part)) for part in parts for _ in range(5)]
    labels = [number // 5 for number in range(len(run))]
    single, grouped = (bootstrap(run, OURS, "mean_iou", 0, groups=g) for g in (None, labels))
    assert grouped[1] - grouped[0] > 1.8 * (single[1] - single[0])


def test_coverage_is_about_what_it_says():
    inside = 0
    for seed in range(40):
        low, high = bootstrap(run_of(seed, count=50), OURS, "mean_iou", seed, resamples=300)
        inside += low <= 0.4 <= high  # the mean of 0..8 tenths
    assert inside >= 34


def test_a_paired_comparison_cancels_what_is_hard_for_both():
    parts = np.random.default_rng(5).integers(0, 9, 80)
    worse = {f"{number}": scored(int(part)) for number, part in enumerate(parts)}
    better = {f"{number}": scored(int(part) + 1) for number, part in enumerate(parts)}
    difference = paired_bootstrap(better, worse, OURS, "mean_iou", seed=0)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
    assert difference.first_better == 1
    back = paired_bootstrap(worse, better, OURS, "mean_iou", seed=0)
    assert (back.value, back.first_better) == (-difference.value, 0)
    assert paired_bootstrap(worse, worse, OURS, "cum_iou", seed=0).first_better == 0.5


def test_pairs_are_matched_by_id_and_may_be_grouped():
    first = {f"{n}": score for n, score in enumerate(run_of(6, count=40))}
    second = {f"{n}": score for n, score in enumerate(run_of(7, count=40))}
    shuffled = dict(sorted(second.items(), reverse=True))
    expected = paired_bootstrap(first, second, OURS, "cum_iou", seed=3)
    assert paired_bootstrap(first, shuffled, OURS, "cum_iou", seed=3) == expected
    assert expected.low < expected.value < expected.high
    grouped = paired_bootstrap(first, second, OURS, "cum_iou", 3, groups={name: name[-1] for name in first})
    assert grouped.value == pytest.approx(expected.value)
    assert grouped != expected


def test_draws_without_the_statistic_are_left_out():
    nothing = Mask.empty(10, 10)
    lone = score_sample(OURS, nothing, None, Outcome.NO_TARGET)
    assert bootstrap([lone, *run_of(8, count=5)], OURS, "n_acc", seed=0) == (1, 1)


def test_uncounted_samples_are_skipped():
    rules = policy("sjtu")
    truth = Mask.from_box((0, 0, 10, 10), 20, 20)
    found = score_sample(rules, truth, truth, Outcome.FOUND)
    lost = score_sample(rules, truth, None, Outcome.FAILED)
    assert bootstrap([found, lost, lost], rules, "mean_iou", seed=0) == (1, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda run: bootstrap([], OURS, "mean_iou", 0), InputError, "no sample has the statistic 'mean_iou'"),
        (lambda run: bootstrap(run, OURS, "n_acc", 0), InputError, "no sample has the statistic 'n_acc'"),
        (lambda run: bootstrap(run, OURS, "miou", 0), UnknownNameError, "unknown statistic 'miou'"),
        (lambda run: bootstrap(run, OURS, "dice", 0, groups=[1]), InputError, "3 scores need as many group labels"),
        (
            lambda run: paired_bootstrap({"a": run[0]}, {"b": run[0]}, OURS, "dice", 0),
            InputError,
            "2 samples are in one of the two runs only, such as 'a'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(run_of(9, count=3))


def test_a_mean_is_counted_as_a_share_of_samples():
    right = [1.0] * 60 + [0.0] * 40
    low, high = mean_interval(right, 0)
    assert 0.49 < low < 0.55 < 0.65 < high < 0.71
    together = mean_interval(right, 0, groups=[index // 20 for index in range(100)])
    assert together[1] - together[0] > 2 * (high - low)  # five groups tell less than a hundred samples
    assert mean_interval(right[::-1], 0) == (low, high)


def test_two_means_are_compared_on_the_same_draws():
    second = [float(index % 2) for index in range(80)]
    first = [1.0 if index < 20 else value for index, value in enumerate(second)]
    apart = mean_difference(first, second, 3)
    assert apart.value == pytest.approx(10 / 80)
    assert 0 < apart.low < apart.value < apart.high
    assert mean_difference(second, second, 3) == Difference(0.0, 0.0, 0.0, 0.5)
    with pytest.raises(InputError, match="as many"):
        mean_difference(first, second[1:], 3)
