"""Files of outlines: GeoPackage, GeoParquet, GeoJSON, Shapefile; the same bytes whenever they are written."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.rasters.configs import RasterOptions, VectorFormat
from fiducial.rasters.raster import Raster
from fiducial.rasters.style import outline_style

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

STEM = "targets"
_DAY, _TIME = "2000-01-01", "2000-01-01T00:00:00.000Z"
"""What stands in files that want a date: when they were written is no part of what they say."""
_SHORT = {"perimeter_m": "perim_m", "perimeter_px": "perim_px"}
"""Names for Shapefiles, which have room for ten letters."""
_LAYER_STYLES = "layer_styles"


def require_writable(options: RasterOptions, raster: Raster) -> None:
    """Refuse files that cannot say where things lie, before anything is looked at.

    Raises:
        InputError: GeoJSON of a raster whose CRS is not known, or that has no way to degrees.
    """
    if "geojson" in options.vectors and (
        raster.crs is None or not (raster.crs.is_geographic or raster.crs.is_projected)
    ):
        raise InputError(
            f"{raster.path}: GeoJSON is in longitudes and latitudes (RFC 7946), and where the map lies is not known: "
            "say its coordinate reference system by --crs, or take gpkg"
        )


def write_vectors(table: GeoDataFrame, folder: Path, formats: Sequence[VectorFormat]) -> dict[str, Path]:
    """Write the table in each format, as ``targets.*``; beside a GeoPackage, and in it, goes a style for QGIS.

    What an earlier answer left in other formats is removed, so that all files of a folder say the same.

    Raises:
        InputError: a file that cannot be written.
    """
    written: dict[str, Path] = {}
    style = outline_style(sorted(set(table["label"])))
    for name in _ENDINGS:
        for ending in () if name in formats else _ENDINGS[name]:
            (folder / f"{STEM}{ending}").unlink(missing_ok=True)
    for name in formats:
        written[name] = _WRITERS[name](table, folder, style)
    if {"gpkg", "geojson", "shapefile"} & {*formats}:
        written["style"] = write_atomically(folder / f"{STEM}.qml", style)
    return written


def _geopackage(table: GeoDataFrame, folder: Path, style: str) -> Path:
    import pandas

    styles = {
        "f_table_catalog": [""],
        "f_table_schema": [""],
        "f_table_name": [STEM],
        "f_geometry_column": ["geom"],
        "styleName": [STEM],
        "styleQML": [style],
        "styleSLD": [""],
        "useAsDefault": [True],
        "description": ["by label"],
        "owner": [""],
        "ui": [""],
        "update_time": [_TIME],
    }

    def write(path: Path) -> None:
        _write(table, path, "GPKG", layer=STEM, geometry_name="geom")
        _write(pandas.DataFrame(styles), path, "GPKG", layer=_LAYER_STYLES, append=True)

    return _whole(folder / f"{STEM}.gpkg", write)


def _geojson(table: GeoDataFrame, folder: Path, style: str) -> Path:
    degrees = table.to_crs(4326)
    return _whole(folder / f"{STEM}.geojson", lambda path: _write(degrees, path, "GeoJSON", layer=STEM, RFC7946="YES"))


def _geoparquet(table: GeoDataFrame, folder: Path, style: str) -> Path:
    def write(path: Path) -> None:
        plain = table.copy()
        plain.attrs = {}
        plain.to_parquet(path, index=False, compression="zstd", write_covering_bbox=True)

    return _whole(folder / f"{STEM}.parquet", write)


def _shapefile(table: GeoDataFrame, folder: Path, style: str) -> Path:
    """Write the files of a Shapefile beside each other, the one that names it last."""
    hidden = folder / f".{secrets.token_hex(8)}.part"
    short = table.rename(columns=_SHORT)
    try:
        _guarded(hidden.mkdir, hidden)
        _guarded(
            lambda: _write(
                short, hidden / f"{STEM}.shp", "ESRI Shapefile", DBF_DATE_LAST_UPDATE=_DAY, ENCODING="UTF-8"
            ),
            folder / f"{STEM}.shp",
        )
        for file in sorted(hidden.iterdir(), key=lambda file: file.suffix == ".shp"):
            _guarded(lambda file=file: os.replace(file, folder / file.name), folder / file.name)  # type: ignore[misc]
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return folder / f"{STEM}.shp"


_WRITERS: dict[VectorFormat, Callable[[Any, Path, str], Path]] = {
    "gpkg": _geopackage,
    "geoparquet": _geoparquet,
    "geojson": _geojson,
    "shapefile": _shapefile,
}


_ENDINGS: dict[VectorFormat, tuple[str, ...]] = {
    "gpkg": (".gpkg",),
    "geoparquet": (".parquet",),
    "geojson": (".geojson",),
    "shapefile": (".shp", ".shx", ".dbf", ".prj", ".cpg"),
}


def _write(table: Any, path: Path, driver: str, **options: Any) -> None:
    import pyogrio

    # GDAL puts the time of writing into GeoPackages, unless it is told another.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _TIME})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*'crs' was not provided.*")
            geometry = {"geometry_type": "MultiPolygon"} if hasattr(table, "geometry") else {}
            pyogrio.write_dataframe(table, path, driver=driver, **geometry, **options)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Have a file written under a hidden name, which takes its own when it is whole."""
    hidden = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    try:
        _guarded(lambda: write(hidden), path)
        _guarded(lambda: _sync(hidden), path)
        _guarded(lambda: os.replace(hidden, path), path)
    finally:
        hidden.unlink(missing_ok=True)
    return path


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _guarded(work: Callable[[], Any], path: Path) -> None:
    """Say which file cannot be written, and why."""
    import pyarrow
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        work()
    except (OSError, pyarrow.ArrowException, DataLayerError, DataSourceError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be written ({said})") from None
