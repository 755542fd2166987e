import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import ImageError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.images.image import pad


def test_pixels_cannot_be_changed_nor_reached_from_outside():
    array = np.zeros((4, 6, 3), dtype=np.uint8)
    image = Image(array)
    array[0, 0] = 255
    assert image.pixels[0, 0].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1
    assert (image.width, image.height) == (6, 4)
    assert image.frame == Frame.pixels(6, 4)
    assert repr(image) == "Image('image', 6 x 4)"


def test_equal_pictures_have_equal_digests_whatever_their_name():
    array = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    assert Image(array, name="a").digest == Image(array.copy(), name="b").digest
    assert Image(array).digest != Image(array.reshape(6, 4, 3)).digest
    changed = array.copy()
    changed[3, 5, 2] ^= 1
    assert Image(array).digest != Image(changed).digest


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((2, 2), 7, np.uint8), [7, 7, 7]),
        (np.full((2, 2, 1), 7, np.uint8), [7, 7, 7]),
        (np.full((2, 2), True), [255, 255, 255]),
        (np.array([[0, 0], [0, 9]], np.uint16), [255, 255, 255]),
        (np.full((2, 2, 3), [65535, 256, 255], np.uint16), [255, 1, 0]),
        (np.full((2, 2, 4), [65535, 256, 255, 65535], np.uint16), [255, 1, 0]),
        (np.full((2, 2, 3), 0.5), [128, 128, 128]),
        (np.full((2, 2, 4), [10, 20, 30, 255], np.uint8), [10, 20, 30]),
        (np.full((2, 2, 4), [10, 20, 30, 0], np.uint8), [255, 255, 255]),
    ],
)
def test_arrays_of_many_kinds_become_rgb(array, pixel):
    assert Image.from_array(array).pixels[1, 1].tolist() == pixel


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Image(np.zeros((4, 4), np.uint8)), "shape .H, W, 3."),
        (lambda: Image(np.zeros((4, 4, 3))), "float64"),
        (lambda: Image(np.zeros((0, 4, 3), np.uint8), name="x.png"), "x.png: the image has no pixels"),
        (lambda: Image.from_array(np.zeros((4, 4, 2))), r"got \(4, 4, 2\)"),
        (lambda: Image.from_array(np.zeros(4)), r"got \(4,\)"),
        (lambda: Image.from_array(np.zeros((4, 0))), "no pixels"),
        (lambda: Image.from_array(np.full((2, 2), 1.5)), "in 0..1"),
        (lambda: Image.from_array(np.full((2, 2), np.nan)), "in 0..1"),
        (lambda: Image.from_array(np.zeros((2, 2), np.int32)), "int32"),
    ],
)
def test_what_is_no_image_is_refused(make, message):
    with pytest.raises(ImageError, match=message):
        make()


@given(st.integers(1, 9), st.integers(1, 9))
def test_from_array_keeps_size_and_values(height, width):
    array = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(Image.from_array(array).pixels, array)


def test_an_image_needs_a_name_that_is_text():
    with pytest.raises(ImageError, match="needs a text as name, got 3"):
        Image(np.zeros((2, 2, 3), np.uint8), name=3)


def test_padding_keeps_the_pixels_and_fills_the_rest():
    pixels = np.full((2, 3, 3), 9, np.uint8)
    padded = pad(pixels, 5, 4, (1, 2), (1, 2, 3))
    assert padded.shape == (4, 5, 3)
    assert np.array_equal(padded[2:4, 1:4], pixels)
    assert padded[0, 0].tolist() == [1, 2, 3]
    assert (padded == 9).all(axis=2).sum() == 6


def test_the_square_around_a_very_long_picture_is_made_small():
    padded = pad(np.full((1, 40_000, 3), 9, np.uint8), 40_000, 40_000, (0, 20_000), (0, 0, 0))
    assert padded.shape == (4096, 4096, 3)
    assert padded[2048].min() == 9
    assert padded.sum() == 4096 * 3 * 9


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors_have_their_channels_first(dtype, channels):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).integers(0, 2, (channels, 5, 7))
    tensor = torch.as_tensor(values * (255 if dtype == "uint8" else 1)).to(getattr(torch, dtype))
    same = Image.from_array((values.transpose(1, 2, 0) * 255).astype(np.uint8))
    found = Image.from_array(tensor, name="t")
    assert (found.width, found.height, found.name) == (7, 5, "t")
    assert np.array_equal(found.pixels, same.pixels)


def test_tensors_of_other_layouts():
    torch = pytest.importorskip("torch")
    assert (Image.from_array(torch.zeros(5, 7)).width, Image.from_array(torch.zeros(5, 7, 3)).width) == (7, 7)
    assert Image.from_array(torch.full((3, 5, 3), 0.5, requires_grad=True)).pixels.shape == (5, 3, 3)
    with pytest.raises(ImageError, match=r"got \(1, 3, 5, 7\)"):
        Image.from_array(torch.zeros(1, 3, 5, 7))
    with pytest.raises(ImageError, match=r"in 0\.\.1"):
        Image.from_array(torch.full((3, 5, 7), -1.0))


def test_arrays_with_channels_first_are_told_how_to_turn():
    with pytest.raises(ImageError, match=r"array.transpose\(1, 2, 0\)"):
        Image.from_array(np.zeros((3, 50, 70), np.uint8))
