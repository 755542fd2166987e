import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from fiducial.errors import ImageError
from fiducial.images import image_size, read_image

RGB = np.zeros((24, 32, 3), np.uint16)
RGB[..., 0], RGB[..., 1], RGB[6:12, 8:20, 2] = np.arange(32) * 2000, np.arange(24)[:, None] * 2500, 50_000


@pytest.fixture
def write(tmp_path):
    def write(values, **options):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, values, **options)
        return path

    return write


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}]
)
@pytest.mark.parametrize("bits", [8, 16])
def test_channels_apart_or_together_are_the_same_picture(write, separate, options, bits):
    values = RGB if bits == 16 else (RGB >> 8).astype(np.uint8)
    stored = np.moveaxis(values, -1, 0) if separate else values
    path = write(stored, photometric="rgb", planarconfig="separate" if separate else "contig", **options)
    assert np.array_equal(read_image(path).pixels, RGB >> 8)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("int16", -500, 900), ("uint32", 0, 4e9), ("int8", -90, 90), ("f8", -2, 5)]
)
def test_numbers_of_every_kind_are_stretched_and_said(write, kind, low, high):
    ramp = np.linspace(low, high, 600).reshape(20, 30).astype(kind)
    image = read_image(write(ramp))
    assert (np.diff(image.pixels[..., 0].ravel().astype(int)) >= 0).all()
    assert (image.pixels.min(), image.pixels.max()) == (0, 255)
    assert image.notes == (f"values {low:g}..{high:g} scaled to 0..255",)


def test_twelve_bits_in_sixteen_are_not_dark(write):
    image = read_image(write((RGB // 15).astype(np.uint16), photometric="rgb"))
    assert image.pixels.max() == 255
    assert image.notes == ("values 0..4133 scaled to 0..255",)


@pytest.mark.parametrize(
    ("declared", "value"), [("-9999", -9999), ("-3.4028234663852886e+38", -3.4028235e38), ("0", 0)]
)
def test_declared_missing_data_is_black_and_does_not_count(write, declared, value):
    values = np.linspace(3, 4, 600).reshape(20, 30).astype(np.float32)
    values[:5, :5] = value
    image = read_image(write(values, extratags=[(42113, "s", 0, declared, True)]))
    assert not image.pixels[:5, :5].any()
    assert image.pixels[10, 15, 0] == pytest.approx(134, abs=2)
    assert image.notes[1] == "25 pixels without data are black"


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_no_number_may_be_declared_as_missing(write, channels):
    values = np.linspace(3, 4, 600 * channels).reshape((20, 30, channels)[: 2 + (channels > 1)]).astype(np.float32)
    values[:5, :5] = np.nan
    options = {"photometric": "rgb" if channels == 3 else "minisblack"}
    image = read_image(write(values, extratags=[(42113, "s", 0, "nan", True)], **options))
    assert not image.pixels[:5, :5].any()
    assert image.pixels[10, 15, 0] == pytest.approx(134, abs=2)
    assert image.notes[1] == "25 pixels without data are black"


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_inks_apart_become_colours(write, kind):
    inks = np.zeros((4, 6, 8), kind)
    inks[0, :, :4] = inks[3, 3:] = np.iinfo(kind).max  # cyan at the left, black below
    image = read_image(write(inks, photometric="separated", planarconfig="separate"))
    wide = kind == np.uint16
    assert image.pixels[0, [0, 7]].tolist() == [[0, 255, 255], [255, 255, 255]]
    assert not image.pixels[3:].any()
    assert image.notes == (*["the upper 8 of 16 bits per channel were taken"] * wide, "converted from CMYK to RGB")


def test_white_is_zero_is_turned_round(write):
    ramp = np.linspace(0, 60_000, 600).reshape(20, 30).astype(np.uint16)
    assert np.array_equal(
        read_image(write(ramp, photometric="miniswhite")).pixels, 255 - read_image(write(ramp)).pixels
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_three_channels_without_meaning_are_taken_for_colours_and_that_is_said(write, kind):
    values = (RGB >> (8 if kind == np.uint8 else 0)).astype(kind)
    image = read_image(write(values, photometric="minisblack", planarconfig="contig"))
    assert np.array_equal(image.pixels, RGB >> 8)
    assert image.notes[0] == "its 3 channels were taken as red, green and blue, which the file does not say"


@pytest.mark.parametrize("channels", [2, 4, 5, 13])
@pytest.mark.parametrize("separate", [False, True])
def test_channels_that_nobody_can_tell_for_colours_are_refused(write, channels, separate):
    values = np.zeros((channels, 20, 30) if separate else (20, 30, channels), np.uint16)
    path = write(values, photometric="minisblack", planarconfig="separate" if separate else "contig")
    with pytest.raises(ImageError, match=rf"holds {channels} channels, .*gdal_translate"):
        read_image(path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("meaning", ["unspecified", "unassalpha"])
def test_a_fourth_channel_is_opacity_only_where_the_file_says_so(write, kind, meaning):
    values = np.dstack([RGB, np.zeros((24, 32), np.uint16)])
    values[12:, :, 3] = 65_535
    values = (values >> 8).astype(kind) if kind == np.uint8 else values
    image = read_image(write(values, photometric="rgb", extrasamples=[meaning]))
    assert np.array_equal(image.pixels[12:], (RGB >> 8)[12:])
    assert (image.pixels[:12] == 255).all() == (meaning == "unassalpha")
    assert any("left out 1 further channel" in note for note in image.notes) == (meaning == "unspecified")


def test_pages_are_counted_but_not_smaller_versions(tmp_path):
    page = np.zeros((20, 30), np.uint8)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for level in range(3):
            file.write(page + level * 9)
    assert read_image(tmp_path / "pages.tif").notes == ("first of 3 pages",)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(page[::2, ::2] + 50, subfiletype=1)
        file.write(page + 9)
        file.write(page[::2, ::2], subfiletype=1)
    image = read_image(tmp_path / "pyramid.tif")
    assert (image.width, image.pixels.max(), image.notes) == (30, 9, ())
    assert image_size(tmp_path / "pyramid.tif") == (30, 20)


def test_a_stack_of_imagej_is_counted_by_what_it_says(write):
    path = write(np.zeros((5, 20, 30), np.uint8), imagej=True, truncate=True)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    assert read_image(path).notes == ("first of 5 pages",)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "packbits", "tiff_adobe_deflate"])
def test_plain_pictures_of_every_compression_are_read(tmp_path, mode, compression):
    stored = PIL.Image.fromarray((RGB >> 8).astype(np.uint8)).convert(mode)
    stored.save(tmp_path / "a.tif", compression=compression)
    image = read_image(tmp_path / "a.tif")
    off = np.abs(image.pixels.astype(int) - np.asarray(stored.convert("RGB")))
    assert off.mean() <= (4 if compression == "jpeg" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint16, 3)])
def test_deep_pictures_are_turned_upright_as_others_are(write, orientation, kind, channels):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    colours = RGB if channels == 3 else RGB[..., 0]
    pixels = (colours >> 8).astype(np.uint8)
    wanted = PIL.Image.fromarray(pixels)
    wanted.getexif()[0x0112] = orientation
    upright = np.asarray(PIL.ImageOps.exif_transpose(wanted).convert("RGB"))
    values = pixels if kind == np.uint8 else colours
    photometric = "rgb" if channels == 3 else "minisblack"
    path = write(values, photometric=photometric, extratags=[(274, "H", 1, orientation, True)])
    image = read_image(path)
    assert np.array_equal(image.pixels, upright)
    assert image_size(path) == (image.width, image.height)
    assert any("EXIF orientation" in note for note in image.notes) == (orientation > 1)


def test_lzw_of_sixteen_bits_is_read(tmp_path):
    values = (RGB // 15).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), values[..., ::-1])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].compression == 5
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, np.rint(values / values.max() * 255))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_what_is_cut_off_is_refused(write, kept, kind, options):
    path = write(np.random.default_rng(0).integers(0, 250, (64, 64)).astype(kind), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImageError, match="broken or cut off"):
        read_image(path)


def test_what_is_no_picture_is_refused_with_what_to_do(write):
    with pytest.raises(ImageError, match="complex64, which is no grey or colour"):
        read_image(write(np.zeros((4, 5), np.complex64)))
    with pytest.raises(ImageError, match="volume of 4 slices"):
        read_image(write(np.zeros((4, 32, 48), np.uint8), volumetric=True, tile=(4, 16, 16), photometric="minisblack"))
    with pytest.raises(ImageError, match="as of raw camera data"):
        read_image(
            write(
                np.zeros((4, 5), np.uint16),
                photometric="cfa",
                extratags=[(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)],
            )
        )
    with pytest.raises(ImageError, match="more than the limit of 0"):
        read_image(write(RGB, photometric="rgb"), max_pixels=700)
