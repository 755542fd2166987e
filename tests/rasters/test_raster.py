import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint

from fiducial.errors import ImageError, InputError
from fiducial.rasters import Raster, is_map
from rasters.maps import NORTH_UP, picture, write_map


def values(*shape, dtype=np.uint16):
    return (np.arange(np.prod(shape)).reshape(shape) % 4000).astype(dtype)


def test_windows_are_read_as_they_are(tmp_path):
    pixels = picture(300, 200, [("ship", 10, 20, 60, 40)])
    with Raster.open(write_map(tmp_path / "map.tif", pixels)) as raster:
        found, valid = raster.read(5, 15, 100, 50)
        assert np.array_equal(found, pixels[15:65, 5:105])
        assert valid.all()
        assert (raster.width, raster.height, raster.bands) == (300, 200, (1, 2, 3))
        assert raster.affine == NORTH_UP
        assert raster.crs.to_epsg() == 32633


def test_windows_are_resampled(tmp_path):
    pixels = picture(300, 200, [("ship", 100, 100, 200, 200)])
    with Raster.open(write_map(tmp_path / "map.tif", pixels)) as raster:
        found, _ = raster.read(0, 0, 300, 200, (20, 30))
        assert np.array_equal(found, pixels[5::10, 5::10])


@pytest.mark.parametrize(
    "options", [{"tiled": True, "blockxsize": 64, "blockysize": 64}, {"compress": "deflate"}, {"BIGTIFF": "YES"}]
)
def test_every_way_of_writing_a_tiff_reads_alike(tmp_path, options):
    pixels = picture(300, 200, [("tank", 0, 0, 130, 110)])
    with Raster.open(write_map(tmp_path / "map.tif", pixels, **options)) as raster:
        assert np.array_equal(raster.read(50, 50, 128, 128)[0], pixels[50:178, 50:178])


def test_a_vrt_is_read_with_what_it_names(tmp_path):
    pixels = picture(300, 200, [("tank", 0, 0, 130, 110)])
    source = write_map(tmp_path / "map.tif", pixels)
    vrt = tmp_path / "map.vrt"
    rasterio.shutil.copy(source, vrt, driver="VRT")
    with Raster.open(vrt) as raster:
        assert np.array_equal(raster.read(0, 0, 300, 200)[0], pixels)
        assert set(raster.files) == {source, vrt}


def test_deep_values_are_stretched_once_by_the_whole_raster(tmp_path):
    deep = np.tile(np.linspace(100, 1100, 2000).astype(np.uint16), (600, 1))
    with Raster.open(write_map(tmp_path / "map.tif", deep)) as raster:
        low, high = raster.stretch.low[0], raster.stretch.high[0]
        assert (low, high) == pytest.approx((120, 1080), abs=15)
        whole = raster.read(0, 0, 2000, 600)[0]
        assert np.array_equal(whole[100:200, 900:1000], raster.read(900, 100, 100, 100)[0])


def test_the_stretch_is_measured_on_overviews_where_there_are(tmp_path):
    path = write_map(tmp_path / "map.tif", np.tile(np.linspace(0, 1000, 2048).astype(np.uint16), (2048, 1)), tiled=True)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    with Raster.open(path) as raster:
        assert raster.stretch.high[0] == pytest.approx(980, abs=5)


def test_a_stretch_can_be_given(tmp_path):
    path = write_map(tmp_path / "map.tif", values(40, 50))
    (tmp_path / "stretch.json").write_text('{"low": [0], "high": [1000]}')
    for given in ("0,1000", str(tmp_path / "stretch.json")):
        with Raster.open(path, stretch=given) as raster:
            assert (raster.stretch.low, raster.stretch.high) == ((0,), (1000,))
    for wrong, said in (("5", "needs LOW,HIGH once"), ("a,b", "is LOW,HIGH"), ("9,1", "low < high")):
        with pytest.raises(InputError, match=said):
            Raster.open(path, stretch=wrong)


def test_no_data_is_black_and_counts_for_no_stretch(tmp_path):
    deep = values(100, 100) + np.uint16(1000)
    deep[:, :50] = 65535
    with Raster.open(write_map(tmp_path / "map.tif", deep, nodata=65535)) as raster:
        assert raster.stretch.high[0] < 5000
        pixels, valid = raster.read(0, 0, 100, 100)
        assert not valid[:, :50].any()
        assert valid[:, 50:].all()
        assert not pixels[:, :50].any()


def test_what_is_no_number_is_no_data(tmp_path):
    deep = values(100, 100).astype(np.float32)
    deep[:, 90:] = np.nan
    deep[0, 0] = np.inf
    with Raster.open(write_map(tmp_path / "map.tif", deep)) as raster:
        valid = raster.read(0, 0, 100, 100)[1]
        assert not valid[:, 90:].any()
        assert not valid[0, 0]
        assert raster.stretch.high[0] < 4000


def test_nothing_but_nan_is_told(tmp_path):
    path = write_map(tmp_path / "map.tif", np.full((30, 30), np.nan, np.float32))
    with pytest.raises(ImageError, match="hold no data where they were looked at"):
        Raster.open(path)


def test_a_mask_inside_the_file_counts(tmp_path):
    path = tmp_path / "map.tif"
    write_map(path, picture(100, 80, []))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        inside = np.zeros((80, 100), bool)
        inside[:, 40:] = True
        file.write_mask(inside)
    with Raster.open(path) as raster:
        assert np.array_equal(raster.read(0, 0, 100, 80)[1], inside)


def test_bands_are_chosen_or_said(tmp_path):
    deep = np.stack([np.full((20, 20), 10 * band, np.uint8) for band in range(1, 6)], axis=2)
    path = write_map(tmp_path / "map.tif", deep, photometric="minisblack")
    with Raster.open(path, bands=(4, 3, 2)) as raster:
        assert raster.read(0, 0, 20, 20)[0][0, 0].tolist() == [40, 30, 20]
    with Raster.open(path) as raster:
        assert raster.bands == (1, 2, 3)
        assert "bands 1, 2, 3 of 5 are shown as red, green, blue" in raster.notes[0]
    with pytest.raises(InputError, match="has the bands 1 to 5, no band 7"):
        Raster.open(path, bands=(7,))


def test_a_palette_is_shown_in_its_colours(tmp_path):
    path = write_map(tmp_path / "map.tif", np.array([[0, 1], [1, 0]], np.uint8).repeat(20, 0).repeat(20, 1))
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (1, 2, 3, 255), 1: (200, 100, 50, 255)})
    with Raster.open(path) as raster:
        assert raster.read(0, 0, 40, 40)[0][0, [0, 39]].tolist() == [[1, 2, 3], [200, 100, 50]]


# -- what cannot be used -------------------------------------------------------------------------------


def test_no_raster_is_told(tmp_path):
    (tmp_path / "text.tif").write_text("no raster at all")
    (tmp_path / "empty.tif").touch()
    for path, said in (
        (tmp_path / "gone.tif", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.tif", "is empty"),
        (tmp_path / "text.tif", "is no raster that can be read"),
    ):
        with pytest.raises(ImageError, match=said):
            Raster.open(path)


def test_a_file_that_is_cut_off_says_where(tmp_path):
    path = write_map(
        tmp_path / "map.tif", np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8), tiled=True
    )
    path.write_bytes(path.read_bytes()[:200_000])
    with (
        Raster.open(path) as raster,
        pytest.raises(ImageError, match=r"cannot be read at x=0, y=300.*cut off"),
    ):
        raster.read(0, 300, 100, 100)


def test_a_header_that_promises_what_no_file_holds_is_refused(tmp_path):
    path = tmp_path / "map.tif"
    about = {"driver": "GTiff", "width": 200_000, "height": 200_000, "count": 3, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(path, "w", tiled=True, blockxsize=8192, blockysize=8192, bigtiff="yes", **about):
        pass
    assert path.stat().st_size < 50_000
    with pytest.raises(ImageError, match="its header promises 200000 x 200000 pixels"):
        Raster.open(path)


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(ImageError, match="holds complex numbers"):
        Raster.open(write_map(tmp_path / "map.tif", np.ones((20, 20), np.complex64)))


@pytest.mark.parametrize("window", [(0, 0, 0, 0), (0, 0, 10, 0), (-1, 0, 10, 10), (25, 0, 10, 10)])
def test_a_window_without_a_pixel_or_beyond_the_raster_is_refused(tmp_path, window):
    with (
        Raster.open(write_map(tmp_path / "map.tif", picture(30, 20, []))) as raster,
        pytest.raises(InputError, match="does not lie in a raster of 30 x 20"),
    ):
        raster.read(*window)


def test_a_raster_without_a_place_is_in_pixels(tmp_path):
    for affine, crs in ((None, None), (NORTH_UP, None)):
        with Raster.open(write_map(tmp_path / "map.tif", picture(30, 20, []), affine=affine, crs=crs)) as raster:
            assert raster.affine is None
            assert "--crs" in raster.notes[0]
            assert "coordinates are pixels" in raster.notes[1]
    with Raster.open(tmp_path / "map.tif", crs=UTM_NAME) as raster:
        assert raster.crs.to_epsg() == 32633
        assert raster.affine == NORTH_UP


UTM_NAME = "EPSG:32633"


def test_a_crs_that_nobody_knows_is_told(tmp_path):
    path = write_map(tmp_path / "map.tif", picture(30, 20, []))
    with pytest.raises(InputError, match="no coordinate reference system"):
        Raster.open(path, crs="EPSG:99999999")


def test_control_points_alone_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "map.tif"
    points = [GroundControlPoint(0, 0, 10, 50), GroundControlPoint(0, 20, 11, 50), GroundControlPoint(20, 0, 10, 49)]
    about = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", gcps=points, crs="EPSG:4326", **about) as file:
        file.write(np.zeros((1, 20, 20), np.uint8))
    with pytest.raises(ImageError, match=r"3 ground control points alone: .*gdalwarp"):
        Raster.open(path)


def test_an_affine_without_extent_is_refused(tmp_path):
    path = write_map(tmp_path / "map.tif", picture(30, 20, []), affine=Affine(0.5, 0.5, 10, 0.5, 0.5, 10))
    with pytest.raises(ImageError, match="its affine has no extent"):
        Raster.open(path)


# -- maps and pictures ----------------------------------------------------------------------------------


def test_maps_are_told_from_pictures(tmp_path):
    pixels = picture(30, 20, [])
    placed = write_map(tmp_path / "map.tif", pixels)
    plain = write_map(tmp_path / "plain.tif", pixels, affine=None, crs=None)
    beside = write_map(tmp_path / "beside.tif", pixels, affine=None, crs=None)
    (tmp_path / "beside.tfw").write_text("0.5\n0\n0\n-0.5\n100\n200\n")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(placed.read_bytes()[:20])
    assert [is_map(path) for path in (placed, plain, beside, broken, tmp_path / "gone.tif")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert is_map(plain, max_pixels=500)
