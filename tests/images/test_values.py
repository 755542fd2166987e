import numpy as np
import pytest

from fiducial.errors import ImageError
from fiducial.images.values import UPPER_BITS, alpha_to_eight_bits, over_white, to_eight_bits

RAMP = np.linspace(0, 1, 600).reshape(20, 30)


@pytest.mark.parametrize(
    "kind", [np.int8, np.int16, np.uint16, np.int32, np.uint32, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize(("low", "high"), [(0, 100), (7, 113)])
def test_greys_are_stretched_from_their_least_to_their_largest_value(kind, low, high):
    values = np.rint(low + RAMP * (high - low)).astype(kind)
    scaled, said = to_eight_bits(values)
    assert np.abs(scaled.astype(float) - (values.astype(float) - low) / (high - low) * 255).max() <= 0.5
    assert said == (f"values {low}..{high} scaled to 0..255",)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
def test_colours_of_few_bits_are_stretched_together(bits):
    top = 2**bits - 1
    colours = np.stack([RAMP * top, RAMP * top / 2, RAMP * top / 4], axis=2).astype(np.uint16)
    scaled, said = to_eight_bits(colours)
    assert scaled.reshape(-1, 3).max(axis=0).tolist() == pytest.approx([255, 127, 64], abs=1)
    assert said == (f"values 0..{top} scaled to 0..255",)


def test_colours_with_a_range_of_their_own_keep_it():
    colours = np.stack([RAMP, RAMP * 0.4 + 0.1, RAMP * 0.2], axis=2)
    scaled, said = to_eight_bits((colours * 60_000).astype(np.uint16))
    assert (np.array_equal(scaled, (colours * 60_000).astype(np.uint16) >> 8), said) == (True, (UPPER_BITS,))
    scaled, said = to_eight_bits((colours * 0.8).astype(np.float32))
    assert scaled.max() == 204
    assert said == ("values 0..1 scaled to 0..255",)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_few_saturated_pixels_do_not_darken_the_rest(kind, channels):
    values = np.repeat(np.linspace(200, 3000, 10_000)[:, None], channels, axis=1).reshape(100, 100, channels)
    values[0, :20] = 65_535
    scaled, said = to_eight_bits(values.astype(kind) if channels == 3 else values[..., 0].astype(kind))
    assert np.median(scaled) > 100
    assert (scaled[0, :20] == 255).all()
    assert "larger ones (up to 65535) are white" in said[0]


@pytest.mark.parametrize("low", [0, 320])
def test_the_range_ends_no_lower_than_at_a_32nd_of_it(low):
    values = np.full((100, 100), low, np.int32) + (np.arange(100) % 2)[:, None]
    values[0, 0], values[0, 1] = low + 32_000, low + 500
    scaled, said = to_eight_bits(values)
    assert said == (f"values {low}..{low + 1000} scaled to 0..255, larger ones (up to {low + 32_000}) are white",)
    assert scaled[0, :2].tolist() == [255, 128]


def test_pure_colours_on_black_are_no_saturation():
    colours = np.zeros((100, 100, 3), np.uint16)
    colours[:5, :5] = (65_535, 20_000, 300)
    scaled, said = to_eight_bits(colours)
    assert scaled[0, 0].tolist() == [255, 78, 1]
    assert said == (UPPER_BITS,)


def test_what_is_no_number_is_black_and_does_not_count():
    values = (RAMP * 4 + 2).astype(np.float32)
    values[0, :6] = [np.nan, np.inf, -np.inf, -3.4e38, 9.96e36, 1e20]
    scaled, said = to_eight_bits(values)
    assert not scaled[0, :6].any()
    assert scaled[-1, -1] == 255
    assert said[1] == "6 pixels without data are black"
    values[:] = np.nan
    with pytest.raises(ImageError, match="not finite"):
        to_eight_bits(values)
    with pytest.raises(ImageError, match="missing data"):
        to_eight_bits(RAMP, np.ones((20, 30), bool))


@pytest.mark.parametrize(
    ("filler", "kind"),
    [(-9999, np.float32), (-9999, np.int16), (-32768, np.int16), (-99999, np.float64), (-2147483648, np.int32)],
)
def test_fillers_that_lie_far_off_are_no_data(filler, kind):
    values = (RAMP * 200).astype(kind)
    values[:4] = filler
    scaled, said = to_eight_bits(values)
    assert (scaled[4:].min(), scaled[4:].max(), scaled[:4].max()) == (0, 255, 0)
    assert said[1] == "120 pixels without data are black"


def test_a_filler_s_number_among_others_is_a_value():
    values = (RAMP * 20_000 - 9999).astype(np.int32)
    scaled, said = to_eight_bits(values)
    assert said == ("values -9999..10001 scaled to 0..255",)
    assert np.ptp(scaled) == 255
    assert to_eight_bits(np.array([[-9999, 5]], np.int32))[0].tolist() == [[0, 255]]  # two values say nothing


def test_labels_and_masks_keep_their_contrast():
    assert to_eight_bits(np.array([[0, 65_535]], np.uint16))[0].tolist() == [[0, 255]]
    assert to_eight_bits(np.array([[0, 0, 0, 7]], np.uint16))[0].tolist() == [[0, 0, 0, 255]]


def test_opacity_has_the_range_of_its_colours():
    assert alpha_to_eight_bits(np.array([[0, 65_535]], np.uint16), 4000).tolist() == [[0, 255]]
    assert alpha_to_eight_bits(np.array([[0, 4095]], np.uint16), 4000).tolist() == [[0, 255]]
    assert alpha_to_eight_bits(np.array([[0, 0.5, 1]]), 1).tolist() == [[0, 128, 255]]
    assert over_white(np.full((1, 2, 3), 10, np.uint8), np.array([[0, 255]], np.uint8))[0, :, 0].tolist() == [255, 10]
