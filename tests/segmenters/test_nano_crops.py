from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.segmenters.nano_crops import CHANNELS, Crop, network_input


def test_a_crop_is_the_context_times_the_longest_edge_and_centred():
    crop = Crop.around((100, 50, 140, 70))
    assert (crop.side, crop.x, crop.y) == (64, 88, 28)


def test_small_boxes_get_a_crop_of_some_pixels():
    assert Crop.around((10, 10, 11, 11)).side == 8


@given(
    x=st.integers(-40, 90),
    y=st.integers(-40, 60),
    side=st.integers(1, 120),
)
def test_places_and_boxes_go_to_the_crop_and_its_corners_to_its_corners(x, y, side):
    crop = Crop(x, y, side)
    corners = crop.points([(x, y), (x + side, y + side)], 128)
    np.testing.assert_allclose(corners, [(0, 0), (128, 128)], atol=1e-9)
    assert crop.box((x, y, x + side, y + side), 64) == pytest.approx((0, 0, 64, 64))


def test_pixels_of_the_image_come_out_in_their_places():
    pixels = np.zeros((50, 60, 3), np.uint8)
    pixels[20:24, 30:34] = 200
    seen = Crop(28, 18, 8).cut(pixels, 64)
    assert seen[32, 32, 0] == 200
    assert seen[2, 2, 0] == 0
    assert np.isclose(seen.mean(), 200 * 16 / 64, atol=1)


def test_what_lies_outside_the_image_repeats_its_edge():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 9] = 90
    seen = Crop(5, 0, 10).cut(pixels, 10)
    assert (seen[:, 4:] == 90).all()
    assert (seen[:, :4] == 0).all()


@given(x=st.integers(-30, 50), y=st.integers(-30, 40), side=st.integers(1, 90))
def test_values_come_back_to_the_part_of_the_crop_inside_the_image(x, y, side):
    height, width = 40, 50
    values, left, top = Crop(x, y, side).back(np.full((32, 32), 0.75, np.float32), height, width)
    assert values.shape[0] >= 0
    assert 0 <= left < width
    assert 0 <= top < height
    if values.size:
        assert top + values.shape[0] <= height
        assert left + values.shape[1] <= width
        np.testing.assert_allclose(values, 0.75, atol=1e-5)
    inside = max(0, min(x + side, width) - max(x, 0)) * max(0, min(y + side, height) - max(y, 0))
    if inside:
        assert values.size == inside


@pytest.mark.parametrize("side", [16, 32, 200])
def test_there_and_back_keeps_a_mask(side):
    truth = np.zeros((side, side), np.uint8)
    truth[side // 4 : side // 2, side // 4 : 3 * side // 4] = 255
    crop = Crop(0, 0, side)
    seen = crop.cut(np.repeat(truth[..., None], 3, 2), 128)[..., 0] / 255
    values, _, _ = crop.back(seen, side, side)
    assert ((values > 0.5) == (truth > 0)).mean() > 0.99


def test_colours_are_standardised_by_channel_and_common_deviation():
    colours = np.random.default_rng(0).uniform(0, 255, (16, 16, 3)).astype(np.float32)
    given = network_input(colours)
    assert given.shape == (CHANNELS, 16, 16)
    np.testing.assert_allclose(given[:3].mean(axis=(1, 2)), 0, atol=1e-5)
    assert given[:3].std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(network_input(colours * 0.5 + 20)[:3], given[:3], atol=1e-4)


def test_a_flat_crop_stays_flat():
    noisy = np.full((16, 16, 3), 100, np.float32)
    noisy[0, 0] = 101
    assert np.abs(network_input(noisy)[:3]).max() < 0.3


def test_the_box_channel_counts_parts_of_pixels():
    given = network_input(np.zeros((8, 8, 3), np.float32), box=(1.5, 2.0, 4.0, 6.25))
    assert given[3, 3].tolist() == [0, 0.5, 1, 1, 0, 0, 0, 0]
    assert given[3, :, 2].tolist() == [0, 0, 1, 1, 1, 1, 0.25, 0]
    assert given[3].sum() == pytest.approx(2.5 * 4.25)


def test_points_are_bumps_in_the_channel_of_their_label():
    given = network_input(np.zeros((64, 64, 3), np.float32), points=[(10.5, 20.5), (40.5, 50.5)], labels=[1, 0])
    assert np.unravel_index(given[4].argmax(), (64, 64)) == (20, 10)
    assert np.unravel_index(given[5].argmax(), (64, 64)) == (50, 40)
    assert given[4].max() == pytest.approx(1)
    assert not given[6].any()


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1)])
def test_a_very_long_picture_needs_no_square_of_its_length(shape):
    pixels = np.full((*shape, 3), 90, np.uint8)
    crop = Crop.around((0, 0, shape[1], shape[0]))
    tracemalloc.start()
    try:
        seen = crop.cut(pixels, 128)
        shown = crop.cut_values(np.ones(shape, np.float32), 0, 0, 128)
        values, x, y = crop.back(shown, *shape)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 200e6
    assert (seen == 90).all()
    assert shown.sum() == pytest.approx(128 / 1.6 / 32, rel=0.2)  # a line is one pixel of 4,096 at least
    assert (values.shape, x, y) == (shape, 0, 0)


def test_values_of_another_place_are_cut_as_the_picture_is():
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert Crop(5, 6, 2).cut_values(values, 4, 5, 2).tolist() == [[5, 6], [9, 10]]
    assert Crop(3, 6, 2).cut_values(values, 4, 5, 2).tolist() == [[0, 4], [0, 8]]
    assert not Crop(50, 6, 2).cut_values(values, 4, 5, 2).any()


def test_an_earlier_mask_is_shown_as_minus_one_to_one():
    previous = np.zeros((8, 8), np.float32)
    previous[2, 3] = 1
    given = network_input(np.zeros((8, 8, 3), np.float32), previous=previous)
    assert given[6, 2, 3] == 1
    assert given[6, 0, 0] == -1
