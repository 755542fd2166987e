import sqlite3
import struct
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from fiducial.geometry import Mask
from fiducial.rasters import RasterOptions, segment_raster
from fiducial.rasters.joining import Thing
from fiducial.rasters.pieces import Patch
from fiducial.rasters.result import outline_of
from rasters.maps import NORTH_UP, made_pipeline, picture, write_map

THINGS = [("ship", 10, 10, 50, 30), ("ship", 90, 40, 140, 60), ("ship", 700, 600, 720, 640)]
OPTIONS = RasterOptions(vectors=("gpkg", "geoparquet", "geojson", "shapefile"))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    path = write_map(folder / "map.tif", picture(800, 700, THINGS))
    return segment_raster(made_pipeline(), path, "all ships", OPTIONS, out=folder / "out")


@pytest.fixture(scope="module")
def folder(result):
    return result.path.parent / "out"


def test_geoparquet_is_read_by_geopandas(result, folder):
    table = geopandas.read_parquet(folder / "targets.parquet")
    assert table.crs.to_epsg() == 32633
    assert table.geometry.geom_equals(result.table.geometry).all()
    assert table.drop(columns="geometry").to_dict("list") == result.table.drop(columns="geometry").to_dict("list")
    some = geopandas.read_parquet(folder / "targets.parquet", bbox=(400_000, 5_799_900, 400_100, 5_800_000))
    assert some["id"].tolist() == [1, 2]  # by its covering boxes


def test_a_geopackage_is_read_without_gdal(result, folder):
    """By SQLite and by the encoding that the standard describes: GP, version, flags, SRS, envelope, WKB."""
    with sqlite3.connect(folder / "targets.gpkg") as base:
        rows = base.execute("select id, label, area_m2, window, geom from targets order by id").fetchall()
        (srs,) = base.execute("select srs_id from gpkg_geometry_columns where table_name = 'targets'").fetchone()
        styles = base.execute("select f_table_name, useAsDefault, styleQML from layer_styles").fetchall()
    assert srs == 32633
    for (number, label, area, window, blob), thing in zip(rows, result.table.itertuples(), strict=True):
        assert (number, label, window) == (thing.id, "ship", thing.window)
        assert area == pytest.approx(thing.area_m2)
        envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}[(blob[3] >> 1) & 7]
        assert blob[:2] == b"GP"
        assert struct.unpack("<i", blob[4:8]) == (32633,)
        assert shapely.from_wkb(blob[8 + envelope :]).equals(thing.geometry)
    assert [(name, bool(default)) for name, default, _ in styles] == [("targets", True)]
    assert ElementTree.fromstring(styles[0][2].partition("\n")[2]).find(".//category").get("value") == "ship"


def test_geojson_keeps_rfc_7946(result, folder):
    table = geopandas.read_file(folder / "targets.geojson")
    assert table.crs.to_epsg() == 4326
    west, south, east, north = table.total_bounds
    assert 13.5 < west < east < 13.6
    assert 52.3 < south < north < 52.4
    assert all(part.exterior.is_ccw for part in table.geometry.explode())  # GDAL 3.8 writes Polygons
    back = table.to_crs(32633).geometry
    assert (back.symmetric_difference(result.table.geometry).area < 0.05 * result.table.geometry.area).all()


def test_a_shapefile_has_every_column_in_ten_letters(result, folder):
    table = pyogrio.read_dataframe(folder / "targets.shp")
    assert max(map(len, table.columns)) <= 10
    assert table["perim_m"].to_numpy() == pytest.approx(result.table["perimeter_m"].to_numpy(), rel=1e-6)
    assert table.crs.to_epsg() == 32633


def test_the_label_raster_is_a_cog_with_the_ids(result, folder):
    with rasterio.open(folder / "labels.tif") as labels:
        array = labels.read(1)
        assert labels.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert labels.profile["tiled"]
        assert labels.overviews(1)
        assert labels.nodata == 0
        assert (labels.crs.to_epsg(), labels.transform) == (32633, NORTH_UP)
    expected = np.zeros_like(array)
    for number, (_, x1, y1, x2, y2) in enumerate(THINGS, start=1):
        expected[y1:y2, x1:x2] = number
    assert np.array_equal(array, expected)
    entries = ElementTree.fromstring((folder / "labels.qml").read_text().partition("\n")[2]).findall(".//paletteEntry")
    assert [entry.get("value") for entry in entries] == ["1", "2", "3"]


def test_outlines_can_be_simplified(result):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:80, :80]
    ragged = np.hypot(x - 40, y - 40) < 30 + rng.normal(0, 1, (80, 80))
    thing = Thing(Patch.of(Mask.from_dense(ragged)), "tank", None, None, {}, (0,))
    exact, simple = (outline_of(thing, result.ground, by) for by in (0.0, 1.5))
    assert exact.area == pytest.approx(ragged.sum() / 4)
    assert simple.is_valid
    assert simple.area == pytest.approx(exact.area, rel=0.05)
    assert shapely.get_num_coordinates(simple) < 0.5 * shapely.get_num_coordinates(exact)


@pytest.mark.parametrize("seed", range(8))
def test_every_set_of_pixels_has_a_valid_outline_of_its_area(result, seed):
    dense = np.random.default_rng(seed).random((12, 12)) < 0.5  # holes, corners that touch, islands in holes
    thing = Thing(Patch.of(Mask.from_dense(dense), 100, 50), "tank", None, None, {}, (0,))
    outline = outline_of(thing, result.ground)
    assert outline.is_valid
    assert outline.geom_type == "MultiPolygon"
    assert outline.area == pytest.approx(dense.sum() / 4)
    assert all(part.exterior.is_ccw for part in outline.geoms)


def test_an_empty_table_is_written_too(tmp_path):
    path = write_map(tmp_path / "map.tif", picture(100, 80, THINGS[:1]))
    segment_raster(made_pipeline(), path, "all tanks", OPTIONS, out=tmp_path / "out")
    for name in ("targets.gpkg", "targets.geojson", "targets.shp"):
        assert len(pyogrio.read_dataframe(tmp_path / "out" / name, layer="targets")) == 0
    assert len(geopandas.read_parquet(tmp_path / "out" / "targets.parquet")) == 0
    with rasterio.open(tmp_path / "out" / "labels.tif") as labels:
        assert not labels.read(1).any()
