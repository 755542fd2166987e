"""Two clusters of colours: each point with its nearer mean, restarts, seeds, colour spaces."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fiducial.refiners.cfpg import colours_of, two_means
from fiducial.refiners.configs import ColourSpace

POINTS = arrays.arrays(np.uint8, st.tuples(st.integers(2, 40), st.just(3)))


def inertia_of(points, second):
    parts = [points[second == side].astype(float) for side in (False, True)]
    return sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts)


@given(POINTS, st.integers(0, 9))
def test_both_clusters_hold_points_and_every_point_is_with_its_nearer_mean(values, seed):
    points = values.astype(np.float32) / 255
    found = two_means(points, seed)
    if (points == points[0]).all():
        assert found is None
        return
    assert found is not None
    second, separation = found
    assert 0 < second.sum() < len(points)
    means = np.stack([points[~second].mean(axis=0), points[second].mean(axis=0)])
    apart = ((points[:, None] - means) ** 2).sum(axis=2)
    own = apart[np.arange(len(points)), second.astype(int)]
    assert (own <= apart.min(axis=1) + 1e-4).all()
    spread = ((points - points.mean(axis=0)) ** 2).sum()
    assert separation == pytest.approx(1 - inertia_of(points, second) / spread, abs=1e-3)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(3, 8), st.just(3)), unique=False))
def test_restarts_come_near_the_best_of_all_splits(values):
    points = values.astype(np.float32) / 255
    found = two_means(points, 0, restarts=20)
    if found is None:
        return
    count = len(points)
    splits = [np.array([(code >> i) & 1 for i in range(count)], bool) for code in range(1, 2 ** (count - 1))]
    best = min(inertia_of(points, split) for split in splits)
    assert inertia_of(points, found[0]) <= 1.5 * best + 1e-3


@pytest.mark.parametrize("seed", [20, 48, 222])
def test_restarts_find_what_cuts_across_the_axes_miss(seed):
    points = np.random.default_rng(seed).integers(0, 10, (7, 3)).astype(np.float32)
    best = min(inertia_of(points, np.array([(code >> i) & 1 for i in range(7)], bool)) for code in range(1, 64))
    found = [inertia_of(points, two_means(points, 0, restarts=restarts)[0]) for restarts in (0, 40)]
    assert found[0] > 1.02 * best
    assert found[1] == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("space", ["lab", "rgb", "hsv"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_split_of_a_crop_is_as_good_as_the_best_of_twenty(space, seed):
    photo = skimage.data.coffee()
    rng = np.random.default_rng(3)
    for _ in range(4):
        x, y = int(rng.integers(0, 500)), int(rng.integers(0, 300))
        points = colours_of(np.ascontiguousarray(photo[y : y + 96 : 2, x : x + 96 : 2]), space)
        best = min(inertia_of(points, two_means(points, 100 + start, restarts=1)[0]) for start in range(20))
        assert inertia_of(points, two_means(points, seed)[0]) <= 1.001 * best


def test_a_split_that_kmeans_plus_plus_seldom_finds_is_found():
    """Four clouds at the corners of a rectangle: a cut between its long sides is one where k-means stops as well."""
    rng = np.random.default_rng(0)
    corners = np.repeat([(-1, 0.8, 0), (-1, -0.8, 0), (1, 0.8, 0), (1, -0.8, 0)], 400, axis=0)
    points = (corners + rng.normal(0, 0.02, corners.shape)).astype(np.float32)
    for seed in range(10):
        second, _ = two_means(points, seed, restarts=1)
        assert second[:800].all() != second[800:].all()
        assert second.sum() == 800


def test_two_clouds_are_told_apart_whatever_their_sizes():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0.2, 0.02, (500, 3)), rng.normal(0.8, 0.02, (20, 3))]).astype(np.float32)
    second, separation = two_means(points, 3)
    assert second[:500].all() != second[500:].all()
    assert second.sum() in (20, 500)
    assert separation > 0.9


def test_the_seed_decides_and_nothing_global_is_touched():
    points = np.random.default_rng(1).random((300, 3)).astype(np.float32)
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first, again = two_means(points, 7), two_means(points, 7)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(np.random.get_state()[1], before)


def test_colours_of_known_pixels():
    pixels = np.array([[[255, 0, 0], [0, 0, 0]], [[255, 255, 255], [0, 0, 255]]], np.uint8)
    assert colours_of(pixels, "rgb").tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert colours_of(pixels, "hsv") == pytest.approx(
        np.array([[1, 0, 1], [0, 0, 0], [0, 0, 1], [-0.5, -(3**0.5) / 2, 1]]), abs=1e-5
    )
    assert colours_of(pixels, "lab")[0] == pytest.approx([0.5324, 0.8009, 0.6720], abs=2e-3)
    assert colours_of(pixels, "grey").ravel() == pytest.approx([0.299, 0, 1, 0.114], abs=1e-3)
    for space in get_args(ColourSpace):
        assert colours_of(pixels, space).shape == (4, 1 if space == "grey" else 3)
        assert colours_of(pixels, space).dtype == np.float32


def test_reds_on_both_ends_of_the_hue_circle_are_neighbours():
    pixels = np.array([[[255, 0, 12], [255, 12, 0], [0, 255, 255]]], np.uint8)
    left, right, opposite = colours_of(pixels, "hsv")
    assert np.linalg.norm(left - right) < 0.15 < 1.5 < np.linalg.norm(left - opposite)
