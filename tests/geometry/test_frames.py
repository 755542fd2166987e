import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import FrameError
from fiducial.geometry import Frame

size = st.integers(1, 20_000)
number = st.floats(-1e5, 1e5, allow_nan=False)


@st.composite
def frames(draw):
    """Any frame of a width x height image, with that image's pixel frame."""
    width, height = draw(size), draw(size)
    kind = draw(st.sampled_from(["pixels", "unit", "thousand", "canvas", "crop", "letterbox", "corner", "centred"]))
    made = {
        "pixels": lambda: Frame.pixels(width, height),
        "unit": Frame.unit,
        "thousand": lambda: Frame.thousand(draw(st.sampled_from([1000, 999, 1024]))),
        "canvas": lambda: Frame.canvas(draw(size), draw(size)),
        "crop": lambda: Frame.crop(draw(number), draw(number), width, height),
        "letterbox": lambda: Frame.letterbox(width, height, draw(size), draw(size)),
        "corner": lambda: Frame.letterbox(width, height, 1024, 1024, centred=False),
        "centred": Frame.centred,
    }[kind]()
    return made, Frame.pixels(width, height)


@given(frames(), frames(), st.binary(min_size=80, max_size=80), st.sampled_from([1e-6, 0.01, 1.0, 3.0]))
def test_conversion_there_and_back_returns_the_points(one, other, numbers, step):
    frame, target = one[0], other[0]
    points = np.frombuffer(numbers, dtype=np.int16).reshape(-1, 2) * step
    there = frame.points_to(points, target)
    back = target.points_to(there, frame)
    # in each direction what is rounded is a share of the image, however far outside, times a corner
    corner, other_corner = (max(map(abs, (f.left, f.top, f.right, f.bottom))) for f in (frame, target))
    share = 1 + (np.abs(there).max() + other_corner) / min(target.width, target.height)
    enlarged = max(frame.width / target.width, frame.height / target.height)
    rounded = share * (corner + other_corner * enlarged) + np.abs(points).max()
    np.testing.assert_allclose(back, points, atol=1e-15 * rounded, rtol=1e-9)


@given(frames(), frames())
def test_corners_go_to_corners_exactly(one, other):
    frame, target = one[0], other[0]
    corners = frame.points_to([[frame.left, frame.top], [frame.right, frame.bottom]], target)
    assert corners.tolist() == [[target.left, target.top], [target.right, target.bottom]]


@given(frames(), frames(), st.binary(min_size=160, max_size=160), st.sampled_from([1e-6, 0.01, 3.0]))
def test_boxes_stay_ordered_whatever_way_the_axes_run(one, other, numbers, step):
    corners = np.frombuffer(numbers, dtype=np.int16).reshape(-1, 2, 2) * step
    moved = one[0].boxes_to(np.sort(corners, axis=1).reshape(-1, 4), other[0])
    assert (moved[:, :2] <= moved[:, 2:]).all()


@pytest.mark.parametrize(
    ("frame", "point", "pixel"),
    [
        (Frame.unit(), (0.5, 0.25), (320, 120)),
        (Frame.thousand(), (500, 250), (320, 120)),
        (Frame.thousand(999), (999, 0), (640, 0)),
        (Frame.canvas(1288, 952), (644, 238), (320, 120)),
        (Frame.crop(100, 50, 640, 480), (220, 70), (320, 120)),
        (Frame.letterbox(640, 480, 1024, 1024), (512, 320), (320, 120)),
        (Frame.letterbox(640, 480, 1024, 1024, centred=False), (512, 192), (320, 120)),
        (Frame.centred(), (0, 0.5), (320, 120)),
        (Frame.centred(), (-1, 1), (0, 0)),
    ],
)
def test_known_places(frame, point, pixel):
    np.testing.assert_allclose(frame.points_to(point, Frame.pixels(640, 480)), pixel, atol=1e-9)


@pytest.mark.parametrize(
    ("size", "canvas", "edges"),
    [((40, 20), (100, 100), (0, 25, 100, 75)), ((20, 40), (100, 100), (25, 0, 75, 100)),
     ((40, 20), (30, 90), (0, 37.5, 30, 52.5)), ((10, 10), (90, 30), (30, 0, 60, 30))],
)  # fmt: skip
def test_a_letterbox_is_fitted_and_padded_on_both_sides_or_behind(size, canvas, edges):
    centred, corner = Frame.letterbox(*size, *canvas), Frame.letterbox(*size, *canvas, centred=False)
    assert (centred.left, centred.top, centred.right, centred.bottom) == pytest.approx(edges)
    assert (corner.left, corner.top) == (0, 0)
    assert (corner.right, corner.bottom) == pytest.approx((edges[2] - edges[0], edges[3] - edges[1]))


def test_a_mirrored_axis_swaps_the_edges_of_a_box():
    box = Frame.centred().boxes_to([-1, -1, 0, 0], Frame.pixels(100, 100))
    assert box.tolist() == [0, 50, 50, 100]
    assert Frame.pixels(100, 100).boxes_to(box, Frame.centred()).tolist() == [-1, -1, 0, 0]


def test_the_same_frame_returns_the_same_numbers_in_a_fresh_array():
    points = np.array([[0.1, 1 / 3]])
    same = Frame.unit().points_to(points, Frame.unit())
    assert same.tolist() == points.tolist()
    assert same is not points


def test_sizes_are_extents():
    assert (Frame.centred().width, Frame.centred().height) == (2, 2)
    assert Frame.centred().flips == (False, True)


def test_frames_of_one_kind_are_equal_and_hashable():
    assert Frame.pixels(4, 3) == Frame.canvas(4, 3)
    assert len({Frame.unit(), Frame(0, 0, 1, 1), Frame.thousand()}) == 2


@pytest.mark.parametrize("edges", [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0, float("nan"), 1), (0, float("inf"), 1, 1)])
def test_impossible_frames_are_refused(edges):
    with pytest.raises(FrameError, match="a frame needs"):
        Frame(*edges)


@pytest.mark.parametrize(
    "make",
    [lambda: Frame.pixels(0, 5), lambda: Frame.canvas(5, -1), lambda: Frame.letterbox(0, 1, 2, 2)],
)
def test_sizes_must_be_positive(make):
    with pytest.raises(FrameError, match="positive"):
        make()


def test_shapes_are_checked():
    with pytest.raises(FrameError, match=r"shape \(\.\.\., 2\), got \(3,\)"):
        Frame.unit().points_to([1, 2, 3], Frame.thousand())
    with pytest.raises(FrameError, match=r"shape \(\.\.\., 4\), got \(2,\)"):
        Frame.unit().boxes_to([1, 2], Frame.thousand())


def test_mixing_frames_is_an_error_that_names_both():
    with pytest.raises(FrameError, match=r"frame \(0, 0\)-\(1, 1\).*frame \(0, 0\)-\(1000, 1000\)"):
        Frame.thousand().require(Frame.unit())
    Frame.unit().require(Frame.unit())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Frame("a", 0, 1, 1), "a number as left, got 'a'"),
        (lambda: Frame(0, 0, 1, None), "a number as bottom, got None"),
        (lambda: Frame.pixels("wide", 3), "a number as width, got 'wide'"),
        (lambda: Frame.unit().points_to("ab", Frame.unit()), "points need numbers"),
        (lambda: Frame.unit().boxes_to([None, 1, 2, "x"], Frame.unit()), "boxes need numbers"),
        (lambda: Frame.unit().require(3), "coordinates need a Frame, got int"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(FrameError, match=message):
        make()


def test_clipping_goes_by_the_images_corners_whichever_way_the_axes_run():
    assert Frame.centred().extents == ((-1, 1), (-1, 1))
    assert Frame.centred().clip_point((-2, 0.5)) == (-1, 0.5)
    assert Frame.pixels(40, 30).clip_box((-5, 2, 50, 400)) == (0, 2, 40, 30)
    assert Frame.pixels(40, 30).clip_box((50, 50, 60, 60)) == (40, 30, 40, 30)
