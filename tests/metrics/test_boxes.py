from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import FrameError, GeometryError
from fiducial.geometry import Frame, Mask, Prompt, Prompts, boxes
from fiducial.metrics.boxes import (
    AGREED,
    MISSED,
    box_array,
    last_pixel_overlap,
    mask_boxes,
    mixed_ciou,
    overlap,
    pair_overlap,
)
from metrics.strategies import dense_pairs

corner = st.integers(0, 30)
extent = st.integers(1, 20)
box = st.builds(lambda x, y, w, h: [x, y, x + w, y + h], corner, corner, extent, extent)
box_lists = st.lists(box, min_size=1, max_size=3).map(lambda rows: np.array(rows, dtype=float))


@given(box_lists, box_lists, st.booleans())
def test_measures_stand_in_their_order_and_ranges(truth, prediction, any_box):
    found = overlap(truth, prediction, any_box=any_box)
    slack = 1e-12
    assert 0 <= found.iou <= 1
    assert -1 <= found.giou <= found.iou + slack
    assert -1 <= found.diou <= found.iou + slack
    assert -1.5 <= found.ciou <= found.diou + slack


@given(box_lists, box_lists, st.integers(2, 5))
def test_measures_are_symmetric_and_do_not_mind_flips_or_scale(truth, prediction, factor):
    found = vars_of(overlap(truth, prediction))
    assert vars_of(overlap(prediction, truth)) == pytest.approx(found)
    assert vars_of(overlap(truth * factor, prediction * factor)) == pytest.approx(found)
    mirrored = [rows[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] for rows in (truth, prediction)]
    assert vars_of(overlap(*mirrored)) == pytest.approx(found)
    assert vars_of(overlap(truth, truth)) == pytest.approx([1, 1, 1, 1])


def vars_of(found):
    return [found.iou, found.giou, found.diou, found.ciou]


@given(box_lists, box_lists)
def test_one_pair_gets_the_iou_of_many(truth, prediction):
    assert pair_overlap(truth[0], prediction[0]).iou == pytest.approx(boxes.iou(truth[:1], prediction[:1])[0, 0])


def test_golden_values():
    assert vars_of(pair_overlap([0, 0, 2, 2], [1, 1, 3, 3])) == pytest.approx(
        [1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 2 / 18, 1 / 7 - 2 / 18]
    )
    v = 4 / math.pi**2 * (math.atan(4) - math.atan(1)) ** 2
    iou, distance = 2 / 6, ((2 - 1) ** 2 + (0.5 - 1) ** 2) / (16 + 4)
    assert pair_overlap([0, 0, 4, 1], [0, 0, 2, 2]).ciou == pytest.approx(iou - distance - v * v / (1 - iou + v))
    assert pair_overlap([0, 0, 1, 1], [1e6, 1e6, 1e6 + 1, 1e6 + 1]).giou == pytest.approx(-1, abs=1e-5)


def test_boxes_without_area_overlap_nothing():
    assert vars_of(pair_overlap([3, 3, 3, 3], [3, 3, 3, 3])) == [0, 0, 0, 0]
    assert np.isfinite(vars_of(pair_overlap([5, 5, 5, 5], [0, 0, 1, 1]))).all()
    assert pair_overlap([0, 0, 0, 0], [4, 4, 4, 4]).diou == -1


def test_the_box_around_everything_is_compared():
    truth, prediction = np.array([[0, 0, 2, 2], [8, 0, 10, 2.0]]), np.array([[0, 0, 10, 2.0]])
    assert overlap(truth, prediction).iou == 1


def test_any_box_takes_the_best_single_or_enclosing_one():
    truth, prediction = np.array([[0, 0, 2, 2.0]]), np.array([[8, 8, 9, 9], [0, 0, 2, 2.0]])
    assert overlap(truth, prediction, any_box=True).iou == 1
    assert overlap(truth, prediction).iou == pytest.approx(4 / 81)
    halves = np.array([[0, 0, 1, 2], [1, 0, 2, 2.0]])
    assert overlap(truth, halves, any_box=True).iou == 1


def test_silence_never_beats_a_poor_box():
    none, some = np.empty((0, 4)), np.array([[0, 0, 2, 2.0]])
    assert overlap(none, none) == AGREED
    assert overlap(none, none, agreed=False) == MISSED
    assert overlap(some, none) == overlap(none, some) == MISSED
    far = overlap(some, np.array([[900, 0, 902, 1.0]]))
    assert far.giou > MISSED.giou
    assert far.diou > MISSED.diou


def test_boxes_come_as_numbers_or_prompts():
    frame = Frame.pixels(10, 10)
    both = Prompts(frame, (Prompt(frame, box=(1, 2, 3, 4)), Prompt(frame, points=((1, 1),))))
    assert box_array(both, frame).tolist() == [[1, 2, 3, 4]]
    assert box_array(both[1:], frame) is None
    assert box_array(Prompts(frame), frame).shape == (0, 4)
    assert box_array([], frame).shape == (0, 4)
    assert box_array(None, frame) is None
    assert box_array([1, 2, 3, 4], None).tolist() == [[1, 2, 3, 4]]
    with pytest.raises(FrameError, match="the boxes are in frame"):
        box_array(both.to(Frame.unit()), frame)
    with pytest.raises(GeometryError, match="needs x1 < x2"):
        box_array([[3, 0, 1, 1]], frame)


def test_a_mask_gives_its_tight_box():
    assert mask_boxes(Mask.from_box((1, 2, 3, 4), 9, 9)).tolist() == [[1, 2, 3, 4]]
    assert mask_boxes(Mask.empty(9, 9)).shape == mask_boxes(None).shape == (0, 4)


def as_the_notebook(truth, prediction):
    """SJTU's three columns, written from the rules in its notebook on dense arrays."""

    def tight(mask):
        y, x = np.nonzero(mask)
        return [x.min(), y.min(), x.max(), y.max()] if len(x) else [0, 0, 0, 0]

    joined = (truth | prediction).sum()
    iou = (truth & prediction).sum() / joined if joined else 0.0
    a, b = tight(truth), tight(prediction)
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    span = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    hull = span[0] * span[1]
    giou = shared / union - (hull - union) / hull if union else 0
    if a[3] <= a[1] or b[3] <= b[1]:
        return iou, giou, 0.0
    gap = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    shape = [math.atan(max(c[2] - c[0], 1e-7) / (c[3] - c[1])) for c in (a, b)]
    v = 4 / math.pi**2 * (shape[1] - shape[0]) ** 2
    return iou, giou, iou - gap / (span[0] ** 2 + span[1] ** 2 + 1e-7) - v / (1 - iou + v + 1e-7) * v


@given(dense_pairs())
def test_the_mixed_metric_is_that_of_the_notebook(pair):
    truth, prediction = map(Mask.from_dense, pair)
    iou, giou, ciou = as_the_notebook(*pair)
    found = last_pixel_overlap(truth, prediction)
    assert found.giou == pytest.approx(giou)
    assert found.giou <= found.iou + 1e-12
    assert mixed_ciou(truth, prediction, iou) == pytest.approx(ciou)


def test_the_mixed_metric_can_exceed_the_iou_of_masks():
    truth, prediction = Mask.from_box((0, 0, 9, 9), 9, 9), np.zeros((9, 9))
    prediction[0, :] = prediction[:, 0] = prediction[8, 8] = 1
    frame = Mask.from_dense(prediction)
    assert last_pixel_overlap(truth, frame).giou == 1 > truth.iou(frame)
