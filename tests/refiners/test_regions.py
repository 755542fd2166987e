from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.spatial import ConvexHull

from fiducial.refiners.regions import hull_area, measure_regions, split_regions


def disc(shape, x, y, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def measured(second, least_area=0.0, marker_threshold=0.5):
    labels, depth, first_count = split_regions(second, marker_threshold)
    return labels, measure_regions(labels, depth, first_count, least_area)


@settings(max_examples=80, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(2, 14), st.integers(2, 14))), st.floats(0, 1))
def test_regions_are_connected_keep_to_their_side_and_cover_everything(second, threshold):
    labels, regions = measured(second, marker_threshold=threshold)
    assert (labels > 0).all()
    assert sum(region.area for region in regions) == second.size
    for region in regions:
        inside = labels == region.label
        assert (second[inside] == bool(region.cluster)).all()
        assert ndimage.label(inside)[1] == 1
        assert 0 < region.convexity <= 1
        x, y = region.point
        assert inside[int(y), int(x)]


@settings(max_examples=80, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 10), st.integers(1, 10))))
def test_the_hull_is_that_of_all_corners(inside):
    inside = inside[inside.any(axis=1)]
    if not inside.size:
        return
    rows, columns = np.nonzero(inside)
    corners = np.concatenate([np.stack([columns + i, rows + j], 1) for i in (0, 1) for j in (0, 1)])
    assert hull_area(inside) == pytest.approx(ConvexHull(corners).volume)


def test_a_rectangle_is_fully_convex_and_a_cross_is_not():
    second = np.zeros((30, 40), bool)
    second[5:15, 8:30] = True
    _, regions = measured(second)
    [rectangle] = [region for region in regions if region.cluster == 1]
    assert (rectangle.convexity, rectangle.area, rectangle.centroid) == (1.0, 220, (19.0, 10.0))
    cross = np.zeros((9, 9), bool)
    cross[3:6] = cross[:, 3:6] = True
    assert hull_area(cross) == 9 * 9 - 4 * (3 * 3 / 2)


def test_touching_discs_are_split_and_one_disc_is_not():
    shape = (60, 100)
    two = disc(shape, 31, 30, 20) | disc(shape, 69, 30, 20)
    assert ndimage.label(two)[1] == 1
    _, regions = measured(two, least_area=100)
    found = [region for region in regions if region.cluster == 1]
    assert sorted(round(region.centroid[0]) for region in found) == [31, 69]
    _, regions = measured(disc(shape, 50, 30, 22), least_area=100)
    assert len([region for region in regions if region.cluster == 1]) == 1


def test_a_ring_takes_its_deepest_place_instead_of_its_centroid():
    shape = (80, 80)
    ring = disc(shape, 40, 40, 34) & ~disc(shape, 40, 40, 20)
    labels, regions = measured(ring, marker_threshold=0.0)
    [region] = [region for region in regions if region.cluster == 1]
    assert region.moved
    assert region.centroid == pytest.approx((40, 40))
    x, y = region.point
    assert labels[int(y), int(x)] == region.label
    assert np.hypot(x - 40, y - 40) == pytest.approx(27, abs=1.5)


def test_small_regions_do_not_count():
    second = np.zeros((20, 20), bool)
    second[2:4, 2:4] = True
    _, regions = measured(second, least_area=5)
    assert [region.cluster for region in regions] == [0] * len(regions)
