from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt

from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask
from fiducial.metrics import boundary, outline_measures
from fiducial.metrics.boundaries import default_tolerance
from metrics.strategies import dense_masks, dense_pairs


def boundary_f(truth, prediction, tolerance=None):
    return outline_measures(truth, prediction, tolerance)[0]


def hausdorff95(truth, prediction, spacing=(1.0, 1.0)):
    return outline_measures(truth, prediction, spacing=spacing)[1]


def edge(dense):
    return dense & ~binary_erosion(dense)  # beyond the array is background


@given(dense_masks())
def test_the_boundary_is_the_mask_less_its_erosion(dense):
    assert np.array_equal(boundary(Mask.from_dense(dense)).to_dense(), edge(dense))


@given(dense_pairs(), st.sampled_from([0, 1, 1.5, 2]), st.sampled_from([(1.0, 1.0), (2.0, 0.5)]))
def test_both_measures_match_distance_transforms(pair, tolerance, spacing):
    truth, prediction = map(Mask.from_dense, pair)
    one, two = map(edge, pair)
    if not one.any() or not two.any():
        assert boundary_f(truth, prediction, tolerance) == float(not one.any() and not two.any())
        assert hausdorff95(truth, prediction, spacing) == (None if one.any() or two.any() else 0.0)
        return
    recall = (distance_transform_edt(~two)[one] <= tolerance).mean()
    precision = (distance_transform_edt(~one)[two] <= tolerance).mean()
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert boundary_f(truth, prediction, tolerance) == pytest.approx(expected)
    there = np.percentile(distance_transform_edt(~two, sampling=spacing)[one], 95)
    back = np.percentile(distance_transform_edt(~one, sampling=spacing)[two], 95)
    assert hausdorff95(truth, prediction, spacing) == pytest.approx(max(there, back))


@given(dense_pairs(), st.sampled_from([0, 1, 3]))
def test_both_measures_are_symmetric_and_do_not_mind_flips(pair, tolerance):
    one, two = map(Mask.from_dense, pair)
    mirrored = [Mask.from_dense(dense[:, ::-1]) for dense in pair]
    assert boundary_f(one, two, tolerance) == pytest.approx(boundary_f(two, one, tolerance))
    assert boundary_f(one, two, tolerance) == pytest.approx(boundary_f(*mirrored, tolerance))
    assert 0 <= boundary_f(one, two, tolerance) <= 1
    assert hausdorff95(one, two) == hausdorff95(two, one) == hausdorff95(*mirrored)
    assert boundary_f(one, one) == 1
    assert hausdorff95(one, one) == 0


def test_spacing_stretches_distances():
    one, two = Mask.from_box((0, 0, 1, 10), 10, 9), Mask.from_box((4, 0, 5, 10), 10, 9)
    assert hausdorff95(one, two) == 4
    assert hausdorff95(one, two, (7.0, 0.25)) == 1


def test_the_95th_percentile_leaves_a_lone_pixel_out():
    line = Mask.from_box((0, 0, 100, 1), 60, 100)
    assert hausdorff95(line, line.union(Mask.from_box((0, 59, 1, 60), 60, 100))) == 0


def test_the_default_tolerance_follows_the_picture():
    assert default_tolerance(480, 854) == 8  # the size of DAVIS
    assert default_tolerance(8, 8) == 1
    one, two = Mask.from_box((0, 0, 4, 4), 480, 854), Mask.from_box((8, 0, 12, 4), 480, 854)
    assert boundary_f(one, two) == 1
    assert boundary_f(one, two, 4) == 0
    assert boundary_f(one, two, 5) == pytest.approx(4 / 12)  # one side of each


def test_huge_canvases_cost_nothing():
    far = Mask.from_box((90_000, 3, 90_010, 13), 100_000, 100_000)
    assert hausdorff95(far, Mask.from_box((90_000, 13, 90_010, 23), 100_000, 100_000)) == 10


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a, b: boundary_f(a, b), GeometryError, "masks of 4 x 4 and 5 x 4 do not share a canvas"),
        (lambda a, b: boundary_f(a, a, -1), InputError, "0 pixels or more, got -1"),
        (lambda a, b: hausdorff95(a, a, (0.0, 1.0)), InputError, "two positive numbers"),
        (lambda a, b: hausdorff95(a, a, (float("nan"), 1.0)), InputError, "two positive numbers"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(Mask.from_box((0, 0, 2, 2), 4, 4), Mask.from_box((0, 0, 2, 2), 5, 4))
