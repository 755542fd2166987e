from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.metrics import InstanceSample, average_precision
from fiducial.metrics.instances import match, precision_of_hits

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
        found.append(InstanceSample(tuple(truth), tuple(guesses)))
    found.append(InstanceSample((), (square(0, 0, 20, 0.4),)))
    found.append(InstanceSample((square(0, 0, 40),), (square(60, 60, 30, 0.9),), square(50, 50, 60)))
    return found


def coco_documents(samples):
    """Write samples as COCO annotations and COCO results; number i becomes image i + 1."""
    images, annotations, results = [], [], []
    for image, each in enumerate(samples, start=1):
        every = (*each.truth, *each.predictions)
        height, width = (every[0].height, every[0].width) if every else (1, 1)
        images.append({"id": image, "height": height, "width": width, "file_name": f"{image}"})
        crowds = [(each.ignore, None, 1)] if each.ignore else []
        boxes = each.truth_boxes or (None,) * len(each.truth)
        for mask, box, crowd in (*((*one, 0) for one in zip(each.truth, boxes, strict=True)), *crowds):
            annotations.append({**_entry(mask, box, image), "id": len(annotations) + 1, "iscrowd": crowd})
        boxes = each.predicted_boxes or (None,) * len(each.predictions)
        for mask, box in zip(each.predictions, boxes, strict=True):
            results.append({**_entry(mask, box, image), "score": 1.0 if mask.score is None else mask.score})
    categories = [{"id": 1, "name": "object"}]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, results


def _entry(mask, box, image):
    x1, y1, x2, y2 = box or mask.box or (0.0, 0.0, 0.0, 0.0)
    return {
        "image_id": image,
        "category_id": 1,
        "segmentation": mask.to_coco(),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": mask.area,
    }


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
    assert average_precision(samples(), kind=kind) == pytest.approx(by_pycocotools(samples(), kind), abs=1e-6)


def test_random_samples_have_pycocotools_numbers():
    for seed in range(6):
        draw = np.random.default_rng(seed)
        given = [random_sample(draw) for _ in range(8)]
        for kind in ("segm", "bbox"):
            assert average_precision(given, kind=kind) == pytest.approx(by_pycocotools(given, kind), abs=1e-6)


def random_sample(draw):
    """Some things, guesses near them and elsewhere, equal and missing scores, an ignored region."""
    truth = [square(*draw.integers(0, 70, 2).tolist(), int(draw.integers(4, 50))) for _ in range(draw.integers(0, 5))]
    found = [square(*draw.integers(0, 70, 2).tolist(), int(draw.integers(4, 50))) for _ in range(draw.integers(1, 4))]
    for mask in truth:
        x, y, right, _ = (int(edge) for edge in mask.box)
        found.append(square(x + int(draw.integers(0, 6)), y, right - x))
    found = [mask.with_score(None if draw.random() < 0.1 else round(draw.random(), 1)) for mask in found]
    ignore = square(*draw.integers(0, 60, 2).tolist(), 40) if draw.random() < 0.4 else None
    return InstanceSample(tuple(truth), tuple(found), ignore)


def test_what_is_not_defined_is_none():
    report = average_precision(samples())
    assert tuple(report) == KEYS
    assert average_precision([]) == dict.fromkeys(KEYS)


def test_without_truth_there_is_no_number_and_without_predictions_it_is_0():
    assert set(average_precision([InstanceSample((), (square(0, 0, 9, 0.5),))]).values()) == {None}
    report = average_precision([InstanceSample((square(0, 0, 40),), ())])
    assert (report["ap"], report["ap_medium"], report["ap_small"], report["ar_large"]) == (0, 0, None, None)


def test_matching_on_plain_arrays():
    overlaps = np.array([[0.6, 0.6], [0.9, 0.2], [0.9, 0.55]])
    assert match(overlaps, [0.5, 0.7]).tolist() == [[1, 0, -1], [-1, 0, -1]]
    counted = np.array([True, False])
    assert match(overlaps, [0.5], counted).tolist() == [[0, -1, 1]]
    assert match(overlaps, [0.5], counted, ~counted).tolist() == [[0, -1, 1]]
    assert match(np.zeros((2, 0)), [0.5]).tolist() == [[-1, -1]]


def test_precision_of_plain_hits():
    assert precision_of_hits(np.array([0.9, 0.8]), np.array([True, False]), 2) == pytest.approx(51 / 101)
    assert precision_of_hits(np.zeros(0), np.zeros(0, dtype=bool), 3) == 0
    assert precision_of_hits(np.array([0.5]), np.array([False]), 0) is None


def test_boxes_and_sizes_need_to_fit():
    with pytest.raises(InputError, match="1 predictions need as many boxes, got 2"):
        InstanceSample((), (square(0, 0, 4),), predicted_boxes=((0, 0, 4, 4), (0, 0, 1, 1)))
    with pytest.raises(InputError, match="share a canvas"):
        InstanceSample((square(0, 0, 4),), (Mask.empty(4, 4),))


def test_boxes_that_are_given_are_compared_as_they_are():
    mask, box = square(10, 10, 20, 0.9), (15.25, 10.0, 35.25, 30.0)
    given = InstanceSample((mask,), (mask,), truth_boxes=(box,))
    assert average_precision([given])["ap"] == pytest.approx(1)
    assert average_precision([given], kind="bbox") == pytest.approx(by_pycocotools([given], "bbox"), abs=1e-6)
    assert 0 < average_precision([given], kind="bbox")["ap"] < 0.5


@pytest.mark.parametrize(("score", "expected"), [(None, 0.5), (1.0, 0.5), (0.95, 0.5), (0.9, 1.0), (0.0, 1.0)])
def test_a_prediction_without_a_score_ranks_as_one_of_score_1(score, expected):
    right, wrong = square(0, 0, 40, 0.9), square(60, 60, 30, score)
    found = average_precision([InstanceSample((square(0, 0, 40),), (right, wrong))])
    assert found["ap50"] == pytest.approx(expected)


def test_of_equal_scores_the_first_ranks_first():
    right, wrong = square(0, 0, 40), square(60, 60, 30, 1.0)
    truth = (square(0, 0, 40),)
    assert average_precision([InstanceSample(truth, (right, wrong))])["ap50"] == pytest.approx(1)
    assert average_precision([InstanceSample(truth, (wrong, right))])["ap50"] == pytest.approx(0.5)
