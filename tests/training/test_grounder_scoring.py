import numpy as np
import pytest

from fiducial.datasets import Sample
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.metrics import InstanceSample, average_precision
from fiducial.prompters.detector.reading import Detection
from fiducial.prompters.grounder.weights import Name
from fiducial.training.grounder_crops import IGNORED, Thing
from fiducial.training.grounder_data import LabelledPicture
from fiducial.training.grounder_scoring import (
    Finding,
    area_under_curve,
    best_threshold,
    by_name,
    calibrated,
    expected_error,
    findings_of,
    first_found,
    matches_of,
    mean_precision,
    platt,
    precision,
)

SIDE = 200


def boxes(*given):
    return np.array(given, dtype=np.float64).reshape(-1, 4)


def finding(truth, found, scores, name="ship", ignored=()):
    return Finding(name, boxes(*truth), boxes(*ignored), boxes(*found), np.array(scores, dtype=np.float64))


def some_findings(seed):
    random = np.random.default_rng(seed)
    result = []
    for number in range(14):
        corner = random.integers(0, 80, (random.integers(0, 5), 2))
        truth = np.concatenate([corner, corner + random.integers(8, 120, corner.shape)], axis=1)
        found = np.concatenate([truth + random.integers(-9, 10, truth.shape), random.permutation(truth)[:1] + 3])
        found = np.clip(found, 0, SIDE)
        found = found[(found[:, 2:] - found[:, :2] > 1).all(axis=1)]
        scores = -np.sort(-random.permutation(1000)[: len(found)] / 1000)
        result.append(finding(truth, found, scores, ("ship", "car")[number % 2]))
    return result


def as_coco(one):
    truth = tuple(Mask.from_box(box, SIDE, SIDE) for box in one.truth)
    found = tuple(Mask.from_box(b, SIDE, SIDE).with_score(s) for b, s in zip(one.boxes, one.scores, strict=True))
    return InstanceSample(truth, found)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_cocos(seed):
    """Boxes of whole pixels, so that the area of COCO's mask is that of the box; each name a class of its own."""
    findings = some_findings(seed)
    reports = [average_precision(map(as_coco, some), kind="bbox") for some in by_name(findings).values()]
    expected = {
        key: np.mean([report[key] for report in reports if report[key] is not None])
        for key in ("ap50", "ap75", "ap_medium")
    }
    assert mean_precision(findings) == pytest.approx(expected["ap50"], abs=1e-6)
    assert mean_precision(findings, 0.75) == pytest.approx(expected["ap75"], abs=1e-6)
    small = []
    for some in by_name(findings).values():
        steps = [precision(matches_of(some, min_iou, (32, 96))) for min_iou in np.arange(0.5, 0.96, 0.05)]
        if steps[0] is not None:
            small.append(np.mean(steps))
    assert np.mean(small) == pytest.approx(expected["ap_medium"], abs=1e-6)


def test_a_thing_is_found_once():
    matches = matches_of([finding([(0, 0, 10, 10)], [(0, 0, 10, 9), (0, 0, 10, 10)], [0.9, 0.8])])
    assert matches.hits.tolist() == [True, False]
    assert matches.things == 1
    assert precision(matches) == 1


def test_finding_ignored_things_is_neither_right_nor_wrong():
    one = finding([(0, 0, 10, 10)], [(50, 50, 60, 60), (0, 0, 10, 10)], [0.9, 0.8], ignored=[(45, 45, 70, 70)])
    matches = matches_of([one])
    assert matches.hits.tolist() == [True]


def test_nothing_to_find_has_no_precision():
    assert precision(matches_of([finding([], [(0, 0, 5, 5)], [0.5])])) is None
    assert precision(matches_of([finding([(0, 0, 5, 5)], [], [])])) == 0
    assert mean_precision([]) == 0


def test_area_under_the_curve_counts_ties_half():
    assert area_under_curve(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])) == 0.875
    assert area_under_curve(np.array([0.1]), np.array([True])) is None


def test_figures_by_name_by_size_and_by_picture():
    findings = [
        finding([(0, 0, 10, 10)], [(0, 0, 10, 10), (50, 50, 60, 60)], [0.9, 0.2]),
        finding([(0, 0, 100, 100)], [(0, 0, 100, 40)], [0.25]),
        finding([], [(0, 0, 9, 9)], [0.6]),
        finding([], [], []),
        finding([(0, 0, 50, 50), (60, 60, 99, 99)], [(0, 0, 50, 50)], [0.8], "car"),
    ]
    named = by_name(findings)
    assert precision(matches_of(named["ship"])) == pytest.approx(51 / 101)
    assert precision(matches_of(named["car"])) == pytest.approx(51 / 101)
    assert mean_precision(findings) == pytest.approx(51 / 101)
    for size, expected in (((0, 32), [1.0, None]), ((32, 96), [None, 51 / 101]), ((96, np.inf), [0.0, None])):
        assert [precision(matches_of(some, 0.5, size)) for some in named.values()] == expected
    assert first_found(findings) == 0.5
    assert first_found(findings[-1:]) is None
    there = np.array([len(one.truth) > 0 for one in findings])
    assert area_under_curve(np.array([one.best for one in findings]), there) == pytest.approx(5 / 6)


class Knowing:
    """Finds the same boxes in every picture."""

    def __init__(self):
        self.asked = []

    def detect(self, images, names):
        self.asked.append([image.name for image in images])
        return [[Detection((0, 0, 10, 10), 0.9, "ship"), Detection((5, 5, 9, 9), 0.4, "car")] for _ in images]


def test_a_detector_is_asked_for_every_name_of_each_picture():
    masks = (Mask.from_box((0, 0, 10, 10), 20, 30),)
    hull = np.array([(0.0, 0), (10, 0), (10, 10), (0, 10)])
    pictures = []
    for number in range(9):
        picture = Image(np.zeros((20, 30, 3), np.uint8), name=f"{number}")
        sample = Sample(f"{number}", None, picture, "it", masks, (20, 30))
        pictures.append(LabelledPicture(sample, (Thing("ship", hull), Thing(IGNORED, hull + 5)), ("ship", "car")))
    detector = Knowing()
    findings = findings_of(detector, pictures)
    assert [len(some) for some in detector.asked] == [8, 1]
    assert [one.name for one in findings] == ["ship", "car"] * 9
    assert findings[0].truth.tolist() == [[0, 0, 10, 10]]
    assert findings[1].truth.shape == (0, 4)
    assert findings[1].boxes.tolist() == [[5, 5, 9, 9]]
    assert findings[1].ignored.tolist() == [[5, 5, 15, 15]]


# -- calibration ----------------------------------------------------------------------------------


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
