"""Made maps: drawn aerial scenes laid side by side over a GeoTIFF of any size, with exact truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fiducial.errors import InputError, extra_needed
from fiducial.geometry import Mask
from fiducial.rasters.pieces import Patch, Piece
from fiducial.rasters.raster import reading
from fiducial.synthetic.scenes import SceneDataset

SCENE = 512
"""Edge of a scene in pixels."""


def make_map(
    path: str | Path,
    size: tuple[int, int] = (1536, 1024),
    *,
    seed: int = 0,
    scenes: int = 6,
    metres: float = 0.5,
    crs: str = "EPSG:32633",
    corner: tuple[float, float] = (400_000.0, 5_800_000.0),
) -> list[Piece]:
    """Write a map of drawn aerial scenes, north up, tiled and compressed; a few scenes are turned over and repeated.

    Args:
        path: of the GeoTIFF.
        size: width, height in pixels; scenes at the right and bottom edge are cut off.
        seed: of the scenes and of how they are laid.
        scenes: how many different ones are drawn.
        metres: edge of a pixel in units of the CRS.
        crs: coordinate reference system.
        corner: x, y of the upper left corner in the CRS.

    Returns:
        The things that are drawn, in pixels of the map, with their labels.

    Raises:
        InputError: the file cannot be written.
    """
    with extra_needed("a made map", "rasters"):
        import rasterio
        from affine import Affine
        from rasterio.errors import RasterioError
        from rasterio.windows import Window
    width, height = size
    drawn = SceneDataset("aerial", scenes, seed=seed, size=SCENE)
    every = [drawn.scene(number) for number in range(scenes)]
    rng, truth = np.random.default_rng(seed), list[Piece]()
    about: dict[str, Any] = {
        "driver": "GTiff", "width": width, "height": height, "count": 3, "dtype": "uint8", "crs": crs, "tiled": True,
        "transform": Affine(metres, 0, corner[0], 0, -metres, corner[1]), "compress": "deflate", "zlevel": 1,
        "photometric": "rgb", "bigtiff": "if_safer", "blockxsize": SCENE, "blockysize": SCENE,
    }  # fmt: skip
    try:
        with reading(), rasterio.open(path, "w", **about) as file:
            for y in range(0, height, SCENE):
                for x in range(0, width, SCENE):
                    scene, turn = every[int(rng.integers(scenes))], int(rng.integers(4))
                    h, w = min(SCENE, height - y), min(SCENE, width - x)
                    pixels = _turned(scene.image.pixels, turn)[:h, :w]
                    file.write(pixels.transpose(2, 0, 1), window=Window(x, y, w, h))
                    for label, mask in zip(scene.labels, scene.masks, strict=True):
                        patch = Patch.of(Mask.from_dense(_turned(mask.to_dense(), turn)[:h, :w]), x, y)
                        truth += [] if patch is None else [Piece(patch, label)]
    except (RasterioError, OSError) as error:
        raise InputError(f"{path}: cannot be written ({error})") from None
    return truth


def _turned(array: Any, turn: int) -> Any:
    """Mirror an array: not at all, left to right, top to bottom, or both."""
    return array[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]
