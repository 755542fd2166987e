from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fiducial.errors import GeometryError
from fiducial.geometry import Mask
from fiducial.metrics import resize_mask
from fiducial.metrics.resizing import source_pixels
from metrics.strategies import dense_masks

size = st.integers(1, 40)


@settings(max_examples=120, deadline=None)
@given(dense_masks(), size, size)
def test_both_rules_give_the_pixels_that_their_library_gives(dense, height, width):
    theirs = cv2.resize(dense.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(resize_mask(Mask.from_dense(dense), height, width, "opencv").to_dense(), theirs)
    theirs = np.array(Image.fromarray(dense.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST))
    assert np.array_equal(resize_mask(Mask.from_dense(dense), height, width, "pillow").to_dense(), theirs)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([480, 512, 840]))
@example(640, 480)  # positions fall on edges here, and rounding decides
@example(375, 840)
@example(800, 480)
def test_the_sizes_of_papers_agree_with_the_libraries(old, new):
    ramp = np.arange(old, dtype=np.float32)[None].repeat(2, axis=0)
    assert np.array_equal(
        source_pixels(old, new, "opencv"), cv2.resize(ramp, (new, 2), interpolation=cv2.INTER_NEAREST)[0]
    )
    assert np.array_equal(
        source_pixels(old, new, "pillow"), np.array(Image.fromarray(ramp).resize((new, 2), Image.Resampling.NEAREST))[0]
    )


def test_the_rules_differ_by_half_a_pixel():
    assert source_pixels(4, 2, "pillow").tolist() == [1, 3]
    assert source_pixels(4, 2, "opencv").tolist() == [0, 2]


@given(dense_masks(), st.integers(1, 5), st.sampled_from(["pillow", "opencv"]))
@settings(max_examples=60, deadline=None)
def test_whole_multiples_keep_every_ratio(dense, factor, rule):
    mask = Mask.from_dense(dense, score=0.5)
    large = resize_mask(mask, mask.height * factor, mask.width * factor, rule)
    assert large.area == mask.area * factor**2
    assert large.score == 0.5
    assert resize_mask(large, mask.height, mask.width, rule) == mask


def test_the_same_size_gives_the_same_mask():
    mask = Mask.from_box((0, 0, 1, 1), 3, 4)
    assert resize_mask(mask, 3, 4) is mask


def test_memory_follows_the_runs():
    huge = resize_mask(Mask.from_box((10, 10, 20, 20), 50_000, 50_000), 25_000, 25_000)
    assert (huge.area, huge.box) == (25, (5.0, 5.0, 10.0, 10.0))


def test_what_is_no_size_is_refused():
    with pytest.raises(GeometryError, match="positive size, got 0 x 4"):
        resize_mask(Mask.from_box((0, 0, 1, 1), 2, 2), 0, 4)
