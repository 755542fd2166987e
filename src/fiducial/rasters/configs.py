"""Descriptions: how a map is read, in which windows it is looked at, and what is written of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fiducial.config import Config, option
from fiducial.errors import InputError

VectorFormat = Literal["gpkg", "geoparquet", "geojson", "shapefile"]

LATER = ("simplify", "vectors")
"""Options that work on what the windows gave: they may change between two starts."""


@dataclass(frozen=True, kw_only=True)
class RasterOptions(Config):
    """How a map is segmented, window by window."""

    bands: tuple[int, ...] = option(
        (),
        "of a map: which bands are shown, from 1: three as red, green, blue, or one as grey (default: those that the "
        "file calls so, else the first)",
        unit="N,N,N",
        minimum=1,
    )
    resolution: float | None = option(
        None, "of a map: metres a pixel at which it is looked at (default: its own)", unit="METRES", above=0
    )
    tile: int = option(1024, "of a map: edge of the windows, in pixels of what is looked at", unit="N", minimum=64)
    tile_overlap: int = option(256, "of a map: pixels that neighbouring windows share", unit="N", minimum=16)
    stretch: str | None = option(
        None,
        "of a map: values shown as black and white, for all bands or for each, or a stretch.json (default: 8-bit "
        "values as they are, others by the percentiles 2 and 98 of each band of the whole map)",
        unit="LOW,HIGH[,LOW,HIGH...]",
    )
    crs: str | None = option(
        None, "of a map whose file names no coordinate reference system, or a wrong one: EPSG:32633", unit="CRS"
    )
    vectors: tuple[VectorFormat, ...] = option(
        ("gpkg",), "of a map: files of outlines: gpkg, geoparquet, geojson, shapefile", unit="F,F"
    )
    simplify: float = option(
        0.0,
        "of a map: how far outlines may stray from the pixels' edges, to have fewer corners",
        unit="PX",
        minimum=0,
    )

    def check(self) -> None:
        """Refuse bands and windows that make no sense."""
        if len(self.bands) not in (0, 1, 3):
            raise InputError(f"bands of a map are one, or three as red, green, blue, got {len(self.bands)}")
        if 2 * self.tile_overlap > self.tile:
            raise InputError(
                f"windows of {self.tile} pixels share at most half of it, {self.tile // 2}, got {self.tile_overlap}"
            )
