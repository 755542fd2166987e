"""The weights that come with the package, on pictures that come with scikit-image."""

import numpy as np
import pytest
import skimage.data

from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.plugins import find
from fiducial.segmenters.nano.segmenter import NanoSegmenter


@pytest.fixture(scope="module")
def segmenter():
    return NanoSegmenter.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def coins():
    return Image.from_array(skimage.data.coins(), name="coins.png")


def cut(segmenter, image, prompt):
    return segmenter.decode(segmenter.encode(image), Prompts(image.frame, (prompt,)))[0]


def test_a_coin_in_its_box(segmenter, coins):
    mask = cut(segmenter, coins, Prompt(coins.frame, box=(20, 20, 75, 75)))
    rows, columns = np.mgrid[: coins.height, : coins.width]
    disc = Mask.from_dense((rows - 51) ** 2 + (columns - 45) ** 2 < 22**2)
    assert mask.iou(disc) > 0.75
    assert mask.score > 0.6


def test_a_drawn_square_is_cut_well(segmenter):
    pixels = np.full((200, 300, 3), (60, 90, 50), np.uint8)
    pixels += np.random.default_rng(0).integers(0, 20, pixels.shape, dtype=np.uint8)
    pixels[60:120, 100:180] = (200, 60, 40)
    image = Image(pixels)
    truth = Mask.from_box((100, 60, 180, 120), 200, 300)
    assert cut(segmenter, image, Prompt(image.frame, box=(100, 60, 180, 120))).iou(truth) > 0.93
    assert cut(segmenter, image, Prompt(image.frame, box=(92, 66, 186, 114))).iou(truth) > 0.8


def test_it_is_a_part_that_needs_no_extra():
    part = find("segmenter", "nano")
    assert part.extra == ""
    assert isinstance(part.build(device="cpu"), NanoSegmenter)
