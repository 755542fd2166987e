"""Nothing may be allocated by the square of the longest edge: pictures of 40,000 x 1 pixels take what they hold."""

import tracemalloc

import numpy as np
import pytest

from fiducial import Image, Mask, Pipeline, Prompts
from fiducial.config import build, read_part
from fiducial.overlays import GridOverlay
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.showing import squared, stretched, whole, widened
from fiducial.results import FORMATS
from fiducial.segmenters.canvas import Preprocessing

LONG = 40_000
MOST = 260 << 20
"""Bytes; the square would take 4.8 GB in colour, and 1.6 GB of truth values."""


@pytest.fixture(params=[(1, LONG), (LONG, 1)], ids=["wide", "tall"])
def image(request):
    pixels = np.full((*request.param, 3), 40, np.uint8)
    pixels.reshape(-1, 3)[9_000:31_000] = (220, 60, 50)
    return Image(pixels, "thin.png")


def peak(work):
    """Return the most bytes that NumPy and OpenCV held at once during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("segmenter", ["nano", "grabcut"])
def test_cutting_with_refiners_and_all_files(image, segmenter, tmp_path):
    refiners = {
        "prompt_refiners": (build(read_part("prompt_refiner", "cfpg")),),
        "mask_refiners": (build(read_part("mask_refiner", "mbo")),),
    }
    pipe = Pipeline(segmenter=build(read_part("segmenter", segmenter)), explain=True, **refiners)
    prompts = Prompts.from_boxes(image.frame, [(0, 0, image.width, image.height)], labels=["strip"])
    found = []

    def work():
        found.append(pipe.cut(image, prompts))
        found[0].save(tmp_path, list(FORMATS))
        found[0].save_pictures(tmp_path)

    assert peak(work) < MOST
    assert found[0].outcome.value == "found"


def test_asking_and_showing(image):
    def work():
        ClassicPrompter().ask([image], ["the red region"])
        GridOverlay()(image).stretched((512, 512))
        Preprocessing(1024, keep_aspect=True)(image)
        stretched(squared(image, (0, 0, 0)), (336, 336))
        stretched(widened(image, 200, (0, 0, 0)), (560, 28))
        assert whole(image).size == (image.width, image.height)

    assert peak(work) < MOST


def test_masks_of_long_pictures(image):
    def work():
        mask = Mask.from_box((0, 0, image.width, image.height), image.height, image.width)
        assert Mask.from_coco(mask.to_coco()) == mask
        assert mask.inner_point() is not None
        assert mask.to_polygons()

    assert peak(work) < MOST
