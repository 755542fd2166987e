from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import GeometryError, ModelError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.segmenters.canvas import HALF, Preprocessing, Upsampler


def test_fit_pads_at_the_right_and_bottom_with_zeros() -> None:
    image = Image(np.full((50, 100, 3), 255, dtype=np.uint8))
    canvas = Preprocessing(64, keep_aspect=True)(image)
    assert canvas.shape == (3, 64, 64)
    assert canvas.dtype == np.float32
    white = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(canvas[:, :32], np.broadcast_to(white[:, None, None], (3, 32, 64)), rtol=1e-5)
    assert not canvas[:, 32:].any()


def test_stretch_fills_the_square() -> None:
    pixels = np.zeros((10, 200, 3), dtype=np.uint8)
    pixels[:, 100:] = (255, 0, 255)
    canvas = Preprocessing(32, keep_aspect=False, mean=HALF, std=HALF)(Image(pixels))
    np.testing.assert_allclose(canvas[:, 16, [0, 31]], [[-1, 1], [-1, -1], [-1, 1]], atol=1e-6)


def test_edges_are_soft_and_do_not_ring() -> None:
    """Bilinear: cubic filters overshoot beside an edge, and the nearest pixel has no value between."""
    pixels = np.full((10, 10, 3), 100, dtype=np.uint8)
    pixels[:, 5:] = 150
    row = Preprocessing(64, keep_aspect=False, mean=(0, 0, 0), std=(1, 1, 1))(Image(pixels))[0, 32] * 255
    assert (round(float(row.min())), round(float(row.max()))) == (100, 150)
    assert len(np.unique(row)) > 4
    assert (np.diff(row) >= 0).all()


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1100))
def test_the_frame_is_the_letterbox_but_for_whole_pixels(width: int, height: int, size: int) -> None:
    way = Preprocessing(size, keep_aspect=True)
    exact = Frame.letterbox(width, height, size, size, centred=False)
    frame = way.frame(width, height)
    assert (frame.left, frame.top) == (0, 0)
    assert max(frame.width, frame.height) == size
    # A sliver keeps one pixel, so that it is shown at all.
    assert abs(frame.width - max(exact.width, 1)) <= 0.5 + 1e-9
    assert abs(frame.height - max(exact.height, 1)) <= 0.5 + 1e-9
    assert Preprocessing(size, keep_aspect=False).frame(width, height) == Frame.canvas(size, size)


def test_keys_tell_every_number_apart() -> None:
    ways = [
        Preprocessing(64, keep_aspect=True),
        Preprocessing(65, keep_aspect=True),
        Preprocessing(64, keep_aspect=False),
        Preprocessing(64, keep_aspect=True, mean=HALF),
        Preprocessing(64, keep_aspect=True, std=HALF),
    ]
    assert len({str(way) for way in ways}) == 5


def full(logits: np.ndarray, up: Upsampler) -> np.ndarray:
    """Interpolate everywhere: the whole-picture computation that the window must reproduce bit by bit."""
    rows, columns = up._rows, up._columns
    across = columns.weight[None]
    wide = logits[:, columns.near] * (np.float32(1) - across) + logits[:, columns.far] * across
    down = rows.weight[:, None]
    return wide[rows.near] * (np.float32(1) - down) + wide[rows.far] * down > 0


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    grid=st.sampled_from([(1, 1), (2, 2), (8, 8), (16, 16), (9, 9)]),
    share=st.floats(0, 1),
    keep=st.booleans(),
)
def test_the_window_gives_what_the_whole_picture_gives(
    seed: int, width: int, height: int, grid: tuple[int, int], share: float, keep: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(grid).astype(np.float32)
    logits[rng.random(grid) < share] = rng.choice([-1.0, 0.0, -1e-30, -3.4e38])
    size = 64
    scale = size / max(width, height)
    shown = Frame.canvas(width * scale, height * scale) if keep else Frame.canvas(size, size)
    up = Upsampler(width, height, shown=shown, size=size, grid=grid)
    mask = up.mask(logits)
    np.testing.assert_array_equal(mask.to_dense(), full(logits, up))


def test_strips_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    up = Upsampler(333, 217, shown=Frame.canvas(64, 64), size=64, grid=(16, 16))
    whole = up.mask(logits)
    for strip in (1, 400, 5000):
        monkeypatch.setattr("fiducial.segmenters.canvas._STRIP", strip)
        assert up.mask(logits) == whole


@pytest.mark.parametrize(("width", "height"), [(256, 192), (64, 48), (40, 31), (7, 5)])
def test_it_is_bilinear_interpolation_of_pixel_centres(width: int, height: int) -> None:
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(1).standard_normal((16, 16)).astype(np.float32)
    up = Upsampler(width, height, shown=Frame.canvas(64, 64), size=64, grid=(16, 16))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], (height, width), mode="bilinear", align_corners=False
    )[0, 0].numpy()
    certain = np.abs(expected) > 1e-5
    np.testing.assert_array_equal(up.mask(logits).to_dense()[certain], expected[certain] > 0)


def test_padding_is_undone() -> None:
    """The left half of the canvas holds the image: what is positive beyond it is no part of it."""
    logits = np.full((8, 8), -1.0, dtype=np.float32)
    logits[:, 6:] = 5
    up = Upsampler(50, 100, shown=Frame.canvas(32, 64), size=64, grid=(8, 8))
    assert not up.mask(logits)
    logits[:, 2] = 5
    # A cell is 12.5 pixels wide; from its centre at -1 to the next at 5 the sign changes after 1/6 of the way.
    assert up.mask(logits).box == (21.0, 0.0, 42.0, 100.0)  # 20.8 to 41.7, by pixel centres


def test_a_point_stays_where_it_is() -> None:
    logits = np.full((64, 64), -1.0, dtype=np.float32)
    logits[10, 20] = 1
    mask = Upsampler(640, 640, shown=Frame.canvas(64, 64), size=64, grid=(64, 64)).mask(logits, 0.5)
    assert mask.centroid == pytest.approx((205.0, 105.0))
    assert mask.score == 0.5


def test_large_images_need_no_dense_picture() -> None:
    import tracemalloc

    logits = np.full((256, 256), -1.0, dtype=np.float32)
    logits[100:110, 50:60] = 1
    up = Upsampler(40_000, 30_000, shown=Frame.canvas(1024, 1024), size=1024, grid=(256, 256))
    tracemalloc.start()
    mask = up.mask(logits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000 < 40_000 * 30_000
    assert mask.area == pytest.approx(10 * 10 * (40_000 / 256) * (30_000 / 256), rel=0.1)


def test_wrong_logits_are_refused() -> None:
    up = Upsampler(10, 10, shown=Frame.canvas(8, 8), size=8, grid=(4, 4))
    with pytest.raises(GeometryError, match=r"\(4, 5\) do not fit the grid \(4, 4\)"):
        up.mask(np.zeros((4, 5), np.float32))
    with pytest.raises(ModelError, match="not finite"):
        up.mask(np.full((4, 4), np.nan, np.float32))
    for shown in (Frame.canvas(9, 8), Frame(1, 0, 8, 8), Frame(8, 0, 0, 8)):
        with pytest.raises(GeometryError, match="top left of a canvas of 8 pixels"):
            Upsampler(10, 10, shown=shown, size=8, grid=(4, 4))
