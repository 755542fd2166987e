import cv2
import numpy as np
import pytest
import skimage.segmentation

from fiducial.geometry.watershed import even_markers, watershed


def smooth(shape, seed):
    noise = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2, borderType=cv2.BORDER_REPLICATE)


SIZES = [((60, 80), 40), ((90, 41), 7), ((3, 900), 20), ((200, 4), 1), ((5, 6), 30)]


@pytest.mark.parametrize(("shape", "count"), SIZES)
def test_basins_of_even_markers_are_those_of_scikit_image(shape, count):
    heights = smooth(shape, seed=1)
    found = watershed(heights, even_markers(*shape, count))
    assert np.array_equal(found, skimage.segmentation.watershed(heights, markers=count))


def test_basins_inside_a_part_are_those_of_scikit_image():
    random = np.random.default_rng(2)
    heights, inside = smooth((50, 70), seed=3), random.random((50, 70)) < 0.8
    markers = np.where(random.random((50, 70)) < 0.01, 1, 0).cumsum().reshape(50, 70).astype(np.int32)
    markers[np.diff(markers.ravel(), prepend=0).reshape(50, 70) == 0] = 0
    found = watershed(heights, markers, inside)
    assert np.array_equal(found, skimage.segmentation.watershed(heights, markers, mask=inside))
    assert not found[~inside].any()


def test_what_no_water_reaches_stays_dry():
    markers = np.array([[1, 0, 0, 0]], np.int32)
    inside = np.array([[True, True, False, True]])
    assert watershed(np.zeros((1, 4)), markers, inside).tolist() == [[1, 1, 0, 0]]


def test_a_plain_is_shared_by_who_comes_first():
    markers = np.zeros((1, 7), np.int32)
    markers[0, 0], markers[0, 6] = 1, 2
    assert watershed(np.zeros((1, 7)), markers).tolist() == [[1, 1, 1, 1, 2, 2, 2]]
