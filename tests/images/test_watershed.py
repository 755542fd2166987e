import cv2
import numpy as np
import pytest
import skimage.segmentation

from fiducial.images.watershed import even_markers, watershed


def smooth(shape, seed):
    noise = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2, borderType=cv2.BORDER_REPLICATE)


SIZES = [((60, 80), 40), ((90, 41), 7), ((3, 900), 20), ((200, 4), 1), ((5, 6), 30)]


@pytest.mark.parametrize(("shape", "count"), SIZES)
def test_every_place_has_a_marker_and_markers_stay(shape, count):
    markers = even_markers(*shape, count)
    found = watershed(smooth(shape, seed=1), markers)
    assert np.array_equal(found[markers > 0], markers[markers > 0])
    assert set(np.unique(found)) == set(range(1, markers.max() + 1))
    for number in np.unique(found):  # each basin is one piece around its marker
        assert cv2.connectedComponents((found == number).astype(np.uint8), connectivity=4)[0] == 2


def test_touching_discs_are_parted_as_scikit_image_parts_them():
    inside = np.zeros((80, 120), np.uint8)
    for centre, radius in (((30, 40), 25), ((62, 30), 18), ((90, 50), 24)):
        cv2.circle(inside, centre, radius, 1, -1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    markers = np.zeros(inside.shape, np.int32)
    markers[40, 30], markers[30, 62], markers[50, 90] = 1, 2, 3
    found, exact = (
        way(-depth, markers, mask) for way, mask in ((watershed, inside > 0), (_of_scikit_image, inside > 0))
    )
    assert np.array_equal(found > 0, inside > 0)
    assert (found == exact)[inside > 0].mean() > 0.98


def _of_scikit_image(heights, markers, mask):
    return skimage.segmentation.watershed(heights, markers, mask=mask)


def test_water_keeps_to_its_side_of_a_ridge():
    heights = np.tile(np.abs(np.arange(40) - 20.0), (30, 1)).max() - np.tile(np.abs(np.arange(40) - 20.0), (30, 1))
    markers = np.zeros((30, 40), np.int32)
    markers[15, 2], markers[3, 22] = 1, 2  # the second comes in high up, beside the ridge
    found = watershed(heights, markers)
    assert (found[:, :20] == 1).all()
    assert (found[:, 21:] == 2).all()


def test_what_no_water_reaches_stays_dry():
    markers = np.array([[1, 0, 0, 0]], np.int32)
    inside = np.array([[True, True, False, True]])
    assert watershed(np.zeros((1, 4)), markers, inside).tolist() == [[1, 1, 0, 0]]


def test_a_plain_is_shared_by_who_comes_first():
    markers = np.zeros((1, 7), np.int32)
    markers[0, 0], markers[0, 6] = 1, 2
    assert watershed(np.zeros((1, 7)), markers).tolist() == [[1, 1, 1, 1, 2, 2, 2]]
