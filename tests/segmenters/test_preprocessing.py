from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.segmenters.preprocessing import HALF, Preprocessing


def test_fit_pads_at_the_right_and_bottom_with_zeros() -> None:
    image = Image(np.full((50, 100, 3), 255, dtype=np.uint8))
    canvas = Preprocessing(64, keep_aspect=True)(image)
    assert canvas.shape == (3, 64, 64)
    assert canvas.dtype == np.float32
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(canvas[:, :32], np.broadcast_to(white[:, None, None], (3, 32, 64)), rtol=1e-5)
    assert not canvas[:, 32:].any()


def test_stretch_fills_the_square() -> None:
    pixels = np.zeros((10, 200, 3), dtype=np.uint8)
    pixels[:, 100:] = (255, 0, 255)
    canvas = Preprocessing(32, keep_aspect=False, mean=HALF, std=HALF)(Image(pixels))
    np.testing.assert_allclose(canvas[:, 16, [0, 31]], [[-1, 1], [-1, -1], [-1, 1]], atol=1e-6)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1100))
def test_the_frame_is_the_letterbox_but_for_whole_pixels(width: int, height: int, size: int) -> None:
    way = Preprocessing(size, keep_aspect=True)
    exact = Frame.letterbox(width, height, size, size, centred=False)
    frame = way.frame(width, height)
    assert (frame.left, frame.top) == (0, 0)
    assert max(frame.width, frame.height) == size
    # A sliver keeps one pixel, so that it is shown at all.
    assert abs(frame.width - max(exact.width, 1)) <= 0.5 + 1e-9
    assert abs(frame.height - max(exact.height, 1)) <= 0.5 + 1e-9
    assert Preprocessing(size, keep_aspect=False).frame(width, height) == Frame.canvas(size, size)


def test_keys_tell_every_number_apart() -> None:
    ways = [
        Preprocessing(64, keep_aspect=True),
        Preprocessing(65, keep_aspect=True),
        Preprocessing(64, keep_aspect=False),
        Preprocessing(64, keep_aspect=True, mean=HALF),
        Preprocessing(64, keep_aspect=True, std=HALF),
    ]
    assert len({str(way) for way in ways}) == 5


def test_an_impossible_canvas() -> None:
    with pytest.raises(InputError, match="at least one pixel, got 0"):
        Preprocessing(0, keep_aspect=True)
