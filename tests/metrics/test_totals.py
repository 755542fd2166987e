from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import POLICIES, Totals, policy, score_sample, statistics
from fiducial.metrics.totals import scaled, statistic
from metrics.strategies import scores

OURS = policy("fiducial")
TARGET, HALF, NOTHING = (Mask.from_box(box, 8, 8) for box in ((2, 2, 6, 6), (2, 2, 4, 6), (0, 0, 0, 0)))
SAMPLES = [
    (TARGET, TARGET, Outcome.FOUND),
    (TARGET, HALF, Outcome.FOUND),
    (TARGET, None, Outcome.MALFORMED),
    (NOTHING, None, Outcome.NO_TARGET),
    (NOTHING, HALF, Outcome.TRUNCATED),
]


def totals_of(rules=OURS, samples=SAMPLES, **options):
    return Totals(rules).extend(score_sample(rules, *sample, **options) for sample in samples)


def test_a_report_worked_out_by_hand():
    report = totals_of(boundaries=True).report()
    assert report["n"] == report["n_scored"] == 5
    assert report["n_no_target"] == 2
    assert report["mean_iou"] == (1 + 0.5 + 0 + 1 + 0) / 5
    assert report["cum_iou"] == (16 + 8) / (16 + 16 + 16 + 8)
    assert report["dice"] == pytest.approx((1 + 2 / 3 + 0 + 1 + 0) / 5)
    assert [report[f"p@0.{digit}"] for digit in (5, 6, 7, 8, 9)] == [0.6, 0.4, 0.4, 0.4, 0.4]
    assert (report["n_acc"], report["t_acc"]) == (1 / 2, 2 / 3)
    assert (report["box_iou"], report["box_acc@0.5"]) == (0.5, 0.6)
    assert report["box_giou"] == (1 + 0.5 - 1 + 1 - 1) / 5
    assert report["n_hausdorff95"] == 3  # perfect, half, and nothing on nothing
    assert report["hausdorff95"] == pytest.approx((0 + 2 + 0) / 3)
    assert report["mixed_ciou"] is None
    assert totals_of().outcomes == {"found": 2, "no_target": 1, "malformed": 1, "truncated": 1, "failed": 0}


def test_no_sample_gives_no_number():
    report = Totals(OURS).report()
    assert {name for name, value in report.items() if value is not None} == {
        "n",
        "n_scored",
        "n_no_target",
        "n_hausdorff95",
    }
    assert set(statistics(OURS)) < set(report)


@pytest.mark.parametrize("rules", POLICIES.values(), ids=list(POLICIES))
@settings(max_examples=25)
@given(st.data(), st.randoms(use_true_random=False))
def test_any_partition_and_order_gives_the_same_report_to_the_last_bit(rules, data, random):
    given_scores = data.draw(st.lists(scores(rules), max_size=12))
    whole = Totals(rules).extend(given_scores)
    shards = [Totals(rules) for _ in range(3)]
    for score in random.sample(given_scores, len(given_scores)):
        shards[random.randrange(3)].add(score)
    merged = Totals(rules)
    for shard in random.sample(shards, 3):
        merged.merge(shard)
    assert merged.report() == whole.report()
    assert merged.outcomes == whole.outcomes
    assert merged.count == len(given_scores)


def test_means_are_the_nearest_double_of_the_exact_mean():
    thirds = [(TARGET, Mask.from_box((4, 2, 8, 6), 8, 8), Outcome.FOUND)] * 10
    exact = (10 * Fraction(1 / 3) + Fraction(1)) / 11
    assert totals_of(samples=[*thirds, SAMPLES[0]]).report()["mean_iou"] == float(exact)


def test_totals_of_two_policies_do_not_meet():
    score = score_sample(policy("lisa"), TARGET, TARGET, Outcome.FOUND)
    with pytest.raises(InputError, match="policy 'lisa' cannot join totals of 'fiducial'"):
        Totals(OURS).add(score)
    with pytest.raises(InputError, match="'lisa' cannot join those of 'fiducial'"):
        Totals(OURS).merge(Totals(policy("lisa")))
    with pytest.raises(InputError, match="cannot join"):
        Totals(OURS).merge(Totals(replace(OURS, comparison=">")))


def test_a_statistic_is_found_by_name():
    score = score_sample(OURS, TARGET, HALF, Outcome.FOUND)
    assert statistic(OURS, "cum_iou")(score) == (8, 16)
    assert statistic(OURS, "p@0.5")(score) == (1, 1)
    assert statistic(OURS, "boundary_f")(score) == (0, 0)
    with pytest.raises(UnknownNameError, match="did you mean 'mean_iou'"):
        statistic(OURS, "meaniou")


def test_memory_does_not_grow_with_the_samples():
    totals = totals_of(samples=SAMPLES * 40)
    assert max(abs(above).bit_length() for above in totals._above.values()) < 1200


# -- exact sums -------------------------------------------------------------------------------------

numbers = st.lists(
    st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False)), max_size=8
)


@given(numbers)
def test_sums_are_exact(values):
    assert Fraction(sum(map(scaled, values)), 2**1074) == sum(map(Fraction, values), Fraction())
