import io

import numpy as np
import PIL.Image
import pytest

from fiducial import read_image
from fiducial.errors import ImageError
from fiducial.images import decode_image

PIXELS = np.random.default_rng(0).integers(0, 255, (12, 9, 3)).astype(np.uint8)


def encoded(form, pixels=PIXELS, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format=form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "pixels", "options"),
    [
        ("PNG", PIXELS, {}),
        ("JPEG", PIXELS, {"exif": PIL.Image.Exif()}),
        ("TIFF", PIXELS, {}),
        ("PNG", PIXELS[..., 0].astype(np.uint16) * 200, {}),
    ],
)
def test_bytes_are_read_as_a_file_is(form, pixels, options, tmp_path):
    data = encoded(form, pixels, **options)
    (tmp_path / "a").write_bytes(data)
    found, expected = decode_image(data, "up/a.jpg"), read_image(tmp_path / "a")
    assert found.digest == expected.digest
    assert (found.name, found.notes) == ("a.jpg", expected.notes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a.png: the file is empty"),
        (b"hallo", "a.png: not a picture in a known format"),
        (encoded("PNG")[:80], "a.png: the picture is broken or cut off"),
        (encoded("TIFF")[:60], "a.png: "),
        (b"II*\0" + b"\xff" * 60, "a.png: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.png: not a picture"),
    ],
)
def test_what_is_no_picture_is_told_by_its_own_name_alone(data, words):
    with pytest.raises(ImageError, match=words) as raised:
        decode_image(data, "/home/somebody/a.png")
    assert "/" not in str(raised.value)


def test_large_pictures_are_refused_before_they_are_decoded():
    with pytest.raises(ImageError, match=r"image: 9 x 12 is .* raise max_pixels"):
        decode_image(encoded("PNG"), max_pixels=100)


@pytest.mark.parametrize(
    ("given", "name"),
    [("..", "image"), ("", "image"), ("a\x1b[31m\n.png", "a[31m.png"), ("x" * 300 + ".png", "x" * 116 + ".png")],
)
def test_names_are_plain(given, name):
    assert decode_image(encoded("PNG"), given).name == name
