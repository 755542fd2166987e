from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.contracts import Overlay
from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.overlays import GridOverlay, parse_grid
from fiducial.overlays.grid import blend


def noise(height: int, width: int) -> Image:
    return Image(np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8), name="noise.png")


def reference(image: Image, cells: int = 9, colour: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """Draw the published grid with Pillow: a transparent layer of lines, laid over the picture."""
    layer = PIL.Image.new("RGBA", (image.width, image.height), (0, 0, 0, 0))
    draw = PIL.ImageDraw.Draw(layer)
    for i in range(1, cells):
        x, y = i * image.width // cells, i * image.height // cells
        draw.line([(x, 0), (x, image.height)], fill=(*colour, int(255 * 0.3)), width=1)
        draw.line([(0, y), (image.width, y)], fill=(*colour, int(255 * 0.3)), width=1)
    under = PIL.Image.fromarray(image.pixels).convert("RGBA")
    return np.array(PIL.Image.alpha_composite(under, layer).convert("RGB"))


@pytest.mark.parametrize(("height", "width"), [(90, 90), (101, 233), (480, 641), (9, 9), (4, 5)])
def test_equals_the_published_grid_pixel_by_pixel(height, width):
    image = noise(height, width)
    assert np.array_equal(GridOverlay()(image).pixels, reference(image))


def test_white_lines_equal_pillow_too():
    image = noise(60, 70)
    drawn = GridOverlay(3, 3, colour="#ffffff")(image)
    assert np.array_equal(drawn.pixels, reference(image, 3, (255, 255, 255)))


def test_golden_lines():
    drawn = GridOverlay()(Image(np.full((90, 180, 3), 200, np.uint8))).pixels[..., 0]
    dark = 140  # rint(200 * 179 / 255)
    assert np.flatnonzero(drawn[1] == dark).tolist() == [20, 40, 60, 80, 100, 120, 140, 160]
    assert np.flatnonzero(drawn[:, 1] == dark).tolist() == [10, 20, 30, 40, 50, 60, 70, 80]
    assert set(np.unique(drawn)) == {dark, 200}, "crossings are blended once"


def test_every_blend_equals_pillow():
    values = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for alpha in (0, 1, 76, 127, 128, 254, 255):
        under = PIL.Image.fromarray(values[None]).convert("RGBA")
        layer = PIL.Image.new("RGBA", under.size, (10, 128, 255, alpha))
        composed = np.array(PIL.Image.alpha_composite(under, layer).convert("RGB"))[0]
        assert np.array_equal(blend(values, (10, 128, 255), alpha), composed)


def test_wide_lines_are_centred():
    drawn = GridOverlay(2, 1, opacity=1.0, line_width=3)(Image(np.full((4, 20, 3), 255, np.uint8))).pixels[0, :, 0]
    assert np.flatnonzero(drawn == 0).tolist() == [9, 10, 11]
    drawn = GridOverlay(2, 1, opacity=1.0, line_width=2)(Image(np.full((4, 20, 3), 255, np.uint8))).pixels[0, :, 0]
    assert np.flatnonzero(drawn == 0).tolist() == [9, 10]


def test_leaves_the_original_alone_and_keeps_the_name():
    image = noise(30, 30)
    before = image.pixels.copy()
    drawn = GridOverlay()(image)
    assert np.array_equal(image.pixels, before)
    assert drawn.name == "noise.png"
    assert not np.array_equal(drawn.pixels, before)


def test_one_cell_draws_nothing():
    image = noise(30, 30)
    assert np.array_equal(GridOverlay(1, 1)(image).pixels, image.pixels)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.integers(1, 4))
def test_draws_on_any_size(columns, rows, height, width, line_width):
    image = Image(np.full((height, width, 3), 255, np.uint8))
    drawn = GridOverlay(columns, rows, opacity=1.0, line_width=line_width)(image).pixels
    assert drawn.shape == image.pixels.shape
    assert (drawn == 0).any() == (columns > 1 or rows > 1)


def test_is_an_overlay():
    assert isinstance(GridOverlay(), Overlay)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "columns: needs at least 1, got 0"),
        ({"rows": 1001}, "rows: needs at most 1000, got 1001"),
        ({"opacity": 1.5}, "opacity"),
        ({"line_width": 0}, "line_width: needs at least 1"),
        ({"colour": "no colour"}, "unknown colour"),
    ],
)
def test_refuses_what_cannot_be_drawn(options, message):
    with pytest.raises(InputError, match=message):
        GridOverlay(**options)


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        *[("9", (9, 9)), ("9x7", (9, 7)), (" 3 X 4 ", (3, 4)), ("5×6", (5, 6))],
        *[("1", (1, 1)), ("1x2", (1, 2)), ("2x1", (2, 1)), ("1000", (1000, 1000))],
    ],
)
def test_reads_a_grid(text, grid):
    assert parse_grid(text) == grid


@pytest.mark.parametrize(
    "text", ["", "x", "9x", "x9", "-3", "3.5", "9x7x2", "0", "9x0", "0x9", "1001", "9x1001", "1001x9"]
)
def test_refuses_other_grids(text):
    with pytest.raises(InputError, match="grid"):
        parse_grid(text)
