"""What a box tells of a thing: its colours and brightness, its length and shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.images import Image
from fiducial.prompters.detector import Detection
from fiducial.prompters.detector.prompter import as_candidate


def canvas(ground=(120, 120, 120)):
    return np.full((60, 80, 3), ground, np.uint8)


def measured(pixels, box):
    return as_candidate(Image(pixels), Detection(tuple(map(float, box)), 0.7, "ship"))


def test_a_thing_that_fills_the_middle_of_its_box():
    pixels = canvas()
    pixels[22:38, 30:50] = (0, 0, 200)
    candidate = measured(pixels, (20, 20, 60, 40))
    assert candidate.colours == {"blue": 1.0}
    assert candidate.brightness == pytest.approx(0.114 * 200 / 255)
    assert candidate.length == pytest.approx(np.hypot(40, 20))
    assert candidate.roundness == 0.5
    assert candidate.area is None
    assert (candidate.prompt.label, candidate.prompt.score, candidate.prompt.points) == ("ship", 0.7, ())


def test_a_ring_has_the_colour_of_its_rim():
    pixels = canvas()
    pixels[10:50, 20:60] = (220, 0, 0)
    pixels[17:43, 27:53] = (120, 120, 120)
    assert max(measured(pixels, (20, 10, 60, 50)).colours) == "red"


def test_what_looks_like_its_surroundings_is_measured_in_its_middle():
    pixels = canvas((240, 240, 240))
    pixels[28:32, 38:42] = (0, 0, 0)  # too little to be the thing
    assert next(iter(measured(pixels, (20, 10, 60, 50)).colours)) == "white"


def test_a_box_over_the_whole_picture_has_no_surroundings():
    pixels = canvas((0, 120, 0))
    assert measured(pixels, (0, 0, 80, 60)).colours == {"green": 1.0}


@given(st.floats(0, 79.9), st.floats(0, 59.9), st.floats(0.01, 80), st.floats(0.01, 60))
def test_any_box_in_the_picture_can_be_measured(x, y, width, height):
    box = (x, y, min(80.0, x + width), min(60.0, y + height))
    candidate = measured(canvas((200, 0, 0)), box)
    assert candidate.colours == {"red": 1.0}
    assert 0 < candidate.roundness <= 1


def test_what_lies_askew_is_told_from_the_ground_that_shares_its_box():
    pixels = canvas((0, 60, 160))
    for k in range(-18, 19):
        pixels[30 + k : 34 + k, 38 + k : 42 + k] = (240, 240, 240)
    assert measured(pixels, (20, 12, 60, 52)).colours == {"white": 1.0}
