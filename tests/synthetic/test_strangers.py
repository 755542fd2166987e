"""Pictures of no kind: drawn from a seed, each another."""

import numpy as np
import pytest

from fiducial.errors import UnknownNameError
from fiducial.synthetic.strangers import STRANGERS, draw_stranger


@pytest.mark.parametrize("style", STRANGERS)
def test_a_seed_gives_one_picture(style):
    some = [draw_stranger(style, seed) for seed in range(12)]
    for seed, picture in enumerate(some):
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (3,)
        assert max(picture.shape[:2]) <= 320
        np.testing.assert_array_equal(picture, draw_stranger(style, seed))
    assert len({one.tobytes() for one in some}) == len(some)


def test_an_unknown_style_comes_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="screens"):
        draw_stranger("screen", 0)
