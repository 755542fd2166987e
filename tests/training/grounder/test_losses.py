import numpy as np
import pytest
import torch

from fiducial.geometry import boxes as box_arrays
from fiducial.prompters.grounder.network import boxes_of
from fiducial.training.grounder.config import Losses
from fiducial.training.grounder.losses import focal, giou, losses


def test_focal_has_the_papers_value():
    logits = torch.tensor([0.0, 2.0, -1.0]).reshape(1, 1, 1, 3)
    targets = torch.tensor([1.0, 0.5, 0.0]).reshape(1, 1, 1, 3)
    p = 1 / (1 + np.exp(-np.array([0.0, 2.0, -1.0])))
    expected = -((1 - p[0]) ** 2 * np.log(p[0]))
    expected -= (1 - 0.5) ** 4 * p[1] ** 2 * np.log(1 - p[1]) + p[2] ** 2 * np.log(1 - p[2])
    assert float(focal(logits, targets)) == pytest.approx(expected, rel=1e-5)
    assert float(focal(logits.repeat(2, 1, 1, 1), targets.repeat(2, 1, 1, 1))) == pytest.approx(expected, rel=1e-5)


def test_nothing_is_learned_where_there_is_no_loss():
    logits = torch.tensor([5.0, -3.0], requires_grad=True)
    focal(logits.reshape(1, 1, 1, 2), torch.tensor([-1.0, 0.0]).reshape(1, 1, 1, 2)).backward()
    assert logits.grad[0] == 0
    assert logits.grad[1] > 0


def test_a_crop_of_background_alone_has_a_finite_loss():
    assert float(focal(torch.full((1, 2, 4, 4), -4.6), torch.zeros(1, 2, 4, 4))) < 0.01


def test_giou_is_that_of_geometry():
    random = np.random.default_rng(0)
    one, other = (np.sort(random.uniform(0, 9, (50, 2, 2)), axis=1).reshape(50, 4) for _ in range(2))
    found = giou(torch.from_numpy(one), torch.from_numpy(other))
    np.testing.assert_allclose(found.numpy(), box_arrays.giou(one, other, pairwise=False), atol=1e-6)


def test_right_boxes_cost_nothing_and_others_by_their_weight():
    sides = torch.full((1, 4, 2, 2), 8.0)
    boxes = boxes_of(sides).clone()
    weight = torch.tensor([[[0.5, 0.5], [0.0, 0.0]]])
    heat = torch.zeros(1, 1, 2, 2)
    found = losses(heat, sides, (heat, boxes, weight), Losses(1.0, 3.0))
    assert float(found["boxes"]) == pytest.approx(0, abs=1e-6)
    boxes[0, :, 0, 0] += 16  # the next square: GIoU 0 - 0, they touch
    boxes[0, :, 1, 1] += 99  # without weight
    found = losses(heat, sides, (heat, boxes, weight), Losses(1.0, 3.0))
    apart = 1 - box_arrays.giou([[0, 0, 16, 16]], [[16, 16, 32, 32]])[0, 0]
    assert float(found["boxes"]) == pytest.approx(0.5 * apart, rel=1e-5)
    assert float(found["all"]) == pytest.approx(float(found["heat"]) + 3 * 0.5 * apart, rel=1e-5)
