"""The same numbers as other packages give, where their conventions are ours."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import Totals, policy, score_sample

SHAPE = (24, 31)


def random_pairs(count=40):
    generator = np.random.default_rng(0)
    for _ in range(count):
        cut = generator.uniform(0.05, 0.9, 2)
        yield tuple(generator.random(SHAPE) < share for share in cut)


def scored(pairs):
    rules = policy("fiducial")
    return [score_sample(rules, *map(Mask.from_dense, pair), Outcome.FOUND) for pair in pairs]


def test_iou_of_masks_and_boxes_is_that_of_pycocotools():
    for pair, score in zip(random_pairs(), scored(random_pairs()), strict=True):
        codes = [coco.encode(np.asfortranarray(each.astype(np.uint8))) for each in pair]
        assert score.iou == pytest.approx(float(coco.iou(codes[:1], codes[1:], [0])[0, 0]), abs=1e-15)
        boxes = [np.array([coco.toBbox(code)]) for code in codes]
        assert score.box_iou == pytest.approx(float(coco.iou(boxes[0], boxes[1], [0])[0, 0]), abs=1e-15)


def test_masks_are_counted_as_torchmetrics_counts_them():
    pytest.importorskip("torchmetrics")
    import torch
    from torchmetrics.classification import BinaryF1Score, BinaryJaccardIndex

    torch.set_num_threads(1)
    overall, each_dice = BinaryJaccardIndex(), []
    for truth, prediction in random_pairs():
        one, two = torch.from_numpy(prediction.astype(int)), torch.from_numpy(truth.astype(int))
        overall.update(one, two)
        each_dice.append(float(BinaryF1Score()(one, two)))
    report = Totals(policy("fiducial")).extend(scored(random_pairs())).report()
    assert report["cum_iou"] == pytest.approx(float(overall.compute()), abs=1e-6)
    assert report["dice"] == pytest.approx(np.mean(each_dice), abs=1e-6)


def test_boxes_are_compared_as_torchmetrics_compares_them():
    pytest.importorskip("torchmetrics")
    pytest.importorskip("torchvision", reason="torchmetrics measures boxes with torchvision")
    import torch
    from torchmetrics.functional.detection import (
        complete_intersection_over_union,
        distance_intersection_over_union,
        generalized_intersection_over_union,
        intersection_over_union,
    )

    for pair, score in zip(random_pairs(), scored(random_pairs()), strict=True):
        one, two = (torch.tensor([Mask.from_dense(each).box]) for each in pair)
        assert score.box_iou == pytest.approx(float(intersection_over_union(one, two)), abs=1e-5)
        assert score.box_giou == pytest.approx(float(generalized_intersection_over_union(one, two)), abs=1e-5)
        assert score.box_diou == pytest.approx(float(distance_intersection_over_union(one, two)), abs=1e-5)
        assert score.box_ciou == pytest.approx(float(complete_intersection_over_union(one, two)), abs=1e-5)
