"""The label raster: a tiled, compressed, cloud-optimised GeoTIFF; each pixel has the id of its thing, 0 for none."""

from __future__ import annotations

import math
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fiducial.errors import InputError
from fiducial.files import write_atomically
from fiducial.geometry import Mask
from fiducial.rasters.joining import Thing
from fiducial.rasters.raster import reading
from fiducial.rasters.style import label_style

if TYPE_CHECKING:
    from fiducial.rasters.result import RasterSegmentation

BLOCK = 512


def write_labels(result: RasterSegmentation, path: Path) -> Path:
    """Write the label raster on the grid of the result, block by block, and a style for QGIS beside it.

    Where things overlap the smaller one lies on top. Nothing but the blocks in which things lie is held or painted.

    Raises:
        InputError: it cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.shutil import copy

    grid, ground, count = result.grid, result.ground, len(result.things)
    dtype = np.dtype(np.uint8 if count < 2**8 else np.uint16 if count < 2**16 else np.uint32)
    about: dict[str, Any] = {
        "driver": "GTiff", "width": grid.width, "height": grid.height, "count": 1, "dtype": dtype.name, "nodata": 0,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "sparse_ok": True,
        "bigtiff": "if_safer",
    }  # fmt: skip
    if ground.crs is not None:
        about |= {"crs": ground.crs.to_wkt(), "transform": ground.affine}
    hidden = [path.with_name(f".{secrets.token_hex(8)}.part.tif") for _ in range(2)]
    try:
        with reading():
            with rasterio.open(hidden[0], "w", **about) as file:
                _paint(file, result.things, dtype)
            copy(hidden[0], hidden[1], driver="COG", compress="deflate", overview_resampling="nearest",
                 blocksize=BLOCK, bigtiff="if_safer")  # fmt: skip
        os.replace(hidden[1], path)
    except (RasterioError, OSError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be written ({said})") from None
    finally:
        for one in hidden:
            one.unlink(missing_ok=True)
            one.with_name(f"{one.name}.aux.xml").unlink(missing_ok=True)
    write_atomically(path.with_suffix(".qml"), label_style(count))
    return path


def _paint(file: Any, things: tuple[Thing, ...], dtype: np.dtype[Any]) -> None:
    from rasterio.windows import Window

    blocks: dict[tuple[int, int], list[int]] = {}
    for number, thing in enumerate(things):
        x1, y1, x2, y2 = thing.patch.box
        for row in range(y1 // BLOCK, math.ceil(y2 / BLOCK)):
            for column in range(x1 // BLOCK, math.ceil(x2 / BLOCK)):
                blocks.setdefault((row, column), []).append(number)
    for (row, column), numbers in sorted(blocks.items()):
        x, y = column * BLOCK, row * BLOCK
        box = (x, y, min(x + BLOCK, file.width), min(y + BLOCK, file.height))
        block = np.zeros((box[3] - y, box[2] - x), dtype)
        for number in sorted(numbers, key=lambda number: (-things[number].patch.mask.area, number)):
            part: Mask = things[number].patch.within(box)
            inside, left, top = part.to_patch()
            block[top : top + inside.shape[0], left : left + inside.shape[1]][inside] = number + 1
        file.write(block, 1, window=Window(x, y, box[2] - x, box[3] - y))
