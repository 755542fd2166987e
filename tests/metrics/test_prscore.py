"""PRScore of hand-made cases, against values worked out by hand from the formulas of the paper."""

import math

import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.metrics.prscore import PRCase, agreement, normalised_cosine, pr_scores, report

PLACES = {
    "upper left": (-0.5, 0.5),
    "upper right": (0.5, 0.5),
    "lower right": (0.5, -0.5),
    "right": (0.5, 0.0),
    "centre": (0.0, 0.0),
    "near the upper right": (0.25, 0.25),
}
VECTORS = {"upper left": (1, 0), "upper right": (0.6, 0.8), "lower right": (-1, 0), "zero": (0, 0)}


class Reader:
    """Reads what a table says; every other text states nothing."""

    def __init__(self, name="table", shift=0.0):
        self.name, self.shift, self.calls = name, shift, 0

    def read(self, texts):
        self.calls += 1
        return np.array([PLACES.get(text, (math.nan, math.nan)) for text in texts]) + self.shift

    def embed(self, texts):
        self.calls += 1
        return np.array([VECTORS.get(text, (0, 1)) for text in texts], dtype=np.float32)


def square(x, y, size=2):
    """A square of a picture of 8 x 8 pixels."""
    return Mask.from_box((x, y, x + size, y + size), 8, 8)


def score(predicted, reference, mask, *, reader=None, **more):
    return pr_scores([PRCase(predicted, reference, mask, **more)], Reader(), reader or Reader(), Reader("rules"))[0]


def values_of(found):
    return [found.semantic, found.by_reader.spatial, found.by_reader.visual, found.by_reader.total, found.by_rule.total]


def test_all_agree():
    found = score("upper left", "upper left", square(1, 1))  # its centroid is pixel (2, 2), (-0.5, 0.5) centred
    assert found.centroid == (-0.5, 0.5)
    assert found.semantic == pytest.approx(1)
    assert (found.by_reader.spatial, found.by_reader.visual, found.by_reader.total) == pytest.approx((1, 1, 1))
    assert found.position_right is True


def test_the_other_side():
    # (-0.5, 0.5) and (0.5, 0.5): a right angle, so ncos = 0.5; they are 1 apart, 0.353553 of the diagonal
    # S_spatial = (0.5 + 0.646447) / 2; the mask's centroid is the centre: ncos = 0.5, 0.707107 / 2.828427 = 0.25 away
    # S_vis = (0.5 + 0.75) / 2; the sentence vectors have a cosine of 0.6, so S_sem = 0.8
    found = score("upper right", "upper left", square(3, 3))
    assert found.centroid == (0, 0)
    assert found.semantic == pytest.approx(0.8)
    assert found.by_reader.spatial == pytest.approx(0.573223, abs=1e-6)
    assert found.by_reader.visual == pytest.approx(0.625)
    assert found.by_reader.total == pytest.approx((0.8 + 0.573223 + 0.625) / 3, abs=1e-6)
    assert found.position_right is False


def test_the_opposite_corner():
    # cos = -1, so ncos = 0; 1.414214 apart is half of the diagonal: S_spatial = (0 + 0.5) / 2
    # the mask lies at (0.75, -0.75): the same direction, 0.353553 / 2.828427 = 0.125 away: S_vis = (1 + 0.875) / 2
    # the sentence vectors are opposite: S_sem = 0
    found = score("lower right", "upper left", square(6, 6))
    assert found.centroid == (0.75, -0.75)
    assert (found.semantic, found.by_reader.spatial, found.by_reader.visual) == pytest.approx((0, 0.25, 0.9375))
    assert found.by_reader.total == pytest.approx(0.395833, abs=1e-6)


def test_the_nearer_of_two_in_one_direction():
    # (0.25, 0.25) and (0.5, 0.5): ncos = 1, 0.353553 apart, 0.125 of the diagonal
    found = score("near the upper right", "upper right", square(5, 1))
    assert found.by_reader.spatial == pytest.approx(0.9375)
    assert found.by_reader.visual == pytest.approx(0.9375)  # the mask lies at (0.5, 0.5)
    assert found.position_right is True


@pytest.mark.parametrize(
    ("predicted", "reference", "x", "spatial", "visual"),
    [
        ("centre", "centre", 3, 1, 1),  # three points without a direction
        ("centre", "right", 3, (0.5 + 1 - 0.5 / 2.8284271) / 2, 1),
        ("right", "centre", 3, (0.5 + 1 - 0.5 / 2.8284271) / 2, (0.5 + 1 - 0.5 / 2.8284271) / 2),
        ("centre", "centre", 5, 1, (0.5 + 1 - 0.5 / 2.8284271) / 2),  # the mask lies at (0.5, 0)
    ],
)
def test_a_point_at_the_centre_has_no_direction(predicted, reference, x, spatial, visual):
    found = score(predicted, reference, square(x, 3)).by_reader
    assert (found.spatial, found.visual) == pytest.approx((spatial, visual))


@pytest.mark.parametrize("mask", [None, Mask.empty(8, 8)])
def test_an_empty_mask_has_no_visual_agreement(mask):
    found = score("upper left", "upper left", mask)
    assert found.centroid is None
    assert (found.semantic, found.by_reader.spatial, found.by_reader.visual) == pytest.approx((1, 1, 0))
    assert found.by_reader.total == pytest.approx(2 / 3)


def test_an_empty_text_is_worth_nothing():
    found = score(" ", "upper left", square(1, 1))
    assert (found.semantic, found.by_reader.spatial, found.by_reader.visual, found.by_reader.total) == (0, 0, 0, 0)
    assert found.by_reader.predicted is None
    assert found.position_right is False


def test_a_text_without_a_place_agrees_with_nothing():
    found = score("a tumour", "upper left", square(1, 1))
    assert found.semantic == pytest.approx(0.5)  # (0, 1) and (1, 0)
    assert (found.by_reader.spatial, found.by_reader.visual) == (0, 0)
    assert found.by_reader.total == pytest.approx(0.5 / 3)


def test_a_reference_without_a_place_cannot_be_compared():
    found = score("upper left", "a tumour", square(1, 1))
    assert (found.by_reader.spatial, found.by_reader.total, found.position_right) == (None, None, None)
    assert found.by_reader.visual == pytest.approx(1)


def test_where_there_is_no_target_there_is_no_score():
    found = score("upper left", "no tumour", square(1, 1), has_target=False)
    assert (found.semantic, found.position_right) == (None, None)
    assert {found.by_reader.spatial, found.by_reader.visual, found.by_reader.total, found.by_rule.total} == {None}


def test_sentences_without_a_direction():
    assert score("zero", "zero", None).semantic == pytest.approx(1)
    assert score("zero", "upper left", None).semantic == pytest.approx(0.5)


def test_the_second_opinion_stands_beside_the_first():
    found = score("upper left", "upper left", square(1, 1), reader=Reader("learned", shift=0.1))
    assert (found.by_reader.reader, found.by_rule.reader) == ("learned", "rules")
    assert found.by_reader.predicted == pytest.approx((-0.4, 0.6))
    assert found.by_rule.visual == pytest.approx(1)
    # the angle between (-0.4, 0.6) and (-0.5, 0.5): cos = 0.5 / (0.7211103 * 0.7071068); 0.1414214 apart
    cosine = 0.5 / (0.7211103 * 0.7071068)
    assert found.by_reader.visual == pytest.approx(((cosine + 1) / 2 + 1 - 0.05) / 2, abs=1e-6)
    assert found.as_json()["by_rule"]["reader"] == "rules"


def test_many_are_scored_at_once_as_each_by_itself():
    texts = [*PLACES, "a tumour", ""]
    cases = [PRCase(a, b, square(x % 6, 1)) for x, (a, b) in enumerate((a, b) for a in texts for b in texts)]
    reader = Reader()
    found = pr_scores(cases, reader, reader, Reader("rules"))
    assert reader.calls == 2
    alone = [pr_scores([case], Reader(), Reader(), Reader("rules"))[0] for case in cases]
    for one, other in zip(found, alone, strict=True):
        assert one.position_right == other.position_right
        for ours, theirs in zip(values_of(one), values_of(other), strict=True):
            assert ours == theirs is None or ours == pytest.approx(theirs)
            assert ours is None or 0 <= ours <= 1
    assert pr_scores([], Reader(), Reader(), Reader()) == []


def test_a_report_counts_what_has_no_score():
    cases = [
        PRCase("upper left", "upper left", square(1, 1)),
        PRCase("upper right", "upper left", square(1, 1)),
        PRCase("a tumour", "upper left", square(1, 1)),
        PRCase("upper left", "a tumour", square(1, 1)),
        PRCase("", "none", None, has_target=False),
    ]
    found = report(pr_scores(cases, Reader(), Reader("learned"), Reader("rules")))
    assert (found["n"], found["n_no_target"]) == (5, 1)
    assert found["semantic"] == pytest.approx((1 + 0.8 + 0.5 + 0.5) / 4)
    assert (found["by_reader"]["reader"], found["by_rule"]["reader"]) == ("learned", "rules")
    assert (found["by_reader"]["n_unread"], found["by_reader"]["n_unstated"]) == (1, 1)
    assert found["by_reader"]["spatial"] == pytest.approx((1 + 0.573223 + 0) / 3, abs=1e-6)
    assert (found["position_accuracy"], found["n_positions"]) == (pytest.approx(1 / 3), 3)
    assert report([])["by_reader"]["total"] is None


def test_a_reader_gives_a_point_for_every_text():
    class Short(Reader):
        def read(self, texts):
            return super().read(texts)[1:]

    with pytest.raises(InputError, match="'table' gave 1 points for 2 texts"):
        score("upper left", "upper left", None, reader=Short())


def test_the_formulas_are_symmetric_and_bounded():
    random = np.random.default_rng(0)
    one, other = random.uniform(-1, 1, (2, 500, 2))
    assert agreement(one, other) == pytest.approx(agreement(other, one))
    assert agreement(one, one) == pytest.approx(1)
    assert ((agreement(one, other) >= 0) & (agreement(one, other) <= 1)).all()
    assert normalised_cosine(one, 3 * one) == pytest.approx(1)
    assert normalised_cosine(one, -one) == pytest.approx(0)
