"""Colour names: what people call a colour."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from fiducial.language.candidates import COLOURS, colour_names, colour_shares

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
