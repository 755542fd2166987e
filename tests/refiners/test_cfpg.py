from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.spatial import ConvexHull

from fiducial.contracts import PromptRefiner, ReportingPromptRefiner
from fiducial.errors import FrameError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.refiners import ForegroundPoint
from fiducial.refiners.cfpg import Region, _rank, hull_area, measure_regions, split_regions
from fiducial.refiners.crops import Crop

GREEN, RED = (40, 120, 50), (210, 60, 50)
ANYWHERE = ForegroundPoint(reach=2)


def picture(inside, noise=8, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.where(inside[..., None], RED, GREEN) + rng.integers(-noise, noise + 1, (*inside.shape, 3))
    return Image(np.clip(pixels, 0, 255).astype(np.uint8))


def disc(shape, x, y, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def ask(image, *boxes, refiner=None, **options):
    prompts = Prompts.from_boxes(image.frame, boxes)
    return (refiner or ForegroundPoint()).report(image, prompts, **options)


def test_it_keeps_its_promises():
    assert isinstance(ForegroundPoint(), PromptRefiner)
    assert isinstance(ForegroundPoint(), ReportingPromptRefiner)


@pytest.mark.parametrize("space", ["rgb", "lab", "luv", "hsv", "ycrcb", "grey"])
def test_the_middle_of_a_disc_is_found_in_every_colour_space(space):
    image = picture(disc((120, 160), 90, 60, 30))
    refined, [told] = ask(image, (58, 27, 123, 94), refiner=ForegroundPoint(colour_space=space))
    assert refined[0].box == (58, 27, 123, 94)
    assert refined[0].points[0] == pytest.approx((90, 60), abs=1)
    assert refined[0].labels == (1,)
    assert told.changed
    assert told.refiner == "cfpg"
    assert "at its centroid: region of convexity 0.9" in told.reason
    assert told.figures["convexity"] > 0.93
    assert told.figures["area"] == pytest.approx(math.pi * 900 / (65 * 67), abs=0.02)
    assert told.figures["separation"] > 0.8
    assert (told.figures["x"], told.figures["y"]) == pytest.approx(refined[0].points[0], abs=1e-3)


def test_both_clusters_compete():
    # A square of background inside a frame of foreground: the square is the more convex one.
    inside = np.ones((100, 100), bool)
    inside[35:65, 35:65] = False
    refined, _ = ask(picture(inside), (0, 0, 100, 100))
    assert refined[0].points[0] == pytest.approx((50, 50), abs=0.5)


def test_large_crops_are_worked_small_and_mapped_back():
    image = picture(disc((700, 900), 500, 300, 200))
    refined, _ = ask(image, (290, 90, 710, 510))
    assert refined[0].points[0] == pytest.approx((500, 300), abs=4)


def test_a_ring_gets_its_deepest_place():
    shape = (120, 120)
    # Nothing else is large enough: the middle and the corners are small.
    ring = disc(shape, 60, 60, 60) & ~disc(shape, 60, 60, 26)
    refined, [told] = ask(picture(ring), (0, 0, 120, 120), refiner=ForegroundPoint(
        reach=2, min_area=0.2, marker_threshold=0, working_size=120
    ))  # fmt: skip
    assert "deepest inside, since its centroid lies beside it" in told.reason
    assert Mask.from_dense(ring).contains(refined[0].points[0])


def region(convexity, area, centroid, label=1):
    return Region(label, area, convexity, centroid, centroid)


def test_ties_go_to_the_larger_then_to_the_nearer():
    crop = Crop((0, 0, 40, 20), np.zeros((20, 40, 3), np.uint8))
    ordered = [
        region(0.95, 10, (0, 0)),
        region(0.9, 30, (1, 1)),
        region(0.9, 20, (21, 11)),
        region(0.9, 20, (25, 11), label=2),
        region(0.9, 20, (25, 11), label=3),
    ]
    assert sorted(ordered[::2] + ordered[1::2], key=lambda one: _rank(one, crop)) == ordered


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((10, 10, 15, 40), "no point: the box is only 5 x 30 pixels"),
        ((10, 10, 10.2, 40), "no point: the box lies outside the image"),  # holds the centre of no pixel
        ((500, 500, 540, 540), "no point: the box lies outside the image"),
        ((100, 90, 140, 118), "no point: the crop has one colour"),
    ],
)
def test_where_nothing_can_be_found_nothing_is_added(box, reason):
    image = picture(disc((120, 160), 50, 50, 20), noise=0)
    refined, [told] = ask(image, box)
    assert refined[0].points == ()
    assert refined[0].box == box
    assert (told.changed, told.reason) == (False, reason)


def test_nothing_qualifies_when_every_region_is_too_small():
    noise = np.random.default_rng(0).random((64, 64)) < 0.5
    refined, [told] = ask(picture(noise, noise=0), (0, 0, 64, 64), refiner=ForegroundPoint(min_area=0.5))
    assert refined[0].points == ()
    assert told.reason == "no point: no region covers 50% of the box"
    assert told.figures["regions"] == 0


def test_prompts_without_a_box_and_earlier_points_stay():
    image = picture(disc((120, 160), 90, 60, 30))
    prompts = Prompts(image.frame, (
        Prompt(image.frame, points=((5, 5),)),
        Prompt(image.frame, box=(58, 27, 123, 94), points=((60, 30),), point_labels=(0,), label="disc", score=0.5),
    ))  # fmt: skip
    refined, told = ForegroundPoint().report(image, prompts)
    assert refined[0] == prompts[0]
    assert told[0].reason == "no point: no box to look in"
    assert refined[1].labels == (0, 1)
    assert (refined[1].label, refined[1].score, refined[1].points[0]) == ("disc", 0.5, (60, 30))
    assert ForegroundPoint()(image, prompts) == refined


def test_a_box_partly_outside_is_searched_where_the_image_is():
    image = picture(disc((120, 160), 10, 60, 30))
    refined, [told] = ask(image, (-30, 25, 44, 95), refiner=ANYWHERE)
    assert refined[0].box == (-30, 25, 44, 95)
    assert told.changed
    x, y = refined[0].points[0]
    assert 0 < x < 44
    assert 25 < y < 95
    assert told.figures == ask(image, (0, 25, 44, 95), refiner=ANYWHERE)[1][0].figures


def test_a_point_off_the_middle_is_not_added_unless_asked_for():
    # The corners beside a cross are squares, more convex than the cross.
    inside = np.zeros((100, 100), bool)
    inside[30:70] = inside[:, 30:70] = True
    image = picture(inside)
    refined, [told] = ask(image, (0, 0, 100, 100))
    assert refined[0].points == ()
    assert told.reason.startswith("no point: the best lies off the middle (")
    off = told.figures["off_centre"]
    assert off > 0.5
    for reach in (off - 0.01, off + 0.01):
        assert ask(image, (0, 0, 100, 100), refiner=ForegroundPoint(reach=reach))[1][0].changed == (reach > off)
    [shown, crossed_out] = [
        ask(image, (0, 0, 100, 100), refiner=refiner, pictures=True)[1][0].pictures["point"]
        for refiner in (ANYWHERE, ForegroundPoint())
    ]
    assert not np.array_equal(shown, crossed_out)
    added, [told] = ask(image, (0, 0, 100, 100), refiner=ANYWHERE)
    assert told.changed
    x, y = added[0].points[0]
    assert math.hypot(x / 50 - 1, y / 50 - 1) == pytest.approx(told.figures["off_centre"], abs=1e-3)


def test_every_box_is_on_its_own_and_equal_ones_are_worked_once(monkeypatch):
    image = picture(disc((120, 160), 50, 50, 20) | disc((120, 160), 120, 70, 25))
    boxes = [(28, 28, 72, 72), (93, 43, 147, 97), (28.2, 28.1, 72.4, 72)]
    calls = []
    from fiducial.refiners import cfpg

    cut = cfpg.cut_crop
    monkeypatch.setattr(cfpg, "cut_crop", lambda *given: calls.append(given) or cut(*given))
    together, _ = ask(image, *boxes)
    assert len(calls) == 2
    alone = [ask(image, box)[0][0] for box in boxes]
    assert list(together) == alone
    assert together[2].points == together[0].points


def test_work_follows_the_box_and_not_the_image(monkeypatch):
    from fiducial.refiners import cfpg

    small = picture(disc((120, 160), 90, 60, 30))
    pixels = np.full((900, 1200, 3), 90, np.uint8)
    pixels[500:620, 300:460] = small.pixels
    shapes = []
    cut = cfpg.cut_crop

    def watch(*given):
        crop = cut(*given)
        shapes.append(crop.shape)
        return crop

    monkeypatch.setattr(cfpg, "cut_crop", watch)
    here, _ = ask(small, (58, 27, 123, 94))
    there, _ = ask(Image(pixels), (358, 527, 423, 594))
    assert shapes == [(67, 65)] * 2
    assert there[0].points[0] == pytest.approx((here[0].points[0][0] + 300, here[0].points[0][1] + 500))


def test_pictures_are_drawn_when_asked_for():
    image = picture(disc((120, 160), 90, 60, 30))
    _, [told] = ask(image, (58, 27, 123, 94), pictures=True)
    assert list(told.pictures) == ["crop", "clusters", "regions", "point"]
    assert {picture.shape for picture in told.pictures.values()} == {(67 * 7, 65 * 7, 3)}
    assert not np.array_equal(told.pictures["crop"], told.pictures["point"])
    assert np.array_equal(told.pictures["crop"][::7, ::7], image.pixels[27:94, 58:123])
    _, [told] = ask(image, (58, 27, 123, 94))
    assert not told.pictures
    noise = picture(np.random.default_rng(0).random((64, 64)) < 0.5)
    _, [told] = ask(noise, (0, 0, 64, 64), refiner=ForegroundPoint(min_area=0.5), pictures=True)
    assert list(told.pictures) == ["crop", "clusters", "regions"]


def test_prompts_of_another_frame_are_refused():
    image = picture(disc((120, 160), 90, 60, 30))
    with pytest.raises(FrameError):
        ForegroundPoint()(image, Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]))


def test_the_point_alone_when_the_box_is_not_kept():
    pixels = np.full((60, 80, 3), 40, np.uint8)
    pixels[20:40, 10:30] = (200, 30, 30)
    image = Image(pixels)
    given = Prompts.from_boxes(image.frame, [(6, 16, 34, 44), (60, 5, 78, 20)])
    found, nothing = ForegroundPoint(keep_box=False)(image, given)
    assert found.box is None
    assert found.points == ((20.0, 30.0),)
    assert nothing == given[1]


def measured(second, min_area=0.0, marker_threshold=0.5):
    labels, depth = split_regions(second, marker_threshold)
    return labels, measure_regions(labels, depth, min_area)


def on_second(second, min_area=0.0, marker_threshold=0.5):
    labels, regions = measured(second, min_area, marker_threshold)
    return [region for region in regions if second[labels == region.label].all()]


@given(arrays.arrays(bool, st.tuples(st.integers(2, 14), st.integers(2, 14))), st.floats(0, 1))
def test_regions_are_connected_keep_to_their_side_and_cover_everything(second, threshold):
    labels, regions = measured(second, marker_threshold=threshold)
    assert (labels > 0).all()
    assert sum(region.area for region in regions) == second.size
    for region in regions:
        inside = labels == region.label
        assert len(np.unique(second[inside])) == 1
        assert ndimage.label(inside)[1] == 1
        assert 0 < region.convexity <= 1
        x, y = region.point
        assert inside[int(y), int(x)]


@given(arrays.arrays(bool, st.tuples(st.integers(1, 10), st.integers(1, 10))))
def test_the_hull_is_that_of_all_corners(inside):
    inside = inside[inside.any(axis=1)]
    if not inside.size:
        return
    rows, columns = np.nonzero(inside)
    corners = np.concatenate([np.stack([columns + i, rows + j], 1) for i in (0, 1) for j in (0, 1)])
    assert hull_area(inside) == pytest.approx(ConvexHull(corners).volume)


def test_a_rectangle_is_fully_convex_and_a_cross_is_not():
    second = np.zeros((30, 40), bool)
    second[5:15, 8:30] = True
    [rectangle] = on_second(second)
    assert (rectangle.convexity, rectangle.area, rectangle.centroid) == (1.0, 220, (19.0, 10.0))
    cross = np.zeros((9, 9), bool)
    cross[3:6] = cross[:, 3:6] = True
    assert hull_area(cross) == 9 * 9 - 4 * (3 * 3 / 2)


def test_touching_discs_are_split_and_one_disc_is_not():
    shape = (60, 100)
    two = disc(shape, 31, 30, 20) | disc(shape, 69, 30, 20)
    assert ndimage.label(two)[1] == 1
    assert sorted(round(region.centroid[0]) for region in on_second(two, min_area=100)) == [31, 69]
    assert len(on_second(disc(shape, 50, 30, 22), min_area=100)) == 1


def test_a_ring_takes_its_deepest_place_instead_of_its_centroid():
    shape = (80, 80)
    ring = disc(shape, 40, 40, 34) & ~disc(shape, 40, 40, 20)
    labels, _ = measured(ring, marker_threshold=0.0)
    [region] = on_second(ring, marker_threshold=0.0)
    assert region.point != region.centroid
    assert region.centroid == pytest.approx((40, 40))
    x, y = region.point
    assert labels[int(y), int(x)] == region.label
    assert np.hypot(x - 40, y - 40) == pytest.approx(27, abs=1.5)


def test_small_regions_do_not_count():
    second = np.zeros((20, 20), bool)
    second[2:4, 2:4] = True
    assert on_second(second, min_area=5) == []
    assert on_second(~second, min_area=5)
