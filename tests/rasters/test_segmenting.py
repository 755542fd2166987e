import errno
import json
import os
import shutil

import numpy as np
import pytest
from affine import Affine
from shapely import Polygon

from fakes import BoxPrompter, BoxSegmenter
from fiducial.errors import InputError, ModelError
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import DetectorPrompter
from fiducial.rasters import Raster, RasterOptions, segment, segment_raster
from fiducial.rasters.asking import asker_for
from fiducial.rasters.ground import Ground
from fiducial.rasters.joining import join
from fiducial.rasters.segmenting import grid_of, look
from rasters.maps import NORTH_UP, ColourDetector, ColourSegmenter, made_pipeline, picture, write_map

SMALL = RasterOptions(tile=128, tile_overlap=32)
THINGS = [
    ("ship", 10, 10, 50, 30),
    ("ship", 90, 40, 140, 60),  # on the border between two windows
    ("ship", 20, 150, 290, 180),  # larger than a window
    ("tank", 200, 20, 212, 32),
    ("tank", 96, 96, 116, 116),  # where four windows meet
    ("tank", 260, 210, 270, 220),
    ("pier", 150, 80, 180, 90),
]


@pytest.fixture
def harbour(tmp_path):
    return write_map(tmp_path / "harbour.tif", picture(300, 240, THINGS))


def placed(name):
    return [one[1:] for one in THINGS if one[0] == name]


def boxes(table):
    return [tuple(row) for row in table[["left_px", "top_px", "right_px", "bottom_px"]].to_numpy().astype(int).tolist()]


def test_every_thing_is_found_once_wherever_windows_end(harbour):
    table = segment(made_pipeline(), harbour, "all ships", SMALL)
    assert boxes(table) == placed("ship")
    assert table.attrs["outcome"] == "found"
    assert table.attrs["text"].startswith("Chose all 3 ships.")
    assert table["label"].tolist() == ["ship"] * 3
    assert table["id"].tolist() == [1, 2, 3]
    assert table["window"].tolist()[0] == "r0c0"
    assert table["area_m2"].to_numpy() == pytest.approx([200, 250, 2025], rel=2e-3)
    assert table["perimeter_m"].to_numpy() == pytest.approx([60, 70, 300], rel=2e-3)
    assert table.geometry.is_valid.all()
    assert table.geometry.iloc[0].bounds == (400_005, 5_799_985, 400_025, 5_799_995)
    assert (table["centroid_x"][0], table["centroid_y"][0]) == pytest.approx((400_015, 5_799_990))


@pytest.mark.parametrize(
    ("instruction", "chosen"),
    [
        ("the largest ship", [THINGS[2]]),
        ("the two largest ships", [THINGS[1], THINGS[2]]),
        ("the northernmost tank", [THINGS[3]]),
        ("the southernmost tank", [THINGS[5]]),
        ("the westernmost ship", [THINGS[0]]),
        ("tanks within 20 m of the pier", [THINGS[4]]),
        ("tanks within 40 m of the pier", [THINGS[3], THINGS[4]]),
        ("ships longer than 22 metres", [THINGS[1], THINGS[2]]),
        ("all tanks except the largest", [THINGS[3], THINGS[5]]),
        ("the ship and the tanks south of the pier", None),
    ],
)
def test_a_phrase_is_resolved_once_over_the_whole_map(harbour, instruction, chosen):
    table = segment(made_pipeline(), harbour, instruction, SMALL)
    if chosen is not None:
        assert sorted(boxes(table)) == sorted(one[1:] for one in chosen)
    assert table.attrs["instruction"] == instruction


@pytest.mark.parametrize(
    ("affine", "northernmost"),
    [
        (NORTH_UP, THINGS[3]),
        (Affine(0.5, 0, 400_000, 0, 0.5, 5_800_000), THINGS[5]),  # south up: rows run north
        (NORTH_UP @ Affine.rotation(90), THINGS[4]),  # columns run south
        (NORTH_UP @ Affine.rotation(180), THINGS[5]),
    ],
)
def test_north_is_that_of_the_map(tmp_path, affine, northernmost):
    path = write_map(tmp_path / "map.tif", picture(300, 240, THINGS), affine=affine)
    table = segment(made_pipeline(), path, "the northernmost tank", SMALL)
    assert boxes(table) == [northernmost[1:]]
    x1, y1, x2, y2 = northernmost[1:]
    corners = Polygon([affine @ corner for corner in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))])
    assert table.geometry.iloc[0].symmetric_difference(corners).area < 1e-6
    assert table.geometry.iloc[0].geoms[0].exterior.is_ccw


def test_degrees_are_measured_in_metres(tmp_path):
    affine = Affine(1e-5, 0, 13.0, 0, -1e-5, 52.0)
    path = write_map(tmp_path / "map.tif", picture(300, 240, THINGS), affine=affine, crs="EPSG:4326")
    table = segment(made_pipeline(), path, "tanks within 30 m of the pier", SMALL)
    assert boxes(table) == [THINGS[4][1:]]  # 34 pixels of 0.69 m west of it, 6 of 1.11 m south
    assert table["area_m2"].to_numpy() == pytest.approx([20 * 0.687 * 20 * 1.113], rel=0.01)
    assert len(segment(made_pipeline(), path, "tanks within 20 m of the pier", SMALL)) == 0


def test_a_map_without_a_place_is_in_pixels(tmp_path):
    path = write_map(tmp_path / "map.tif", picture(300, 240, THINGS), affine=None, crs=None)
    table = segment(made_pipeline(), path, "the two largest ships", SMALL)
    assert table.crs is None
    assert table["area_px"].tolist() == [1000, 8100]
    assert table.geometry.iloc[0].bounds == THINGS[1][1:]
    assert "coordinates are pixels" in table.attrs["notes"][1]
    with pytest.raises(InputError, match="where the map lies on the ground is not known"):
        segment(made_pipeline(), path, "the northernmost tank", SMALL)
    with pytest.raises(InputError, match="metres a pixel are not"):
        segment(made_pipeline(), path, "all tanks", RasterOptions(resolution=1.0))
    with pytest.raises(InputError, match="GeoJSON is in longitudes"):
        segment(made_pipeline(), path, "all tanks", RasterOptions(vectors=("geojson",)))


def test_a_map_is_looked_at_by_the_resolution_that_is_asked_for(tmp_path):
    things = [("ship", 4 * a, 4 * b, 4 * c, 4 * d) for name, a, b, c, d in THINGS if name == "ship"]
    path = write_map(tmp_path / "map.tif", picture(1200, 960, things))
    result = segment_raster(
        made_pipeline(), path, "all ships", RasterOptions(tile=128, tile_overlap=32, resolution=2.0)
    )
    assert (result.grid.width, result.grid.height) == (300, 240)
    assert boxes(result.table) == [one[1:] for one in things]
    assert result.table["area_m2"].to_numpy() == pytest.approx([3200, 4000, 32400], rel=0.003)


def test_windows_without_data_are_not_asked(tmp_path):
    pixels = picture(600, 240, [("ship", 10, 10, 50, 30)])
    pixels[:, 200:] = 0
    detector = ColourDetector()
    pipe = Pipeline(prompter=DetectorPrompter(detector), segmenter=ColourSegmenter())
    table = segment(pipe, write_map(tmp_path / "map.tif", pixels, nodata=0), "all ships", SMALL)
    assert boxes(table) == [(10, 10, 50, 30)]
    assert detector.asked == 7  # of 18: two are grey alone, nine hold no data
    assert "hold no data, or one colour alone: not asked" in table.attrs["notes"][0]


def test_a_map_of_nothing_but_no_data_holds_nothing(tmp_path):
    path = write_map(tmp_path / "map.tif", np.zeros((200, 200, 3), np.uint8), nodata=0)
    table = segment(made_pipeline(), path, "all ships", SMALL, out=tmp_path / "out")
    assert (len(table), table.attrs["outcome"]) == (0, "no_target")
    assert "4 of 4 windows hold no data" in table.attrs["notes"][0]


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("all zebras", "I do not know 'zebras'"),
        ("the largest", "names no kind of thing"),
        ("the shiny ship of dreams", "not understood|I do not know"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_understood_is_told_before_a_window_is_looked_at(harbour, instruction, said):
    detector = ColourDetector()
    with pytest.raises(InputError, match=said):
        segment(Pipeline(prompter=DetectorPrompter(detector), segmenter=ColourSegmenter()), harbour, instruction, SMALL)
    assert detector.asked == 0


class OneKind:
    """Holds that pictures with a certain thing in them can show ships."""

    def __init__(self, *where):
        self.where, self.shown = where, []

    def fitting(self, pictures, names):
        self.shown = [one.name for one in pictures]
        return tuple(names) if any(one.endswith(self.where) for one in self.shown) else ()

    def why_not(self, pictures, names, nouns):
        return f"{', '.join(nouns)} not in {len(pictures)} windows"


def test_a_map_of_another_kind_is_told_before_a_window_is_searched(harbour):
    detector = ColourDetector()
    pipe = Pipeline(prompter=DetectorPrompter(detector, kinds=OneKind()), segmenter=ColourSegmenter())
    with pytest.raises(InputError, match=r"harbour.*: ships not in [1-9] windows"):
        segment(pipe, harbour, "all ships", SMALL)
    assert detector.asked == 0


def test_one_window_of_the_kind_is_enough_for_all(harbour):
    kinds = OneKind("r1c1")
    pipe = Pipeline(prompter=DetectorPrompter(ColourDetector(), kinds=kinds), segmenter=ColourSegmenter())
    assert len(segment(pipe, harbour, "all ships", SMALL)) == len(placed("ship"))
    assert 1 < len(kinds.shown) <= 9


def test_the_order_in_which_windows_are_looked_at_changes_nothing(harbour):
    pipe, results = made_pipeline(), []
    with Raster.open(harbour) as raster:
        grid = grid_of(raster, SMALL)
        tiles = grid.tiles()
        asker = asker_for(pipe, "all ships", Ground.under(raster, grid))
        shuffled = np.random.default_rng(3).permutation(len(tiles)).tolist()
        for order in (range(len(tiles)), reversed(range(len(tiles))), shuffled):
            seen = look(raster, grid, asker, tiles, order=order)
            results.append([(one.patch.box, one.tiles) for one in join(tiles, {k: v.pieces for k, v in seen.items()})])
    assert results[0] == results[1] == results[2]
    assert [box for box, _ in results[0]] == placed("ship")


# -- going on -------------------------------------------------------------------------------------------

EVERY = RasterOptions(tile=128, tile_overlap=32, vectors=("gpkg", "geoparquet", "geojson", "shapefile"))


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "run.json"}


def test_work_that_was_stopped_goes_on_and_ends_in_the_same_bytes(harbour, tmp_path):
    whole = tmp_path / "whole"
    segment(made_pipeline(), harbour, "all ships", EVERY, out=whole)
    lines = (whole / "windows.jsonl").read_bytes()
    count = lines.count(b"\n")
    for share in (0.0, 0.3, 0.62, 1.0):
        stopped = tmp_path / f"stopped{share}"
        stopped.mkdir()
        shutil.copy(whole / "run.json", stopped)
        kept = lines[: int(share * len(lines))]
        (stopped / "windows.jsonl").write_bytes(kept)
        (stopped / "targets.gpkg").write_bytes(b"of an earlier version")
        (stopped / ".0123456789abcdef.part.tif").write_bytes(b"half a file")
        detector = ColourDetector()
        pipe = Pipeline(prompter=DetectorPrompter(detector), segmenter=ColourSegmenter(), name="colours")
        segment(pipe, harbour, "all ships", EVERY, out=stopped)
        assert detector.asked <= count - kept.count(b"\n")
        assert contents(stopped) == contents(whole)


def test_another_phrase_about_the_same_kinds_needs_no_window_again(harbour, tmp_path):
    segment(made_pipeline(), harbour, "all ships", SMALL, out=tmp_path / "out")
    detector = ColourDetector()
    pipe = Pipeline(prompter=DetectorPrompter(detector), segmenter=ColourSegmenter(), name="colours")
    table = segment(pipe, harbour, "the largest ship", SMALL, out=tmp_path / "out")
    assert detector.asked == 0
    assert boxes(table) == [THINGS[2][1:]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"instruction": "all tanks"}, "another asked"),
        ({"options": RasterOptions(tile=120, tile_overlap=32)}, "another grid"),
        ({"options": RasterOptions(tile=128, tile_overlap=32, bands=(3, 2, 1))}, "another bands"),
        ({"raster": True}, "another raster"),
    ],
)
def test_a_folder_of_other_work_is_refused_by_what_differs(harbour, tmp_path, changed, said):
    segment(made_pipeline(), harbour, "all ships", SMALL, out=tmp_path / "out")
    if "raster" in changed:
        write_map(harbour, picture(300, 240, THINGS[:-1]))
    with pytest.raises(InputError, match=said):
        segment(
            made_pipeline(), harbour, changed.get("instruction", "all ships"), changed.get("options", SMALL),
            out=tmp_path / "out",
        )  # fmt: skip


class FailingDetector(ColourDetector):
    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def detect(self, images, names):
        found = super().detect(images, names)
        if self.asked in self.fails:
            raise ModelError("out of memory")
        return found


def test_windows_whose_model_failed_are_told_and_asked_again(harbour, tmp_path):
    pipe = Pipeline(prompter=DetectorPrompter(FailingDetector({1, 2})), segmenter=ColourSegmenter(), name="colours")
    table = segment(pipe, harbour, "all ships", SMALL, out=tmp_path / "out")
    assert "2 of" in table.attrs["notes"][0]
    assert "windows ended failed; r0c0: out of memory" in table.attrs["notes"][0]
    detector = ColourDetector()
    pipe = Pipeline(prompter=DetectorPrompter(detector), segmenter=ColourSegmenter(), name="colours")
    again = segment(pipe, harbour, "all ships", SMALL, out=tmp_path / "out")
    assert detector.asked == 2
    assert boxes(again) == placed("ship")


def test_where_every_window_failed_the_map_failed(harbour):
    pipe = Pipeline(prompter=DetectorPrompter(FailingDetector(range(99))), segmenter=ColourSegmenter())
    table = segment(pipe, harbour, "all ships", SMALL)
    assert table.attrs["outcome"] == "failed"
    assert "windows gave no answer" in table.attrs["text"]


def test_a_journal_that_was_edited_is_told(harbour, tmp_path):
    segment(made_pipeline(), harbour, "all ships", SMALL, out=tmp_path / "out")
    path = tmp_path / "out" / "windows.jsonl"
    path.write_text(json.dumps({"tile": 0}) + "\n")
    with pytest.raises(InputError, match="line 1: not what came of a window"):
        segment(made_pipeline(), harbour, "all ships", SMALL, out=tmp_path / "out")


# -- prompters that answer window by window -----------------------------------------------------------


def test_a_prompter_that_answers_pictures_is_asked_for_kinds_alone(harbour):
    prompter = BoxPrompter((5, 5, 25, 25))
    pipe = Pipeline(prompter=prompter, segmenter=BoxSegmenter(), name="boxes")
    table = segment(pipe, harbour, "all ships", SMALL)
    assert len(table) == len(set(table["window"])) > 4
    assert "Each window was asked by itself" in table.attrs["text"]
    with pytest.raises(InputError, match="answers window by window, so 'the two largest ships' would be told"):
        segment(pipe, harbour, "the two largest ships", SMALL)


# -- disks ------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_told(harbour, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out: the folder cannot be made"):
        segment(made_pipeline(), harbour, "all ships", SMALL, out=tmp_path / "out")


@pytest.mark.parametrize("name", ["targets.gpkg", "targets.parquet", "targets.geojson", "labels.tif"])
def test_a_full_disk_leaves_nothing_half_written(harbour, tmp_path, monkeypatch, name):
    out = tmp_path / "out"
    segment(made_pipeline(), harbour, "the largest ship", EVERY, out=out)
    before = (out / name).read_bytes()

    def full(source, target):
        if str(target).endswith(name):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    real = os.replace
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match=rf"{name}: cannot be written \(No space left on device\)"):
        segment(made_pipeline(), harbour, "all ships", EVERY, out=out)
    assert (out / name).read_bytes() == before
    assert not [file for file in out.iterdir() if ".part" in file.name]
