from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from fiducial.errors import InputError
from fiducial.overlays import PALETTE, palette_colour, parse_colour
from fiducial.overlays.colours import NAMED, readable_on

# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB to what a dichromat sees.
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize(
    ("written", "colour"),
    [
        ("black", (0, 0, 0)),
        (" White ", (255, 255, 255)),
        ("#00aaff", (0, 170, 255)),
        ("00AAFF", (0, 170, 255)),
        ("#0af", (0, 170, 255)),
        ("1, 2,3", (1, 2, 3)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ((1, 2, 3), (1, 2, 3)),
        ([255, 0, 255], (255, 0, 255)),
        (np.array([1, 2, 3]), (1, 2, 3)),
    ],
)
def test_reads_a_colour(written, colour):
    assert parse_colour(written) == colour


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_hex_round_trip(colour):
    assert parse_colour("#{:02x}{:02x}{:02x}".format(*colour)) == colour


@pytest.mark.parametrize("written", ["", "mauvish", "#12", "#12345", "#1234567", "1,2", "1,2,256", "1,2,-3", "#ggg"])
def test_refuses_other_texts(written):
    with pytest.raises(InputError, match="colour"):
        parse_colour(written)


def test_says_what_would_be_understood():
    with pytest.raises(InputError, match=r"'mauvish'.*#00aaff.*black.*yellow"):
        parse_colour("mauvish")


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4), (0.5, 0.5, 0.5), (-1, 0, 0), (0, 0, 256), (True, 0, 0)])
def test_refuses_other_numbers(values):
    with pytest.raises(InputError, match=r"three whole numbers in 0\.\.255"):
        parse_colour(values)


def test_the_palette_is_distinct_for_everybody():
    assert len(set(PALETTE)) == len(PALETTE) >= 20
    colours = np.array(PALETTE) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for sight, matrix in SIGHT.items():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(encoded[None])[0]
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.eye(len(lab)) * 1000
        assert apart.min() > 12, sight


def test_the_palette_starts_anew():
    assert palette_colour(len(PALETTE) + 1) == PALETTE[1]


@pytest.mark.parametrize("colour", [*PALETTE, *NAMED.values()])
def test_letters_contrast_with_their_ground(colour):
    def luminance(rgb):
        parts = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(colour), luminance(readable_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
