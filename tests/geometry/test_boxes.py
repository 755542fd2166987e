import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import GeometryError
from fiducial.geometry import Frame, boxes

MEASURES = (boxes.iou, boxes.giou, boxes.diou, boxes.ciou)


@st.composite
def box_lists(draw, min_size=1, max_size=12):
    """Boxes of any size, coarse ones with equal edges among them; one draw for all numbers."""
    count = draw(st.integers(min_size, max_size))
    raw = np.frombuffer(draw(st.binary(min_size=8 * count, max_size=8 * count)), dtype=np.int16).reshape(-1, 4)
    raw = raw // draw(st.sampled_from([1, 1, 4096])) / draw(st.sampled_from([1.0, 4.0, 3.7]))
    low, high = np.minimum(raw[:, :2], raw[:, 2:]), np.maximum(raw[:, :2], raw[:, 2:])
    return np.concatenate([low, high + draw(st.sampled_from([0.0, 1.0]))], axis=1)


@given(box_lists(), box_lists())
def test_the_measures_are_ordered_and_bounded(a, b):
    iou, giou, diou, ciou = (measure(a, b) for measure in MEASURES)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert (giou <= iou + 1e-9).all()
    assert (diou <= iou + 1e-9).all()
    assert (ciou <= diou + 1e-9).all()
    assert (giou >= -1 - 1e-9).all()
    assert (diou >= -1 - 1e-9).all()


@given(box_lists(), box_lists())
def test_the_measures_are_symmetric(a, b):
    for measure in MEASURES:
        np.testing.assert_allclose(measure(a, b), measure(b, a).T, atol=1e-9)


@given(box_lists(), box_lists(), st.sampled_from([2, 3, 10]), st.integers(-50, 50))
def test_the_measures_do_not_change_under_scaling_flips_and_shifts(a, b, factor, shift):
    for measure in (boxes.iou, boxes.giou, boxes.diou, boxes.ciou):
        expected = measure(a, b)
        np.testing.assert_allclose(measure(a * factor, b * factor), expected, atol=1e-7)
        mirrored = [x[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] for x in (a, b)]
        np.testing.assert_allclose(measure(*mirrored), expected, atol=1e-7)
        if min((x[:, 2:] - x[:, :2]).min() for x in (a, b)) > 0.5:  # else the shift rounds the box away
            np.testing.assert_allclose(measure(a + shift, b + shift), expected, atol=1e-5)


@given(box_lists(12, 12), box_lists(12, 12))
def test_row_by_row_is_the_diagonal(a, b):
    for measure in MEASURES:
        np.testing.assert_allclose(measure(a, b, pairwise=False), np.diag(measure(a, b)), atol=1e-12)


def test_golden_values():
    a, b = [[0, 0, 2, 2]], [[1, 1, 3, 3]]
    assert boxes.iou(a, b)[0, 0] == pytest.approx(1 / 7)
    assert boxes.giou(a, b)[0, 0] == pytest.approx(1 / 7 - 2 / 9)
    assert boxes.diou(a, b)[0, 0] == pytest.approx(1 / 7 - 2 / 18)
    assert boxes.ciou(a, b)[0, 0] == pytest.approx(1 / 7 - 2 / 18)
    wide = [[0, 0, 4, 1]]
    v = 4 / math.pi**2 * (math.atan(4) - math.atan(1)) ** 2
    overlap = 2 / 6
    distance = ((2 - 1) ** 2 + (0.5 - 1) ** 2) / (16 + 4)
    assert boxes.ciou(wide, a)[0, 0] == pytest.approx(overlap - distance - v * v / (1 - overlap + v))


def test_identical_boxes_score_one_and_far_ones_tend_to_minus_one():
    box = [[3, 4, 10, 20]]
    for measure in MEASURES:
        assert measure(box, box)[0, 0] == pytest.approx(1)
    assert boxes.giou([[0, 0, 1, 1]], [[1e6, 1e6, 1e6 + 1, 1e6 + 1]])[0, 0] == pytest.approx(-1, abs=1e-5)


def test_empty_boxes_never_divide_by_zero():
    point = [[5, 5, 5, 5]]
    for measure in MEASURES:
        assert measure(point, point)[0, 0] == 0
        assert np.isfinite(measure(point, [[0, 0, 1, 1]])).all()
    assert boxes.iou([], [[0, 0, 1, 1]]).shape == (0, 1)


@given(box_lists(), st.sampled_from(["xyxy", "xywh", "cxcywh", "yxyx"]), st.sampled_from(["xywh", "cxcywh", "yxyx"]))
def test_formats_convert_there_and_back(given_boxes, source, target):
    there = boxes.convert(given_boxes, source, target)
    np.testing.assert_allclose(boxes.convert(there, target, source), given_boxes, atol=1e-6)


def test_formats_mean_what_they_say():
    assert boxes.convert([1, 2, 4, 8], "xyxy", "xywh").tolist() == [1, 2, 3, 6]
    assert boxes.convert([1, 2, 4, 8], "xyxy", "cxcywh").tolist() == [2.5, 5, 3, 6]
    assert boxes.convert([1, 2, 4, 8], "xyxy", "yxyx").tolist() == [2, 1, 8, 4]
    with pytest.raises(GeometryError, match="unknown box format 'ltrb'"):
        boxes.convert([1, 2, 4, 8], "ltrb", "xyxy")


def test_clipping_uses_the_frames_corners():
    assert boxes.clip([-5, 2, 50, 400], Frame.pixels(40, 30)).tolist() == [0, 2, 40, 30]
    assert boxes.clip([-5, -2, 0.5, 4], Frame.centred()).tolist() == [-1, -1, 0.5, 1]
    assert boxes.area(boxes.clip([50, 50, 60, 60], Frame.pixels(40, 30))) == 0


def test_degenerate_boxes_follow_the_policy():
    mixed = [[0, 0, 1, 1], [2, 2, 2, 3], [5, 5, 4, 6]]
    assert boxes.validate(mixed, degenerate="drop").tolist() == [[0, 0, 1, 1]]
    assert len(boxes.validate(mixed, degenerate="keep")) == 3
    with pytest.raises(GeometryError, match=r"box 1 needs x1 < x2"):
        boxes.validate(mixed)
    for policy in ("error", "drop", "keep"):
        with pytest.raises(GeometryError, match="box 0 holds a number that is not finite"):
            boxes.validate([[0, 0, math.nan, 1]], degenerate=policy)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boxes.as_boxes([1, 2, 3]), r"shape \(\.\.\., 4\), got \(3,\)"),
        (lambda: boxes.as_boxes("abcd"), "need numbers"),
        (lambda: boxes.validate([0, 0, 1, 1]), r"shape \(N, 4\)"),
        (lambda: boxes.iou([0, 0, 1, 1], [[0, 0, 1, 1]]), r"shape \(N, 4\)"),
        (lambda: boxes.iou([[0, 0, 1, 1]], [[0, 0, 1, 1]] * 2, pairwise=False), "got 1 and 2"),
        (lambda: boxes.nms([[0, 0, 1, 1]], [1, 2]), "as many scores"),
    ],
)
def test_bad_shapes_are_named(call, message):
    with pytest.raises(GeometryError, match=message):
        call()


def test_suppression_by_score_and_by_area():
    given_boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 3, 3]]
    assert boxes.nms(given_boxes, [0.5, 0.9, 0.1, 0.8]).tolist() == [1, 3, 2]
    assert boxes.nms_by_area(given_boxes).tolist() == [0, 2, 3]
    assert boxes.nms(given_boxes, [1, 1, 1, 1], threshold=0.9).tolist() == [0, 1, 2, 3]
    assert boxes.nms(np.empty((0, 4)), []).tolist() == []


@given(box_lists(1, 12), st.floats(0, 1), st.randoms(use_true_random=False))
def test_what_suppression_keeps_is_apart_and_what_it_drops_is_covered(given_boxes, threshold, random):
    scores = [random.random() for _ in given_boxes]
    kept = boxes.nms(given_boxes, scores, threshold)
    overlaps = boxes.iou(given_boxes, given_boxes)
    assert (overlaps[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)] <= threshold).all()
    for dropped in set(range(len(given_boxes))) - set(kept.tolist()):
        better = [k for k in kept if scores[k] >= scores[dropped]]
        assert (overlaps[dropped, better] > threshold).any()
