"""Telling maps from pictures, by what every install has: a map says where it lies, or is too large to be a picture."""

from __future__ import annotations

import logging
from pathlib import Path

from fiducial.images import DEFAULT_MAX_PIXELS
from fiducial.images.tiff import is_tiff

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2")
_WORLD_FILES = (".tfw", ".tifw", ".wld")
_PLACED = (33550, 34264, 34735)
"""Tags of GeoTIFF: size of a pixel, affine, keys of the CRS."""


def is_map(path: Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> bool:
    """Tell whether a file is segmented as a map.

    A VRT is; and a TIFF that says where it lies, in its own tags or in a world file beside it, or that has more pixels
    than a picture may have. What cannot be read is no map.
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    if path.suffix.lower() == ".vrt":
        return True
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    if start[4:8] == b"jP  ":
        return any(path.with_suffix(end).is_file() for end in (".j2w", *_WORLD_FILES))
    return is_tiff(start) and (
        any(path.with_suffix(end).is_file() for end in _WORLD_FILES) or _is_map(path, max_pixels)
    )


def _is_map(path: Path, max_pixels: int) -> bool:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as tif:
            page = tif.pages.first
            placed = any(code in page.tags for code in _PLACED)
            return placed or page.imagewidth * page.imagelength > max_pixels
    except Exception:  # noqa: BLE001 - a broken file, fed by anybody: who reads it as a picture says what is wrong
        return False
