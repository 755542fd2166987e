import numpy as np
import pytest

from fiducial.prompters.grounder.weights import Name
from fiducial.training.grounder.calibration import best_threshold, calibrated, expected_error, platt
from fiducial.training.grounder.scoring import Finding


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_platt_finds_slope_and_intercept_again():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 20_000)
    hits = random.random(20_000) < sigmoid(1.7 * logits - 0.8)
    slope, intercept = platt(logits, hits)
    assert slope == pytest.approx(1.7, rel=0.05)
    assert intercept == pytest.approx(-0.8, abs=0.05)


def test_the_slope_is_above_zero_even_where_better_scores_are_worse():
    slope, _ = platt(np.array([-2.0, -1, 1, 2]), np.array([True, True, False, False]))
    assert slope > 0


def test_expected_error_is_the_mean_gap():
    likelihoods = np.array([0.15, 0.15, 0.95, 1.0])
    hits = np.array([False, True, True, True])
    assert expected_error(likelihoods, hits) == pytest.approx((abs(0.3 - 1) + abs(1.95 - 2)) / 4)
    assert expected_error(np.zeros(0), np.zeros(0, bool)) == 0


def test_the_best_threshold_has_the_highest_f1():
    likelihoods, hits = np.array([0.2, 0.9, 0.5, 0.8]), np.array([True, True, False, True])
    assert best_threshold(likelihoods, hits, 2) == pytest.approx(0.65)
    assert best_threshold(likelihoods[:2], hits[:2], 2) == pytest.approx(0.1)
    assert best_threshold(likelihoods, np.zeros(4, bool), 2) == 0.5


def findings(name, count, sure, seed=0):
    """Scores that are too sure by the factor ``sure`` on their logits."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        logit = np.sort(random.normal(0, 1.5, 3))[::-1]
        right = random.random(3) < sigmoid(logit)
        corner = np.arange(3)[:, None] * 40.0
        boxes = np.concatenate([corner, corner, corner + 20, corner + 20], axis=1)
        found.append(Finding(name, boxes[right], boxes[:0], boxes, sigmoid(sure * logit)))
    return found


def test_each_domain_has_its_own_fit():
    names = (Name("ship", "aerial"), Name("car", "aerial"), Name("tumour", "brain"))
    every = [*findings("ship", 300, 3.0), *findings("car", 300, 3.0, 1), *findings("tumour", 400, 0.5, 2)]
    found, report = calibrated(names, every)
    assert [one.name for one in found] == ["ship", "car", "tumour"]
    assert found[0].slope == found[1].slope == pytest.approx(1 / 3, rel=0.15)
    assert found[2].slope == pytest.approx(2, rel=0.15)
    assert report["aerial"]["after"] < 0.04 < report["aerial"]["before"]
    assert report["aerial"]["detections"] == 1800
    assert all(0.1 <= one.threshold <= 0.7 for one in found)


def test_a_domain_with_little_to_go_by_takes_the_fit_of_all():
    names = (Name("ship", "aerial"), Name("tumour", "brain"), Name("disc", "shapes"))
    found, report = calibrated(names, [*findings("ship", 300, 3.0), *findings("tumour", 2, 3.0)])
    assert found[1].slope == pytest.approx(found[0].slope, rel=0.1)
    assert found[2].slope == found[1].slope
    assert not report["brain"]["own"]
    assert report["shapes"]["detections"] == 0
    assert found[2].threshold == 0.5


def test_without_a_detection_nothing_changes():
    names = (Name("ship", "aerial"),)
    found, _ = calibrated(names, [])
    assert (found[0].slope, found[0].intercept) == (1, 0)
