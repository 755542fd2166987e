"""Words for places and colours: true of every point and pixel that they name, and false of others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.language.candidates import COLOURS, colour_names, colour_shares
from fiducial.language.phrases.places import PLACES, named_place, place_agrees, place_of, place_of_all, where

FRAME = Frame.pixels(300, 150)
points = st.tuples(st.floats(0, 300), st.floats(0, 150))


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (50, 25, "upper left"),
        (150, 25, "top centre"),
        (250, 25, "upper right"),
        (50, 75, "centre left"),
        (150, 75, "centre"),
        (250, 75, "centre right"),
        (50, 140, "lower left"),
        (150, 140, "bottom centre"),
        (250, 140, "lower right"),
        (300, 150, "lower right"),
        (-5, 900, "lower left"),
    ],
)
def test_ninths(x, y, words):
    assert place_of(x, y, FRAME) == words
    assert place_agrees(words, x, y, FRAME, slack=0)
    assert where([(x - 1, y - 1, x + 1, y + 1)], FRAME) == f"It lies in the {words} of the picture."


def test_frames_whose_axes_point_elsewhere():
    upwards = Frame(-1, 1, 1, -1)
    assert place_of(-0.9, 0.9, upwards) == "upper left"
    assert where([(-0.9, -0.9, -0.8, -0.8)], upwards) == "It lies in the lower left of the picture."


@given(points)
def test_the_mirrored_point_lies_elsewhere_unless_it_is_central(point):
    x, y = point
    words = place_of(x, y, FRAME)
    assert place_agrees(words, x, y, FRAME, slack=1e-9)
    mirrored = place_of(300 - x, 150 - y, FRAME)
    middle = abs(x - 150) <= 50 and abs(y - 75) <= 25
    assert (words == mirrored) == middle or min(abs(x - 100), abs(x - 200), abs(y - 50), abs(y - 100)) < 1e-6
    agrees = [name for name in PLACES if place_agrees(name, x, y, FRAME, slack=0.05)]
    assert words in agrees
    assert len(agrees) <= 8


@given(st.lists(points, min_size=1, max_size=5))
def test_words_for_several_are_true_of_each(several):
    words = place_of_all(several, FRAME)
    if words is not None:
        assert all(place_agrees(words, x, y, FRAME, slack=1e-9) for x, y in several)
    else:
        assert len({place_of(x, y, FRAME) for x, y in several}) > 1
        for half in ("left half", "right half", "upper half", "lower half"):
            assert not all(place_agrees(half, x, y, FRAME, slack=0) for x, y in several)


def test_several_that_share_a_half_or_nothing():
    assert place_of_all([], FRAME) is None
    assert place_of_all([(20, 20), (30, 10)], FRAME) == "upper left"
    assert place_of_all([(20, 20), (280, 70)], FRAME) == "upper half"
    assert place_of_all([(20, 20), (280, 80)], FRAME) is None
    boxes = [(10, 10, 30, 30), (270, 10, 290, 30)]
    assert where(boxes, FRAME) == "They lie in the upper half of the picture."
    assert where([*boxes, (10, 120, 20, 140)], FRAME) == "They lie in different parts of the picture."
    assert where([], FRAME) == ""


def test_what_fills_the_picture_lies_nowhere():
    assert where([(5, 5, 280, 140)], FRAME) == "It takes up most of the picture."
    assert where([(5, 60, 280, 90)], FRAME) == "It lies in the centre of the picture."


def test_slack_is_a_share_of_each_axis():
    assert place_agrees("upper left", 114, 57, FRAME)
    assert not place_agrees("upper left", 116, 20, FRAME)
    assert not place_agrees("upper left", 20, 58, FRAME)
    assert not place_agrees("left half", 151, 20, FRAME, slack=0)


def test_what_a_text_says():
    for words in PLACES:
        assert named_place(f"Chose it. They lie in the {words} of the picture. Not sure: 0.30.") == words
    assert named_place("Chose the only ship in the upper left. They lie in different parts of the picture.") is None


def test_refusals():
    with pytest.raises(InputError, match="'upper middle' is no place: known are upper left, top centre"):
        place_agrees("upper middle", 1, 1, FRAME)
    with pytest.raises(InputError, match="a slack is a number from 0, got -1"):
        place_agrees("centre", 1, 1, FRAME, slack=-1)


NAMED = {
    "black": ["black", "#101010", "#120b08"],
    "white": ["white", "ivory", "snow", "whitesmoke"],
    "grey": ["grey", "darkgrey", "dimgrey", "lightgrey", "#9a9690"],
    "red": ["red", "darkred", "firebrick", "crimson", "maroon", "#a02015"],
    "orange": ["orange", "darkorange", "coral", "#f07010"],
    "yellow": ["yellow", "gold", "khaki", "#f0dc20"],
    "green": ["green", "lime", "darkgreen", "lightgreen", "olive", "forestgreen"],
    "blue": ["blue", "navy", "skyblue", "royalblue", "steelblue", "cyan"],
    "purple": ["purple", "indigo", "blueviolet", "darkviolet"],
    "pink": ["pink", "hotpink", "lightpink", "deeppink"],
    "brown": ["saddlebrown", "sienna", "#7a5230", "peru", "tan", "#5a3a22"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NAMED.items() for value in values])
def test_well_known_colours(name, value):
    assert COLOURS[int(colour_names(ImageColor.getrgb(value)))] == name


def test_every_term_has_its_examples():
    assert set(NAMED) == set(COLOURS)


def test_shares_add_up_and_come_most_frequent_first():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:6] = (255, 0, 0)
    pixels[6:9] = (0, 0, 255)
    shares = colour_shares(pixels)
    assert shares == {"red": 0.6, "blue": 0.3, "black": 0.1}
    assert list(shares) == ["red", "blue", "black"]


def test_every_colour_has_a_name_and_greys_are_never_colourful():
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    assert set(np.unique(colour_names(cube)).tolist()) == set(range(len(COLOURS)))
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert {COLOURS[k] for k in np.unique(colour_names(grey))} == {"black", "grey", "white"}
