from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fiducial.refiners.clustering import two_means
from fiducial.refiners.colours import COLOUR_SPACES, colours_of

POINTS = arrays.arrays(np.uint8, st.tuples(st.integers(2, 40), st.just(3)))


def inertia_of(points, second):
    parts = [points[second == side].astype(float) for side in (False, True)]
    return sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts)


@settings(max_examples=150, deadline=None)
@given(POINTS, st.integers(0, 9))
def test_both_clusters_hold_points_and_every_point_is_with_its_nearer_mean(values, seed):
    points = values.astype(np.float32) / 255
    found = two_means(points, seed)
    if (points == points[0]).all():
        assert found is None
        return
    assert found is not None
    assert 0 < found.second.sum() < len(points)
    means = np.stack([points[~found.second].mean(axis=0), points[found.second].mean(axis=0)])
    apart = ((points[:, None] - means) ** 2).sum(axis=2)
    own = apart[np.arange(len(points)), found.second.astype(int)]
    assert (own <= apart.min(axis=1) + 1e-4).all()
    assert found.inertia == pytest.approx(inertia_of(points, found.second), abs=1e-3)
    spread = ((points - points.mean(axis=0)) ** 2).sum()
    assert found.separation == pytest.approx(1 - found.inertia / spread, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(3, 8), st.just(3)), unique=False))
def test_restarts_come_near_the_best_of_all_splits(values):
    points = values.astype(np.float32) / 255
    found = two_means(points, 0, restarts=20)
    if found is None:
        return
    count = len(points)
    splits = [np.array([(code >> i) & 1 for i in range(count)], bool) for code in range(1, 2 ** (count - 1))]
    best = min(inertia_of(points, split) for split in splits)
    assert found.inertia <= 1.5 * best + 1e-3


def test_two_clouds_are_told_apart_whatever_their_sizes():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0.2, 0.02, (500, 3)), rng.normal(0.8, 0.02, (20, 3))]).astype(np.float32)
    found = two_means(points, 3)
    assert found.second[:500].all() != found.second[500:].all()
    assert found.second.sum() in (20, 500)
    assert found.separation > 0.9


def test_the_seed_decides_and_nothing_global_is_touched():
    points = np.random.default_rng(1).random((300, 3)).astype(np.float32)
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first, again = two_means(points, 7), two_means(points, 7)
    assert np.array_equal(first.second, again.second)
    assert np.array_equal(np.random.get_state()[1], before)


def test_colours_of_known_pixels():
    pixels = np.array([[[255, 0, 0], [0, 0, 0]], [[255, 255, 255], [0, 0, 255]]], np.uint8)
    assert colours_of(pixels, "rgb").tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert colours_of(pixels, "hsv") == pytest.approx(
        np.array([[1, 0, 1], [0, 0, 0], [0, 0, 1], [-0.5, -(3**0.5) / 2, 1]]), abs=1e-5
    )
    assert colours_of(pixels, "lab")[0] == pytest.approx([0.5324, 0.8009, 0.6720], abs=2e-3)
    assert colours_of(pixels, "grey").ravel() == pytest.approx([0.299, 0, 1, 0.114], abs=1e-3)
    for space in COLOUR_SPACES:
        assert colours_of(pixels, space).shape == (4, 1 if space == "grey" else 3)
        assert colours_of(pixels, space).dtype == np.float32


def test_reds_on_both_ends_of_the_hue_circle_are_neighbours():
    pixels = np.array([[[255, 0, 12], [255, 12, 0], [0, 255, 255]]], np.uint8)
    left, right, opposite = colours_of(pixels, "hsv")
    assert np.linalg.norm(left - right) < 0.15 < 1.5 < np.linalg.norm(left - opposite)
