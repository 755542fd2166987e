"""Rasters: maps of any size, such as GeoTIFFs, looked at in windows; things as outlines in their coordinates."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.rasters.configs import RasterOptions
    from fiducial.rasters.made import make_map
    from fiducial.rasters.raster import Raster
    from fiducial.rasters.result import RasterSegmentation
    from fiducial.rasters.segmenting import segment, segment_raster
    from fiducial.rasters.telling import is_map

_HOMES = {
    "Raster": "raster",
    "RasterOptions": "configs",
    "RasterSegmentation": "result",
    "is_map": "telling",
    "make_map": "made",
    "segment": "segmenting",
    "segment_raster": "segmenting",
}
"""Where a name lives; read when it is first used, as commands that segment pictures need the options alone."""

__all__ = ["Raster", "RasterOptions", "RasterSegmentation", "is_map", "make_map", "segment", "segment_raster"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fiducial.rasters' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fiducial.rasters.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
