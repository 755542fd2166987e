import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.geometry import Mask
from fiducial.training.grounder_crops import NO_LOSS, Seen, Thing, View, draw_view, targets_of

PLAIN = View(np.eye(2), np.array([50.0, 40.0]), 64)


def test_a_plain_view_is_a_piece_of_the_picture():
    picture = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    np.testing.assert_array_equal(PLAIN.pixels(picture), picture[8:72, 18:82])
    assert PLAIN.to_window(np.array([[18.0, 8], [50, 40]])).tolist() == [[0, 0], [32, 32]]


def test_what_lies_outside_the_picture_is_grey():
    seen = View(np.eye(2), np.array([0.0, 0.0]), 16).pixels(np.zeros((20, 20, 3), np.uint8))
    assert (seen[:8, :8] == 114).all()
    assert not seen[8:, 8:].any()


@given(st.integers(0, 10**6), st.floats(0.2, 2.5))
def test_boxes_stay_true_under_any_turn_and_zoom(seed, scale):
    """What is drawn of a thing lies in the box that its hull gets, and fills it."""
    picture = np.zeros((400, 500, 3), np.uint8)
    triangle = np.array([(180, 150), (330, 190), (210, 300)], np.int32)
    picture = cv2.fillPoly(picture, [triangle], (255, 255, 255))
    hull = Mask.from_dense(picture[..., 0] > 0).convex_hull()
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


# -- targets --------------------------------------------------------------------------------------

ALL = np.ones(2, bool)


def test_a_thing_peaks_at_the_place_of_its_centre():
    found = targets_of([Seen(1, (8.0, 16, 56, 40))], ALL, 64)
    assert np.argwhere(found.heat == 1).tolist() == [[1, 7, 8]]
    assert not found.heat[0].any()
    # Half width 6 cells * 0.54 = 3 cells, spread 7 / 6: one cell beside the centre.
    assert found.heat[1, 7, 9] == pytest.approx(np.exp(-((6 / 7) ** 2) / 2))
    assert found.heat[1, 7, 12] == 0
    assert found.boxes[:, 7, 8].tolist() == [8, 16, 56, 40]
    assert found.weight.sum() == pytest.approx(1)
    assert ((found.weight > 0) == (found.heat[1] > 0)).all()


def test_a_small_thing_lies_over_a_large_one():
    large, small = Seen(0, (0.0, 0, 64, 64)), Seen(1, (28.0, 28, 36, 36))
    for things in ([large, small], [small, large]):
        found = targets_of(things, ALL, 64)
        assert found.boxes[:, 8, 8].tolist() == [28, 28, 36, 36]
        assert found.heat[0, 8, 8] == found.heat[1, 8, 8] == 1


def test_what_is_not_learned_is_no_background_either():
    found = targets_of([Seen(0, (8.0, 8, 20, 16), learned=False)], ALL, 32)
    assert (found.heat[0, 2:4, 2:5] == NO_LOSS).all()
    assert (found.heat[0] == NO_LOSS).sum() == 6
    assert not found.heat[1].any()
    assert not found.weight.any()
    every = targets_of([Seen(None, (8.0, 8, 20, 16), learned=False)], ALL, 32)
    assert (every.heat[:, 2:4, 2:5] == NO_LOSS).all()


def test_a_thing_over_an_ignored_one_is_learned():
    things = [Seen(None, (0.0, 0, 64, 64), learned=False), Seen(0, (28.0, 28, 36, 36))]
    found = targets_of(things, ALL, 64)
    assert found.heat[0, 8, 8] == 1
    assert found.heat[0, 0, 0] == found.heat[1, 8, 8] == NO_LOSS


def test_names_that_do_not_count_have_no_loss():
    found = targets_of([Seen(0, (0.0, 0, 16, 16))], np.array([True, False]), 32)
    assert found.heat[0].max() == 1
    assert (found.heat[1] == NO_LOSS).all()


EDGE = st.floats(0, 96)


@given(st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), max_size=5))
def test_targets_stay_in_their_bounds(corners):
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    found = targets_of([Seen(0, box) for box in boxes], ALL, 96)
    assert 0 <= found.heat.min() <= found.heat.max() <= 1
    assert (found.heat[0] == 1).sum() <= len(boxes)
    assert bool(boxes) == bool((found.heat[0] == 1).any())
    assert found.weight.sum() <= len(boxes) + 1e-4
