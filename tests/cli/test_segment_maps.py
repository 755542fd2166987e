"""``fiducial segment`` on maps: from a GeoTIFF to files of outlines."""

import json

import numpy as np
import pytest

from fiducial.cli import main

geopandas = pytest.importorskip("geopandas")

from fiducial.synthetic.scenes import SceneDataset  # noqa: E402
from rasters.maps import write_map  # noqa: E402 - needs rasterio


@pytest.fixture(scope="module")
def airfield(tmp_path_factory):
    """A drawn scene with six airplanes, half a metre a pixel."""
    scene = SceneDataset("aerial", 4, seed=5).scene(1)
    return write_map(tmp_path_factory.mktemp("map") / "airfield.tif", scene.image.pixels)


def test_a_map_becomes_outlines_in_its_coordinates(airfield, tmp_path, capsys):
    words = ["segment", str(airfield), "all airplanes", "--out", str(tmp_path / "out"), "--vectors", "gpkg,geoparquet"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "airfield.tif: 6 targets" in said.out
    assert "targets.gpkg" not in said.err
    table = geopandas.read_parquet(tmp_path / "out" / "targets.parquet")
    assert len(table) == 6
    assert table.crs.to_epsg() == 32633
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "labels.qml", "labels.tif", "result.json", "run.json", "targets.gpkg", "targets.parquet", "targets.qml",
        "windows.jsonl",
    }  # fmt: skip
    # another phrase about the same kind of thing, from what the windows gave
    assert main(["segment", str(airfield), "the largest airplane", "--out", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["things"], told["found"], told["outcome"], told["crs"]) == (1, 6, "found", "EPSG:32633")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bands", "1,2"], "bands of a map are one, or three"),
        (["--tile", "128", "--tile-overlap", "100"], "share at most half"),
        (["--vectors", "kml"], "--vectors"),
        (["--check"], "are for pictures, and these are maps"),
        (["--format", "coco"], "--vectors says which"),
        (["--plane", "coronal"], "--plane is for volumes, and these are maps"),
        (["--crs", "EPSG:0"], "no coordinate reference system"),
    ],
)
def test_options_that_make_no_sense_for_maps_are_told(airfield, tmp_path, capsys, words, said):
    assert main(["segment", str(airfield), "all airplanes", "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err


def test_options_of_maps_are_refused_for_pictures_and_both_together(airfield, tmp_path, capsys):
    picture = write_map(tmp_path / "picture.tif", np.zeros((40, 40, 3), np.uint8), affine=None, crs=None)
    assert main(["segment", str(picture), "the ship", "--resolution", "0.5"]) == 2
    assert "--resolution is for maps, and these are pictures" in capsys.readouterr().err
    assert main(["segment", str(airfield), str(picture), "the ship"]) == 2
    assert "is no map, and maps and pictures are not segmented together" in capsys.readouterr().err
