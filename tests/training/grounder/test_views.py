import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.geometry import Mask
from fiducial.training.grounder.pictures import Thing
from fiducial.training.grounder.views import View, draw_view, recolour
from fiducial.training.sources import hull_of

PLAIN = View(np.eye(2), np.array([50.0, 40.0]), 64)


def test_a_plain_view_is_a_piece_of_the_picture():
    picture = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    np.testing.assert_array_equal(PLAIN.pixels(picture), picture[8:72, 18:82])
    assert PLAIN.to_window(np.array([[18.0, 8], [50, 40]])).tolist() == [[0, 0], [32, 32]]


def test_what_lies_outside_the_picture_is_grey():
    seen = View(np.eye(2), np.array([0.0, 0.0]), 16).pixels(np.zeros((20, 20, 3), np.uint8))
    assert (seen[:8, :8] == 114).all()
    assert not seen[8:, 8:].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 2.5))
def test_boxes_stay_true_under_any_turn_and_zoom(seed, scale):
    """What is drawn of a thing lies in the box that its hull gets, and fills it."""
    picture = np.zeros((400, 500, 3), np.uint8)
    triangle = np.array([(180, 150), (330, 190), (210, 300)], np.int32)
    picture = cv2.fillPoly(picture, [triangle], (255, 255, 255))
    hull = hull_of(Mask.from_dense(picture[..., 0] > 0))
    random = np.random.default_rng(seed)
    view = draw_view(picture.shape, Thing("ship", hull), 256, (scale, scale), 180, random)
    box, part = view.shown(hull)
    assert view.step == pytest.approx(1 / scale)
    shown = view.pixels(picture)
    seen = shown[..., 0] > 127
    rows, columns = np.nonzero(seen)
    if box is None or not len(rows):
        assert part < 0.02
        return
    drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert (np.array(box[:2]) - 1 <= drawn[:2]).all()
    assert (np.array(drawn[2:]) <= np.array(box[2:]) + 1).all()
    if part == 1:
        assert np.abs(np.array(drawn) - box).max() <= 4  # the sharp corners of the triangle fade
    area = cv2.contourArea(hull.astype(np.float32)) * scale**2
    assert seen.sum() == pytest.approx(part * area, rel=0.05, abs=40)


def test_a_thing_cut_by_the_edge_has_the_box_of_what_is_left():
    hull = np.array([(10.0, 20), (26, 20), (26, 60), (10, 60)])
    box, part = PLAIN.shown(hull)
    assert box == (0, 12, 8, 52)
    assert part == pytest.approx(0.5)
    assert PLAIN.shown(hull - 200) == (None, 0.0)
    corner = np.array([(0.0, 0), (20, 0), (0, 20)])  # its box reaches into the window, it does not
    assert PLAIN.shown(corner) == (None, 0.0)


def test_a_view_shows_its_thing_and_little_beside_the_picture():
    random = np.random.default_rng(0)
    hull = np.array([(480.0, 380), (499, 380), (499, 399), (480, 399)])
    for _ in range(50):
        view = draw_view((400, 500, 3), Thing("ship", hull), 128, (0.8, 1.2), 0, random)
        assert view.shown(hull)[1] > 0.99
        low, high = (view.centre - 64 * view.step, view.centre + 64 * view.step)
        assert (low >= -0.31 * 64 * view.step).all()
        assert (high <= np.array([500, 400]) + 0.31 * 64 * view.step).all()


def test_a_view_larger_than_the_picture_has_it_in_the_middle():
    view = draw_view((40, 50, 3), None, 256, (1.0, 1.0), 180, np.random.default_rng(0))
    assert view.centre.tolist() == [25, 20]


def test_views_are_mirrored_half_of_the_time():
    random = np.random.default_rng(0)
    signs = [np.linalg.det(draw_view((40, 50, 3), None, 32, (1.0, 1.0), 30, random).matrix) > 0 for _ in range(200)]
    assert 0.4 < np.mean(signs) < 0.6


def test_colours_change_and_stay_bytes():
    pixels = np.full((32, 32, 3), 120, np.uint8)
    found = [recolour(pixels, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.dtype == np.uint8 and one.shape == pixels.shape for one in found)
    assert sum(not np.array_equal(one, pixels) for one in found) >= 4
