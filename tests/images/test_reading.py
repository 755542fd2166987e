import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from fiducial.errors import ImageError, InputError
from fiducial.images import Image, list_images, read_image


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def save(path, array, **options):
    PIL.Image.fromarray(array).save(path, **options)
    return path


def test_rgb_comes_back_as_it_was(tmp_path, photo):
    image = read_image(save(tmp_path / "a.png", photo))
    assert np.array_equal(image.pixels, photo)
    assert image.notes == ()
    assert image.name == str(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, photo, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = PIL.Image.fromarray(photo)
    if orientation > 1:
        stored = stored.transpose(PIL.Image.Transpose(undo[orientation]))
    stored.save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.pixels, photo)
    assert bool(image.notes) == (orientation > 1)


def test_palettes_greys_bits_and_cmyk_become_rgb(tmp_path, photo):
    for mode, suffix in [("P", "png"), ("L", "png"), ("1", "png"), ("CMYK", "tif"), ("LA", "png"), ("YCbCr", "tif")]:
        if mode == "YCbCr" and int(PIL.__version__.partition(".")[0]) < 13:
            continue  # reads no TIFF of it that is not compressed
        PIL.Image.fromarray(photo).convert(mode).save(tmp_path / f"a.{suffix}")
        image = read_image(tmp_path / f"a.{suffix}")
        assert image.pixels.shape == (20, 30, 3), mode
        assert any(mode in note for note in image.notes) or mode == "L"


def test_transparency_is_laid_over_white(tmp_path, photo):
    rgba = np.dstack([photo, np.zeros((20, 30), np.uint8)])
    rgba[:, :10, 3] = 255
    image = read_image(save(tmp_path / "a.png", rgba))
    assert np.array_equal(image.pixels[:, :10], photo[:, :10])
    assert (image.pixels[:, 10:] == 255).all()
    PIL.Image.fromarray(rgba).quantize().save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png").pixels.shape == (20, 30, 3)


def test_sixteen_bits_and_floats_use_their_own_range_and_say_so(tmp_path):
    ramp = np.linspace(100, 4100, 600).reshape(20, 30)
    for name, array in [
        ("a.png", ramp.astype(np.uint16)),
        ("f.tif", ramp.astype(np.float32)),
        ("i.tif", ramp.astype(np.int32)),
    ]:
        image = read_image(save(tmp_path / name, array))
        assert image.pixels.min() == 0
        assert image.pixels.max() == 255
        assert image.notes == ("values 100..4100 scaled to 0..255",)
        assert (np.diff(image.pixels[..., 0].ravel().astype(int)) >= 0).all()
    flat = read_image(save(tmp_path / "flat.png", np.full((3, 3), 9, np.uint16)))
    assert (flat.pixels == 0).all()
    with pytest.raises(ImageError, match="not finite"):
        read_image(save(tmp_path / "nan.tif", np.full((3, 3), np.nan, np.float32)))


def test_the_first_frame_of_an_animation_is_read(tmp_path, photo):
    frames = [PIL.Image.fromarray(photo).convert("P"), PIL.Image.new("P", (30, 20))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image = read_image(tmp_path / "a.gif")
    assert "first of 2 frames" in image.notes
    assert image.pixels.std() > 10


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000)])
def test_thin_and_tiny_pictures_are_read(tmp_path, size):
    PIL.Image.new("RGB", size, "red").save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image.width, image.height) == size


def test_bad_files_are_named_with_the_reason(tmp_path, photo):
    whole = save(tmp_path / "a.png", photo).read_bytes()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    jpeg = save(tmp_path / "a.jpg", photo).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    for name, reason in [
        ("missing.png", "no such file"),
        ("", "is a folder"),
        ("empty.png", "empty .0 bytes."),
        ("text.png", "not a picture"),
        ("cut.png", "broken or cut off"),
        ("cut.jpg", "broken or cut off"),
    ]:
        with pytest.raises(ImageError, match=reason) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def huge_png(path, width, height):
    """A PNG whose header promises a huge picture over next to no data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )
    return path


def test_a_header_that_promises_too_much_is_refused_before_decoding(tmp_path):
    limit = PIL.Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"60000 x 50000 is 3,000 megapixels, more than the limit of 100"):
        read_image(huge_png(tmp_path / "bomb.png", 60_000, 50_000))
    assert limit == PIL.Image.MAX_IMAGE_PIXELS


def test_the_limit_can_be_set(tmp_path, photo):
    path = save(tmp_path / "a.png", photo)
    assert read_image(path, max_pixels=600).width == 30
    with pytest.raises(ImageError, match="max_pixels"):
        read_image(path, max_pixels=599)
    with pytest.raises(ImageError, match="broken or cut off"):
        read_image(huge_png(tmp_path / "large.png", 20_000, 10_000), max_pixels=300_000_000)


def test_folders_give_their_pictures_in_order(tmp_path, photo):
    for name in ("b.png", "a.JPG", "notes.txt", "sub.png"):
        if name == "sub.png":
            (tmp_path / name).mkdir()
        elif name.endswith("txt"):
            (tmp_path / name).write_text("x")
        else:
            save(tmp_path / name, photo)
    assert [path.name for path in list_images([tmp_path])] == ["a.JPG", "b.png"]
    assert list_images([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no picture in this folder"):
        list_images([tmp_path / "none"])


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_mean_the_same_in_a_file_and_in_memory(tmp_path, suffix, channels):
    values = np.random.default_rng(1).integers(100, 5000, (5, 7, channels), dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    assert cv2.imwrite(str(path), values[..., ::-1])
    read, made = read_image(path), Image.from_array(values)
    assert np.array_equal(read.pixels, made.pixels)
    assert read.notes == made.notes
    assert read.notes == (f"values {values.min()}..{values.max()} scaled to 0..255",)
    assert read.pixels.max() == 255


def test_a_path_is_needed():
    with pytest.raises(ImageError, match="needs a path, got NoneType"):
        read_image(None)
    with pytest.raises(ImageError, match="needs a path, got int"):
        list_images([3])


@pytest.mark.parametrize("suffix", ["png", "ppm", "jp2"])
def test_colours_of_twelve_bits_in_sixteen_are_not_dark(tmp_path, suffix):
    values = np.zeros((64, 80, 3), np.uint16)
    values[..., 0], values[..., 2] = np.linspace(0, 4000, 80), np.linspace(0, 2000, 64)[:, None]
    assert cv2.imwrite(str(tmp_path / f"a.{suffix}"), values[..., ::-1])
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.pixels.reshape(-1, 3).max(axis=0).tolist() == pytest.approx([255, 0, 127], abs=9)
    assert image.notes[0].startswith("values 0..4")


@pytest.mark.parametrize("number", [0, 9, 65535])
def test_an_orientation_that_means_nothing_is_not_said_to_be_applied(tmp_path, photo, number):
    exif = PIL.Image.Exif()
    exif[0x0112] = number
    PIL.Image.fromarray(photo).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.pixels, photo)
    assert image.notes == ()
