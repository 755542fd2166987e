"""Rasters: GeoTIFFs and what GDAL reads as such, never as a whole: windows of 8-bit RGB, and where there is data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import ImageError, InputError, extra_needed
from fiducial.rasters.stretch import Stretch, measure

if TYPE_CHECKING:
    from affine import Affine
    from pyproj import CRS

DRIVERS = ("GTiff", "VRT", "JP2OpenJPEG", "HFA", "PNG", "JPEG")
"""What is opened: plain rasters. Others of GDAL ask databases and servers."""
CACHE = 64 * 2**20
"""Bytes of blocks that GDAL keeps."""
SAMPLED = 1024
"""A stretch is measured on at most so many pixels squared."""
_PATCHES = 8
_MOST_PACKED = 50_000
"""Pixels' bytes for one byte of a file: no compression packs more than some thousands."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A raster that is open, in its own pixels: (0, 0) is the corner of its first one, x runs right and y down.

    Args:
        path: of the file.
        width: in pixels.
        height: in pixels.
        affine: from pixels x, y to coordinates of the CRS; None where the file does not say, or no CRS is known.
        crs: coordinate reference system, or None.
        bands: the numbers, from 1, of the bands that are shown.
        stretch: how values become 8-bit ones; None for those that are.
        notes: what was assumed.
        source: rasterio's own dataset.
    """

    path: Path
    width: int
    height: int
    affine: Affine | None
    crs: CRS | None
    bands: tuple[int, ...]
    stretch: Stretch | None
    notes: tuple[str, ...]
    source: Any

    @classmethod
    def open(
        cls, path: str | Path, *, bands: Sequence[int] = (), crs: str | None = None, stretch: str | None = None
    ) -> Self:
        """Open a raster; it is closed by its ``with``.

        Args:
            path: a file in one of GDAL's formats (``DRIVERS``); what a VRT names is read with it.
            bands: as in :class:`fiducial.rasters.configs.RasterOptions`.
            crs: in place of the file's own.
            stretch: as in :class:`fiducial.rasters.configs.RasterOptions`.

        Raises:
            ImageError: missing, broken, of complex numbers, or placed by control points alone.
            InputError: bands that are not there, a CRS or a stretch that makes no sense.
            MissingExtraError: rasterio is not installed.
        """
        path = Path(path)
        source = _opened(path)
        try:
            shown, said = _bands(path, source, tuple(bands))
            known, noted = _crs(path, source, crs)
            affine = _affine(path, source)
            if known is None or affine is None:
                known, affine = None, None
                noted = (*noted, "coordinates are pixels, x right and y down: where it lies on the ground is not known")
            raster = cls(path, source.width, source.height, affine, known, shown, None, (*said, *noted), source)
            return replace(raster, stretch=raster._stretch(stretch))
        except BaseException:
            source.close()
            raise

    @property
    def is_plain(self) -> bool:
        """Whether its values are those that a screen shows."""
        return all(self.source.dtypes[band - 1] == "uint8" for band in self.bands)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself and those that belong to it, or are read through it."""
        there = (Path(name) for name in self.source.files)
        return tuple(sorted({self.path, *(file for file in there if file.is_file())}))

    def read(
        self, x: float, y: float, width: float, height: float, size: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read a window.

        Args:
            x: of its left edge in pixels, from 0.
            y: of its top edge.
            width: in pixels; whole numbers are read as they are.
            height: in pixels.
            size: height, width to which it is resampled: averaged where it shrinks, bilinear where it grows.

        Returns:
            (h, w, 3) uint8 RGB, black where there is no data, and (h, w) True where there is.

        Raises:
            InputError: a window without a pixel, or beyond the raster.
            ImageError: the file is cut off there, or broken.
        """
        if min(width, height) <= 0 or min(x, y) < 0 or x + width > self.width + 1e-6 or y + height > self.height + 1e-6:
            raise InputError(
                f"{self.path}: a window of {width:g} x {height:g} pixels at x={x:g}, y={y:g} does not lie in a raster "
                f"of {self.width} x {self.height}"
            )
        values, valid = self._values(x, y, width, height, size)
        pixels = self._coloured(values)
        pixels[~valid] = 0
        return pixels, valid

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _values(
        self, x: float, y: float, width: float, height: float, size: tuple[int, int] | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read values (bands, h, w), and (h, w) where any band of them has data and all are numbers."""
        from rasterio.enums import MaskFlags, Resampling
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        rows, columns = size or (math.ceil(height), math.ceil(width))
        shrinks = rows < height or columns < width
        palette = self._palette is not None
        same = (rows, columns) == (height, width)
        how = Resampling.nearest if palette or same else Resampling.average if shrinks else Resampling.bilinear
        about = {"window": Window(x, y, width, height), "out_shape": (len(self.bands), rows, columns)}
        try:
            with reading():
                values = self.source.read(list(self.bands), **about, resampling=how)
                flags = [self.source.mask_flag_enums[band - 1] for band in self.bands]
                if all(MaskFlags.all_valid in one for one in flags):
                    valid = np.ones((rows, columns), dtype=bool)
                else:
                    masks = self.source.read_masks(list(self.bands), **about, resampling=Resampling.nearest)
                    valid = (masks > 0).any(axis=0)
        except (RasterioError, MemoryError) as error:
            said = " ".join(str(error.__cause__ or error).split())[:200] or "not enough memory"
            raise ImageError(
                f"{self.path}: cannot be read at x={x:g}, y={y:g}, {width:g} x {height:g} pixels: broken or cut off "
                f"({said})"
            ) from None
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
        return values, valid

    @property
    def _palette(self) -> dict[int, tuple[int, int, int, int]] | None:
        from rasterio.enums import ColorInterp

        alone = len(self.bands) == 1 and self.source.colorinterp[self.bands[0] - 1] is ColorInterp.palette
        return self.source.colormap(self.bands[0]) if alone else None

    def _coloured(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        palette = self._palette
        if palette is not None:
            table = np.zeros((max(palette) + 1, 3), np.uint8)
            for number, colour in palette.items():
                table[number] = colour[:3]
            return np.asarray(table[np.clip(values[0], 0, len(table) - 1)])
        shown = values if self.stretch is None else self.stretch.apply(values)
        return np.ascontiguousarray(np.broadcast_to(shown, (3, *shown.shape[1:])).transpose(1, 2, 0))

    def _stretch(self, given: str | None) -> Stretch | None:
        if given is not None:
            return Stretch.given(given, len(self.bands))
        if self.is_plain:
            return None
        return measure(self._sample(), f"{self.path}: its bands {', '.join(map(str, self.bands))}")

    def _sample(self) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Read a bounded part of the whole raster: its overviews, or small windows spread over all of it."""
        most = max(self.width, self.height)
        if most <= SAMPLED or self.source.overviews(self.bands[0]):
            scale = min(1.0, SAMPLED / most)
            size = (max(1, round(self.height * scale)), max(1, round(self.width * scale)))
            yield self._values(0, 0, self.width, self.height, size)
            return
        side = SAMPLED // _PATCHES
        w, h = min(side, self.width), min(side, self.height)
        for y in np.linspace(0, self.height - h, _PATCHES).astype(int).tolist():
            for x in np.linspace(0, self.width - w, _PATCHES).astype(int).tolist():
                yield self._values(x, y, w, h, None)


@contextmanager
def reading() -> Iterator[None]:
    """Keep GDAL's memory bounded, and its talk off stderr."""
    import logging

    import rasterio

    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    with rasterio.Env(GDAL_CACHEMAX=CACHE), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def _opened(path: Path) -> Any:
    with extra_needed("a map", "rasters"):
        import rasterio
        import rasterio.errors
    _require_file(path)
    try:
        with reading():
            source = rasterio.io.DatasetReader(str(path), driver=list(DRIVERS))
    except (rasterio.errors.RasterioError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ImageError(f"{path}: is no raster that can be read ({said})") from None
    try:
        _require_pixels(path, source)
    except ImageError:
        source.close()
        raise
    return source


def _require_file(path: Path) -> None:
    try:
        if not path.is_file():
            raise ImageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
        if not path.stat().st_size:
            raise ImageError(f"{path}: the file is empty (0 bytes)")
    except (OSError, ValueError) as error:
        raise ImageError(f"{str(path)[:300]}: cannot be read ({error})") from None


def _require_pixels(path: Path, source: Any) -> None:
    if not source.count:
        raise ImageError(
            f"{path}: holds no bands of its own, but {len(source.subdatasets)} rasters: export one of them"
        )
    if any(dtype.startswith("complex") for dtype in source.dtypes):
        raise ImageError(f"{path}: holds complex numbers ({source.dtypes[0]}): export their amplitude")
    if source.driver != "GTiff":
        return
    size, bits = path.stat().st_size, {"int8": 8, "uint8": 8}
    raw = source.width * source.height * sum(bits.get(dtype, 16) // 8 for dtype in source.dtypes)
    if raw > _MOST_PACKED * size:
        raise ImageError(
            f"{path}: its header promises {source.width} x {source.height} pixels, and the file has {size:,} bytes: it "
            "holds next to nothing, or was cut off"
        )


def _bands(path: Path, source: Any, wanted: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    from rasterio.enums import ColorInterp

    if missing := [band for band in wanted if not 1 <= band <= source.count]:
        raise InputError(f"{path}: has the bands 1 to {source.count}, no band {missing[0]}")
    if wanted:
        return wanted, ()
    named = {colour: number for number, colour in reversed([*enumerate(source.colorinterp, 1)])}
    colours = [named.get(one) for one in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)]
    if all(colours):
        return tuple(number for number in colours if number), ()
    data = [number for number, one in enumerate(source.colorinterp, 1) if one is not ColorInterp.alpha]
    if len(data) >= 3:
        first = tuple(data[:3])
        said = (
            f"bands {', '.join(map(str, first))} of {source.count} are shown as red, green, blue: --bands says others"
        )
        return first, (said,)
    shown = tuple(data[:1]) or (1,)
    return shown, (f"band {shown[0]} of {len(data)} is shown as grey",) if len(data) > 1 else ()


def _crs(path: Path, source: Any, given: str | None) -> tuple[CRS | None, tuple[str, ...]]:
    """Return the CRS in two dimensions, and what is to be said of it."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        if given is not None:
            return CRS.from_user_input(given).to_2d(), ()
    except CRSError:
        raise InputError(f"--crs {given!r}: no coordinate reference system: write such as EPSG:32633") from None
    try:
        written = source.crs.to_wkt() if source.crs else ""
        if not written:
            return None, ("its file names no coordinate reference system: --crs says it",)
        return CRS.from_user_input(written).to_2d(), ()
    except Exception as error:  # noqa: BLE001 - rasterio and pyproj have errors of their own for what they do not know
        said = " ".join(str(error).split())[:160]
        raise ImageError(
            f"{path}: its coordinate reference system is not understood ({said}): say it by --crs EPSG:..."
        ) from None


def _affine(path: Path, source: Any) -> Affine | None:
    affine = source.transform
    if affine.is_identity:
        points, _ = source.gcps
        if points or source.rpcs:
            by = f"{len(points)} ground control points" if points else "rational polynomials"
            raise ImageError(
                f"{path}: is placed by {by} alone: bring it onto a grid first, by gdalwarp -r bilinear IN.tif OUT.tif"
            )
        return None
    if not math.isfinite(affine.determinant) or not affine.determinant:
        raise ImageError(f"{path}: its affine has no extent ({', '.join(f'{number:g}' for number in affine[:6])})")
    return affine  # type: ignore[no-any-return]
