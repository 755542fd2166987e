import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fiducial.training.losses import cross_entropy, dice, focal, structure, true_iou

ALL = [cross_entropy, dice, focal, structure]


def square(size=16, edge=6, at=5):
    target = torch.zeros(1, size, size)
    target[0, at : at + edge, at : at + edge] = 1
    return target


def test_an_undecided_pixel_costs_the_logarithm_of_two():
    found = cross_entropy(torch.zeros(2, 3, 4), torch.tensor([0.0, 1.0])[:, None, None].expand(2, 3, 4))
    torch.testing.assert_close(found, torch.full((2,), math.log(2)))


def test_dice_by_hand():
    logits = torch.tensor([[[50.0, 50.0], [-50.0, -50.0]]])
    target = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    # one of two pixels is shared: 1 - (2 * 1 + 1) / (2 + 2 + 1)
    torch.testing.assert_close(dice(logits, target), torch.tensor([0.4]))


def test_focal_by_hand():
    logits = torch.full((1, 1, 1), math.log(3.0))  # p = 3/4
    torch.testing.assert_close(focal(logits, torch.ones(1, 1, 1)), torch.tensor([0.25 * 0.25**2 * -math.log(0.75)]))
    torch.testing.assert_close(focal(logits, torch.zeros(1, 1, 1)), torch.tensor([0.75 * 0.75**2 * -math.log(0.25)]))


def test_focal_without_its_exponent_is_the_cross_entropy():
    logits, target = torch.randn(3, 5, 5), (torch.rand(3, 5, 5) > 0.5).float()
    torch.testing.assert_close(2 * focal(logits, target, gamma=0, alpha=0.5), cross_entropy(logits, target))


def test_structure_without_emphasis_is_cross_entropy_and_iou():
    logits, target = torch.randn(1, 9, 9), (torch.rand(1, 9, 9) > 0.5).float()
    likely = torch.sigmoid(logits)
    both = (likely * target).sum()
    iou = 1 - (both + 1) / (likely.sum() + target.sum() - both + 1)
    torch.testing.assert_close(structure(logits, target, emphasis=0), cross_entropy(logits, target) + iou)


def test_structure_weighs_edges():
    target = square(32, 16, 8)
    sure = (target * 2 - 1) * 6
    at_edge, inside = sure.clone(), sure.clone()
    at_edge[0, 8, 12:16] = -6
    inside[0, 15, 12:16] = -6
    assert float(structure(at_edge, target, window=7)) > 1.5 * float(structure(inside, target, window=7))
    torch.testing.assert_close(cross_entropy(at_edge, target), cross_entropy(inside, target))


def test_the_padding_of_the_window_is_no_background():
    whole = torch.ones(1, 8, 8)
    torch.testing.assert_close(structure(whole, whole), structure(whole, whole, emphasis=0))


@pytest.mark.parametrize("loss", ALL)
def test_right_masks_cost_next_to_nothing_and_wrong_ones_do(loss):
    target = square()
    sure = (target * 2 - 1) * 20
    assert float(loss(sure, target)) < 1e-3
    assert float(loss(-sure, target)) > 0.5


@pytest.mark.parametrize("loss", ALL)
def test_every_mask_has_its_own_loss(loss):
    logits, targets = torch.randn(2, 3, 7, 5), torch.rand(2, 3, 7, 5)
    found = loss(logits, targets)
    assert found.shape == (2, 3)
    torch.testing.assert_close(found[1, 2], loss(logits[1, 2][None], targets[1, 2][None])[0])


@pytest.mark.parametrize("loss", ALL)
def test_going_downhill_finds_the_target(loss):
    target = square()
    logits = torch.zeros(1, 16, 16, requires_grad=True)
    for _ in range(60):
        (slope,) = torch.autograd.grad(loss(logits, target).sum(), logits)
        logits = (logits - 0.5 * slope.sign()).detach().requires_grad_()
    assert true_iou(logits, target).item() == 1


@given(st.integers(0, 2**31), st.floats(0.1, 60))
def test_losses_stay_finite(seed, scale):
    torch.manual_seed(seed)
    logits, target = torch.randn(2, 6, 6) * scale, torch.rand(2, 6, 6).round()
    for loss in ALL:
        found = loss(logits, target)
        assert torch.isfinite(found).all()
        assert (found >= -1e-6).all()


def test_true_iou_counts_pixels():
    logits = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]], [[-1.0, -1.0], [-1.0, -1.0]]], requires_grad=True)
    target = torch.tensor([[[0.9, 0.4], [0.6, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = true_iou(logits, target)
    torch.testing.assert_close(found, torch.tensor([1 / 3, 0.0]))
    assert not found.requires_grad
