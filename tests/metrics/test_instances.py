from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fiducial.errors import InputError, MissingExtraError
from fiducial.geometry import Mask
from fiducial.metrics import InstanceSample, average_precision
from fiducial.metrics.instances import coco_documents

SIDE = 120
KEYS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
KEYS += ("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")


def square(x, y, side, score=None):
    return Mask.from_box((x, y, x + side, y + side), SIDE, SIDE).with_score(score)


def samples():
    generator = np.random.default_rng(0)
    found = []
    for _ in range(12):
        truth = [square(*generator.integers(0, 60, 2).tolist(), int(generator.integers(8, 50))) for _ in range(3)]
        guesses = []
        for mask in truth:
            x, y, right, _ = (int(edge) for edge in mask.box)
            shift = int(generator.integers(0, 8))
            guesses.append(square(x + shift, y, right - x, float(generator.uniform())))
        found.append(InstanceSample(tuple(truth), tuple(guesses), ("a", "b", "a"), ("a", "b", "b")))
    found.append(InstanceSample((), (square(0, 0, 20, 0.4),), (), ("a",)))
    found.append(InstanceSample((square(0, 0, 40),), (square(60, 60, 30, 0.9),), ("a",), ("a",), square(50, 50, 60)))
    return found


def by_pycocotools(given, kind="segm"):
    truth, results = coco_documents(given)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {key: None if value < 0 else value for key, value in zip(KEYS, evaluation.stats, strict=True)}


def test_the_documents_give_pycocotools_numbers_that_can_be_told_beforehand():
    perfect = [InstanceSample((square(0, 0, 40), square(50, 50, 40)), (square(0, 0, 40, 0.9), square(50, 50, 40, 0.8)))]
    assert by_pycocotools(perfect)["ap"] == pytest.approx(1)
    assert by_pycocotools(perfect)["ar1"] == pytest.approx(0.5)
    # One instruction's predictions are never matched with another's truth.
    crossed = [InstanceSample((square(0, 0, 40),), ()), InstanceSample((), (square(0, 0, 40, 0.9),))]
    assert by_pycocotools(crossed)["ap"] == 0
    # Half a square lies at IoU 0.5: right for the first of ten thresholds only.
    half = Mask.from_box((0, 0, 40, 20), SIDE, SIDE)
    assert by_pycocotools([InstanceSample((square(0, 0, 40),), (half,))])["ap"] == pytest.approx(0.1)
    # What lies in the ignore region is no false positive, though it ranks first.
    inside, target = square(62, 62, 30, 0.9), square(0, 0, 40, 0.5)
    spared = InstanceSample((square(0, 0, 40),), (inside, target), ignore=square(60, 60, 40))
    assert by_pycocotools([spared])["ap"] == pytest.approx(1)
    assert by_pycocotools([InstanceSample((square(0, 0, 40),), (inside, target))])["ap"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_average_precision_is_that_of_pycocotools(kind):
    pytest.importorskip("faster_coco_eval")
    assert average_precision(samples(), kind=kind) == pytest.approx(by_pycocotools(samples(), kind), abs=1e-6)


def test_the_package_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtraError, match=r"average precision needs .*fiducial\[evaluate\]"):
        average_precision([])


@pytest.fixture
def stand_in(monkeypatch):
    """A package with the names that are used, doing nothing."""

    class Evaluation:
        stats_as_dict = dict.fromkeys(
            ("AP_all", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large", "AR_all", "AR_second", "AR_third"), 0.25
        ) | {"AR_small": -1.0, "AR_medium": 0.5, "AR_large": 1.0}

        def __init__(self, truth, results, iouType):  # noqa: N803
            self.called = []
            assert iouType in ("segm", "bbox")

        def evaluate(self):
            self.called.append("evaluate")

        def accumulate(self):
            self.called.append("accumulate")

        def summarize(self):
            assert self.called == ["evaluate", "accumulate"]

    class Documents:
        def __init__(self, document):
            self.loadRes = list

    module = type(sys)("faster_coco_eval")
    module.COCO, module.COCOeval_faster = Documents, Evaluation
    monkeypatch.setitem(sys.modules, "faster_coco_eval", module)


@pytest.mark.usefixtures("stand_in")
def test_numbers_get_our_names_and_what_is_not_defined_is_none():
    report = average_precision(samples())
    assert tuple(report) == KEYS
    assert (report["ap"], report["ar_small"], report["ar100"]) == (0.25, None, 0.25)


@pytest.mark.usefixtures("stand_in")
def test_without_truth_there_is_no_number_and_without_predictions_it_is_0():
    assert set(average_precision([InstanceSample((), (square(0, 0, 9, 0.5),))]).values()) == {None}
    report = average_precision([InstanceSample((square(0, 0, 40),), ())])
    assert (report["ap"], report["ap_medium"], report["ap_small"], report["ar_large"]) == (0, 0, None, None)


def test_labels_and_sizes_need_to_fit():
    with pytest.raises(InputError, match="1 true instances need as many labels, got 2"):
        InstanceSample((square(0, 0, 4),), (), ("a", "b"))
    with pytest.raises(InputError, match="1 predictions need as many boxes, got 2"):
        InstanceSample((), (square(0, 0, 4),), predicted_boxes=((0, 0, 4, 4), (0, 0, 1, 1)))
    with pytest.raises(InputError, match="share a canvas"):
        InstanceSample((square(0, 0, 4),), (Mask.empty(4, 4),))
    with pytest.raises(InputError, match="'segm' or 'bbox', got 'mask'"):
        average_precision([], kind="mask")


def test_boxes_that_are_given_are_compared_as_they_are():
    mask, box = square(10, 10, 20, 0.9), (10.25, 10.0, 30.25, 30.0)
    truth, results = coco_documents([InstanceSample((mask,), (mask,), truth_boxes=(box,), predicted_boxes=(box,))])
    assert truth["annotations"][0]["bbox"] == results[0]["bbox"] == [10.25, 10.0, 20.0, 20.0]
    assert coco_documents([InstanceSample((mask,), ())])[0]["annotations"][0]["bbox"] == [10.0, 10.0, 20.0, 20.0]
