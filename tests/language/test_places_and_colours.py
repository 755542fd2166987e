"""Words for places and colours: true of every point and pixel that they name, and false of others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from fakes import lies_in
from fiducial.geometry import Frame
from fiducial.language.candidates import COLOURS, colour_names, colour_shares
from fiducial.language.phrases.scene import where

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
    assert said_of((x, y)) == words
    assert lies_in(words, min(max(x, 0), 300), min(max(y, 0), 150), FRAME, slack=0)


def said_of(*points, frame=FRAME):
    """The words of the sentence about small boxes around points; None where they share none."""
    text = where([(x - 1e-9, y - 1e-9, x + 1e-9, y + 1e-9) for x, y in points], frame)
    start = "It lies" if len(points) == 1 else "They lie"
    assert text.startswith(f"{start} in ")
    words = text.removeprefix(f"{start} in ").removeprefix("the ").removesuffix(" of the picture.")
    return None if words == "different parts" else words


def test_frames_whose_axes_point_elsewhere():
    upwards = Frame(-1, 1, 1, -1)
    assert said_of((-0.9, 0.9), frame=upwards) == "upper left"
    assert where([(-0.9, -0.9, -0.8, -0.8)], upwards) == "It lies in the lower left of the picture."


@given(points)
def test_the_mirrored_point_lies_elsewhere_unless_it_is_central(point):
    x, y = point
    words = said_of(point)
    assert lies_in(words, x, y, FRAME, slack=1e-9)
    mirrored = said_of((300 - x, 150 - y))
    middle = abs(x - 150) <= 50 and abs(y - 75) <= 25
    assert (words == mirrored) == middle or min(abs(x - 100), abs(x - 200), abs(y - 50), abs(y - 100)) < 1e-6


@given(st.lists(points, min_size=2, max_size=5))
def test_words_for_several_are_true_of_each(several):
    words = said_of(*several)
    if words is not None:
        assert all(lies_in(words, x, y, FRAME, slack=1e-9) for x, y in several)
    else:
        assert len({said_of(point) for point in several}) > 1
        for half in ("left half", "right half", "upper half", "lower half"):
            assert not all(lies_in(half, x, y, FRAME, slack=-1e-9) for x, y in several)


def test_several_that_share_a_half_or_nothing():
    assert said_of((20, 20), (30, 10)) == "upper left"
    assert said_of((20, 20), (280, 70)) == "upper half"
    assert said_of((20, 20), (280, 80)) is None
    boxes = [(10, 10, 30, 30), (270, 10, 290, 30)]
    assert where(boxes, FRAME) == "They lie in the upper half of the picture."
    assert where([*boxes, (10, 120, 20, 140)], FRAME) == "They lie in different parts of the picture."
    assert where([], FRAME) == ""


def test_what_fills_the_picture_lies_nowhere():
    assert where([(5, 5, 280, 140)], FRAME) == "It takes up most of the picture."
    assert where([(5, 60, 280, 90)], FRAME) == "It lies in the centre of the picture."


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
