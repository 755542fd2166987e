from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from shapely import box as rectangle

from fiducial.errors import InputError
from fiducial.rasters.grid import Grid
from fiducial.rasters.ground import Ground
from fiducial.rasters.wording import from_scene, needs_whole, to_scene


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), tile=st.integers(64, 900), share=st.floats(0.02, 0.5))
def test_windows_cover_every_pixel_and_share_the_overlap(width, height, tile, share):
    overlap = max(1, int(share * tile))
    grid = Grid.of((width, height), (1, 1), tile, overlap)
    tiles = grid.tiles()
    for low, high, length in ((0, 2, width), (1, 3, height)):
        spans = sorted({(one.box[low], one.box[high]) for one in tiles})
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(first[1] - second[0] >= overlap for first, second in pairwise(spans))
    assert {one.width for one in tiles} == {min(tile, width)}
    assert [one.name for one in tiles] == sorted({one.name for one in tiles}, key=[one.name for one in tiles].index)


def test_a_window_says_what_its_borders_cut():
    left, right = Grid.of((1500, 900), (1, 1), 1024, 256).tiles()
    assert not left.cuts((0, 0, 1000, 900), 4)  # the raster ends there
    assert left.cuts((900, 0, 1021, 50), 4)
    assert right.sees((900, 0, 1021, 50), 4)
    assert not right.sees((477, 0, 600, 50), 4)


def test_a_grid_of_too_few_pixels_is_refused():
    assert Grid.of((1000, 500), (2.0, 2.0), 512, 64).across == 2.0
    with pytest.raises(InputError, match="10 x 5 pixels: too few"):
        Grid.of((1000, 500), (100, 100), 512, 64)
    with pytest.raises(InputError, match="16 times as fine"):
        Grid.of((1000, 500), (0.01, 0.01), 512, 64)


# -- the ground -----------------------------------------------------------------------------------------


def ground(affine, crs, size=(1000, 800)):
    return Ground(affine, None if crs is None else CRS.from_user_input(crs), size)


NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000)


@pytest.mark.parametrize(
    ("affine", "crs", "pixel"),
    [
        (NORTH_UP, "EPSG:32633", 0.5002),  # UTM is 0.9996 of the ground at its meridian
        (Affine(1e-5, 0, 13.0, 0, -1e-5, 52.0), "EPSG:4326", None),  # degrees
        (Affine(1, 0, 1_447_000, 0, -1, 6_800_000), "EPSG:3857", 0.616),  # web mercator stretches by 1 / cos(latitude)
        (Affine(1, 0, 6_000_000, 0, -1, 2_000_000), "EPSG:2227", 0.3048),  # feet
    ],
)
def test_lengths_are_metres_on_the_ground_whatever_the_crs_counts_in(affine, crs, pixel):
    there = ground(affine, crs)
    across, down = there.pixel
    if pixel is None:
        assert (across, down) == pytest.approx((0.687, 1.113), abs=0.002)
    else:
        assert (across, down) == pytest.approx((pixel, pixel), rel=0.002)
    area, perimeter = there.measure(rectangle(*there.to_map([(0, 100), (100, 0)]).ravel()))
    assert area == pytest.approx(1e4 * across * down, rel=2e-3)
    assert perimeter == pytest.approx(200 * (across + down), rel=2e-3)


@pytest.mark.parametrize(
    "affine",
    [
        NORTH_UP,
        Affine(0.5, 0, 500_000, 0, 0.5, 5_800_000),  # south up
        NORTH_UP @ Affine.rotation(90),
        NORTH_UP @ Affine.rotation(37) @ Affine.scale(-1, 1),
    ],
)
def test_the_scene_is_north_up_however_the_pixels_lie(affine):
    there = ground(affine, "EPSG:32633")
    corners = np.array([(0, 0), (1000, 0), (0, 800), (1000, 800)])
    on_map, scene = there.to_map(corners), there.to_scene(corners)
    assert np.array_equal(np.argsort(scene[:, 0]), np.argsort(on_map[:, 0]))
    assert np.array_equal(np.argsort(scene[:, 1]), np.argsort(-on_map[:, 1]))
    assert scene.min(axis=0) == pytest.approx((0, 0), abs=1e-6)
    assert scene.max(axis=0) == pytest.approx((there.frame.width, there.frame.height), abs=1e-6)
    apart = np.linalg.norm(scene[0] - scene[3])
    assert apart == pytest.approx(np.hypot(500, 400), rel=1e-3)


def test_a_crs_whose_axes_run_west_and_south_is_turned():
    there = ground(Affine(1, 0, 50_000, 0, -1, 2_900_000), "EPSG:2053")  # Lo29: westing, southing
    assert there.metres[0] == pytest.approx(-1, abs=0.01) or there.metres[0] == pytest.approx(1, abs=0.01)
    north = there.to_scene([(500, 0), (500, 800)])
    _, lat = there._to_degrees.transform(*there.to_map([(500, 0), (500, 800)]).T)
    assert (north[0, 1] < north[1, 1]) == (lat[0] > lat[1])


def test_without_a_crs_the_scene_is_the_pixels_of_the_raster():
    there = ground(Affine(2, 0, 0, 0, 2, 0), None)
    assert there.unit == "px"
    assert there.to_scene([(10, 20)]).tolist() == [[20, 40]]
    assert there.measure(rectangle(0, 0, 3, 4)) == (12, 14)


def test_a_scale_that_varies_is_said():
    assert not ground(NORTH_UP, "EPSG:32633").notes
    wide = ground(Affine(0.01, 0, 0, 0, -0.01, 60), "EPSG:4326")
    assert "off by up to" in wide.notes[0]


# -- words ----------------------------------------------------------------------------------------------

HERE = ground(NORTH_UP, "EPSG:32633")


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("tanks within 200 m of the pier", "tanks within 200 pixels of the pier"),
        ("tanks within 1.5 kilometres of the pier", "tanks within 1500 pixels of the pier"),
        ("ships longer than 1,200 metres", "ships longer than 1200 pixels"),
        ("ships longer than fifty meters", "ships longer than 50 pixels"),
        ("ships longer than twenty-five m", "ships longer than 25 pixels"),
        ("ships longer than 100 ft", "ships longer than 30.48 pixels"),
        ("fields larger than 2 hectares", "fields larger than 20000 square pixels"),
        ("roofs larger than 300 square metres", "roofs larger than 300 square pixels"),
        ("roofs larger than 300 m2", "roofs larger than 300 square pixels"),
        ("roofs larger than 0.5 km²", "roofs larger than 500000 square pixels"),
        ("the 3 men", "the 3 men"),
        ("the two largest ships", "the two largest ships"),
        ("the m2 tank", "the m2 tank"),
    ],
)
def test_lengths_are_said_in_the_units_of_the_scene(said, asked):
    assert to_scene(said, HERE) == asked


def test_pixels_of_the_user_are_those_of_the_grid():
    assert to_scene("ships longer than 100 pixels", HERE) == "ships longer than 50.02 pixels"


def test_metres_and_north_need_a_place_on_the_ground():
    nowhere = ground(Affine(1, 0, 0, 0, 1, 0), None)
    assert to_scene("ships longer than 100 pixels", nowhere) == "ships longer than 100 pixels"
    for said in ("tanks within 200 m of the pier", "the northernmost tank", "tanks in the south-west"):
        with pytest.raises(InputError, match="where the map lies on the ground is not known"):
            to_scene(said, nowhere)


def test_what_the_resolver_says_is_said_of_the_map():
    text = "Chose the topmost of 3 tanks (it covers 300 square pixels), 'within 20 pixels of the pier'."
    assert from_scene(text, HERE) == "Chose the northernmost of 3 tanks (it covers 300 m2), 'within 20 m of the pier'."


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("all ships", False),
        ("every red car", False),
        ("ships and tanks", False),
        ("non-red cars", False),
        ("the ship", True),
        ("two ships", True),
        ("the largest ships", True),
        ("large ships", True),
        ("ships on the left", True),
        ("ships near the pier", True),
        ("half of the ships", True),
        ("ships longer than 50 pixels", True),
        ("all ships except the largest", True),
    ],
)
def test_what_only_the_whole_map_can_answer(said, whole):
    from fiducial.language.phrases import parse_instruction

    assert bool(needs_whole(parse_instruction(said))) is whole
