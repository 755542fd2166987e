from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.prompters.grounder.detecting import OVERLAP, WHOLE, WINDOW, Window, scale_of, windows_of

SIDES = st.integers(1, 9000)


@pytest.mark.parametrize(
    ("size", "scale"),
    [((1000, 800), 0.5), ((512, 512), 0.5), ((320, 200), 0.8), ((256, 256), 1), ((64, 32), 4), ((8, 8), 4)],
)
def test_usual_pictures_are_halved_and_small_ones_are_not(size, scale):
    assert scale_of(*size) == scale


def test_a_zoom_multiplies():
    assert scale_of(1000, 800, 1.5) == 0.75
    with pytest.raises(InputError, match="a zoom is above 0, got 0"):
        scale_of(10, 10, 0)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES)
def test_windows_cover_the_picture_and_are_never_large(width, height):
    windows = windows_of(width, height)
    scale = scale_of(width, height)
    first = [one for one in windows if one.seen[0] / one.width > 0.6 * scale or len(windows) == 1]
    covered_x = sorted({(one.x, one.x + one.width) for one in first})
    for starts_and_ends, length in ((covered_x, width), (sorted({(w.y, w.y + w.height) for w in first}), height)):
        assert starts_and_ends[0][0] == 0
        assert starts_and_ends[-1][1] == length
        for (_, end), (start, _) in pairwise(starts_and_ends):
            assert end - start >= OVERLAP / scale - 2
    assert all(max(one.seen) <= WHOLE for one in windows)
    last = windows[-1]
    assert (last.x, last.y, last.width, last.height) == (0, 0, width, height)
    assert not any(last.inner)


@settings(max_examples=40, deadline=None)
@given(st.integers(1601, 6000), st.integers(1, 250), st.floats(0, 1))
def test_what_is_no_longer_than_the_overlap_lies_wholly_in_a_window(width, long, place):
    start = place * (width - long)
    firsts = [one for one in windows_of(width, 700) if one.width <= WINDOW * 2]
    assert any(one.x <= start and start + long <= one.x + one.width for one in firsts)


def test_a_picture_of_a_hundred_million_pixels_is_seen_in_pieces():
    windows = windows_of(10_000, 10_000)
    assert len(windows) == 10 * 10 + 9 + 1
    assert max(one.seen[0] * one.seen[1] for one in windows) <= WHOLE**2


def test_boxes_go_to_the_picture_and_stay_in_the_window():
    window = Window(100, 50, 200, 100, (50, 50))
    found = window.to_picture(np.array([[10.0, 10, 20, 30], [-5, 0, 60, 50]]))
    assert found.tolist() == [[140, 70, 180, 110], [100, 50, 300, 150]]


def test_what_an_inner_edge_may_cut_is_not_whole():
    window = Window(0, 0, 100, 100, (100, 100), (False, False, True, False))
    boxes = np.array([[0.0, 0, 50, 100], [60, 10, 99, 20], [60, 10, 97.5, 20]])
    assert window.whole(boxes).tolist() == [True, False, True]


def test_pixels_are_averaged_when_they_become_fewer():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, 2:4] = 100
    seen = Window(2, 0, 4, 4, (2, 2)).pixels(picture)
    assert seen[..., 0].tolist() == [[100, 0], [0, 0]]
    assert Window(0, 0, 6, 4, (6, 4)).pixels(picture) is not None
    assert Window(0, 0, 6, 4, (12, 8)).pixels(picture).shape == (8, 12, 3)
