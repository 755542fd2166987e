from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.refiners.crops import Crop, cut_crop, cut_mask, grown, off_centre, pixels_in

IMAGE = Image(np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8))
EDGES = st.floats(-20, 70)


@given(EDGES, EDGES, EDGES, EDGES)
def test_the_pixels_in_a_box_are_those_of_the_mask_of_that_box(a, b, c, d):
    box = (min(a, c), min(b, d), max(a, c), max(b, d))
    window = pixels_in(box, IMAGE)
    mask = Mask.from_box(box, 30, 50)
    if window is None:
        assert not mask
    else:
        x, y, width, height = window
        assert mask.box == (x, y, x + width, y + height)


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.integers(0, 11), st.integers(0, 11), st.integers(1, 12), st.integers(1, 12),
)  # fmt: skip
def test_a_piece_of_a_mask_is_the_piece_of_its_pixels(dense, x, y, width, height):
    x, y = min(x, dense.shape[1] - 1), min(y, dense.shape[0] - 1)
    window = (x, y, min(width, dense.shape[1] - x), min(height, dense.shape[0] - y))
    piece = cut_mask(Mask.from_dense(dense), window)
    assert np.array_equal(piece, dense[y : y + window[3], x : x + window[2]])


def test_windows_grow_up_to_the_image():
    assert grown((10, 10, 20, 15), 4.5, IMAGE) == (5, 5, 20, 15)
    assert grown((10, 10, 20, 15), 100, IMAGE) == (0, 0, 50, 30)


def test_crops_are_shrunk_but_never_enlarged():
    crop = cut_crop(IMAGE, (10, 5, 40, 20), 100)
    assert crop.shape == (20, 40)
    assert np.array_equal(crop.pixels, IMAGE.pixels[5:25, 10:50])
    small = cut_crop(IMAGE, (10, 5, 40, 20), 16)
    assert small.shape == (8, 16)
    assert small.scale == pytest.approx(0.4)
    assert small.to_image((16, 8)) == (50, 25)
    assert small.to_image((0, 0)) == (10, 5)
    assert cut_crop(IMAGE, (0, 0, 50, 1), 16).shape == (1, 16)


def test_shrinking_averages_over_all_pixels():
    small = cut_crop(IMAGE, (2, 2, 48, 24), 12)
    blocks = IMAGE.pixels[2:26, 2:50].reshape(6, 4, 12, 4, 3).mean(axis=(1, 3))
    assert np.abs(small.pixels - blocks).max() <= 0.51


def test_one_colour():
    assert Crop((0, 0, 4, 4), np.full((4, 4, 3), 7, np.uint8)).one_colour
    assert not cut_crop(IMAGE, (0, 0, 4, 4), 16).one_colour


def test_distances_off_the_middle():
    crop = cut_crop(IMAGE, (10, 5, 40, 20), 100)
    assert [off_centre(point, crop) for point in ((20, 10), (40, 10), (20, 0), (30, 10))] == [0, 1, 1, 0.5]
    assert off_centre((0, 0), crop) == pytest.approx(2**0.5)
