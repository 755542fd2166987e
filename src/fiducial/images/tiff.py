"""TIFF beyond what Pillow reads right: the head of any, and the numbers of deep, planar and many-channelled ones.

The structure is read by tifffile. Pixels of a compression that it has no codec for are decoded by OpenCV where that
is known to give the same numbers.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import ImageError
from fiducial.images.values import UPPER_BITS, alpha_to_eight_bits, over_white, to_eight_bits

T = TypeVar("T", bound=np.generic)

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _INKS = 0, 1, 2, 5
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _INKS: 4}
_TO_PILLOW = (3, 6, 8)  # palettes, YCbCr, CIELab
ALPHA = (1, 2)
_LOOKED_AT = 64
_LARGE_TILE = 4096 * 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffHead:
    """What a TIFF file says of the page that is read: its first one of full size."""

    width: int  # as stored, in pixels
    height: int
    samples: int  # channels
    dtype: np.dtype[Any] | None  # of the samples; None where they have different widths
    bits: int  # of a sample
    photometric: int
    planar: bool  # whether the channels lie one after the other
    extras: tuple[int, ...]  # what the channels beyond the colours are: 0 unsaid, 1 and 2 opacity
    missing: float | None  # the value that stands for "no data"
    orientation: int  # 1 is upright
    index: int  # of the page in the file
    pages: int  # of full size

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in pixels when the picture is upright."""
        return (self.height, self.width) if self.orientation in (5, 6, 7, 8) else (self.width, self.height)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not read of the file."""
        pages = (f"first of {self.pages} pages",) if self.pages > 1 else ()
        left = self.is_plain and sum(kind not in ALPHA for kind in self.extras)
        return (*pages, _left_out(left)) if left else pages

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads it right: at most 8 bits a sample (12 for grey), in colours it knows."""
        if self.photometric in _TO_PILLOW or self.dtype is None:
            return True
        known = self.samples - len(self.extras) == _COLOURS.get(self.photometric)
        shallow = self.dtype in (np.dtype(bool), np.dtype(np.uint8)) or (self.bits == 12 and self.samples == 1)
        return known and shallow and len(self.extras) <= (1 if self.photometric == _RGB else 0)


def is_tiff(start: bytes) -> bool:
    """Tell a TIFF file by its first bytes."""
    return start[:4] in _MAGIC


def read_head(path: Path) -> TiffHead:
    """Read the head of a TIFF file.

    Raises:
        ImageError: it is broken, or what it holds is no plain picture.
    """
    with _opened(path) as (tif, page):
        pages = _count_pages(tif)
        tag = page.tags.get(274)
        orientation = tag.value if tag is not None and tag.value in range(1, 9) else 1
        head = TiffHead(
            width=int(page.imagewidth),
            height=int(page.imagelength),
            samples=int(page.samplesperpixel),
            dtype=None if page.dtype is None else np.dtype(page.dtype),
            bits=page.bitspersample if isinstance(page.bitspersample, int) else 0,
            photometric=int(page.photometric),
            planar=int(page.planarconfig) == 2 and int(page.samplesperpixel) > 1,
            extras=tuple(int(one) for one in page.extrasamples),
            missing=_declared_missing(page),
            orientation=int(orientation),
            index=int(page.index),
            pages=pages,
        )
        _check(path, tif, page, head)
        return head


def read_picture(path: Path, head: TiffHead) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Read the page as (H, W, 3) uint8 RGB, upright, and say what was changed.

    Raises:
        ImageError: broken, cut off, or channels of which nobody knows what they mean.
    """
    colours, alpha, said = _parted(path, head, read_values(path, head))
    missing = None if head.missing is None else _is_missing(colours, head.missing)
    if alpha is not None and (alpha > 0).any():
        missing = (alpha <= 0) if missing is None else missing | (alpha <= 0)
    largest = float(colours.max()) if colours.dtype.kind == "u" else 0.0
    try:
        pixels, scaling = _in_eight_bits(colours, missing, head.photometric)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    said = (*said, *scaling)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if alpha is not None:
        pixels = over_white(pixels, alpha_to_eight_bits(alpha, largest))
    if head.orientation != 1:
        pixels, said = upright(pixels, head.orientation), (*said, "turned upright by its EXIF orientation")
    return np.ascontiguousarray(pixels), (*head.notes, *said)


def read_values(path: Path, head: TiffHead) -> NDArray[Any]:
    """Read the numbers of the page as stored: (H, W), or (H, W, S) of S channels, whatever their order in the file.

    Raises:
        ImageError: broken, cut off, or of a compression that cannot be decoded here.
    """
    with _opened(path) as (_, page):
        try:
            values = np.asarray(page.asarray(maxworkers=1))
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            values = _by_opencv(path, head)
    if head.planar:
        values = np.moveaxis(values, 0, -1)
    wanted = (head.height, head.width, head.samples)
    if values.shape not in (wanted, wanted[:2]) or (values.ndim == 2 and head.samples > 1):
        raise ImageError(f"{path}: its pixels have the shape {values.shape}, its head says {wanted}")
    return values[..., 0] if values.ndim == 3 and head.samples == 1 else values


def upright(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Turn (H, W, ...) pixels as their EXIF orientation says: 1..8."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    mirrored, flipped = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return pixels[:: -1 if flipped else 1, :: -1 if mirrored else 1]


# -- the parts ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file at the page that is read; whatever its parser raises is a broken file."""
    import tifffile

    logger = logging.getLogger("tifffile")  # it reports what it finds odd on stderr; what matters is raised below
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif, _page(path, tif)
    except (ImageError, PermissionError):
        raise
    except (Exception, MemoryError) as error:  # a parser of a foreign format, fed by anybody: it raises what it likes
        raise ImageError(f"{path}: the picture is broken or cut off ({' '.join(str(error).split())[:200]})") from error


def _page(path: Path, tif: Any) -> Any:
    """Return the first page that is no smaller version of another and no mask."""
    count = len(tif.pages)
    if not count:
        raise ImageError(f"{path}: the TIFF file holds no page")
    first = tif.pages[0]
    for number in range(min(count, _LOOKED_AT)):
        page = tif.pages[number]
        if not (page.is_reduced or page.is_mask):
            return page
    if first.tags.get(330) is not None:
        raise ImageError(
            f"{path}: holds a small preview and raw data of a camera: develop it, and save a JPEG, PNG or TIFF"
        )
    return first


def _count_pages(tif: Any) -> int:
    """Count the pages of full size; beyond the first 64 nobody looks at what they are."""
    count = len(tif.pages)
    near = [tif.pages[number] for number in range(min(count, _LOOKED_AT))]
    within = [page for page in near if not (page.is_reduced or page.is_mask)]
    stack = (tif.imagej_metadata or {}).get("images", 1) if len(within) == 1 and tif.is_imagej else 1
    return max(1, len(within) + max(0, count - _LOOKED_AT), int(stack))


def _declared_missing(page: Any) -> float | None:
    tag = page.tags.get(42113)  # GDAL_NODATA
    if tag is None:
        return None
    try:
        return float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


def _check(path: Path, tif: Any, page: Any, head: TiffHead) -> None:
    """Refuse what is no picture, or not whole, before a pixel is decoded."""
    if min(head.width, head.height, head.samples) < 1:
        raise ImageError(f"{path}: its head says {head.width} x {head.height} pixels of {head.samples} channels")
    if int(getattr(page, "imagedepth", 1) or 1) > 1:
        raise ImageError(f"{path}: holds a volume of {page.imagedepth} slices, not a picture: save its slices")
    if head.photometric not in (*_COLOURS, *_TO_PILLOW):
        raise ImageError(
            f"{path}: its values are no colours (photometric interpretation {head.photometric}, as of raw camera "
            "data): develop it, and save a JPEG, PNG or RGB TIFF"
        )
    if head.dtype is not None and head.dtype.kind not in "buif":
        raise ImageError(f"{path}: its values are of the type {head.dtype}, which is no grey or colour")
    tile = page.tilewidth * page.tilelength if page.is_tiled else 0
    if tile > max(_LARGE_TILE, 4 * head.width * head.height):
        raise ImageError(f"{path}: its tiles of {page.tilewidth} x {page.tilelength} are larger than the picture")
    size = tif.filehandle.size
    lost = sum(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    if lost or not len(page.dataoffsets):
        raise ImageError(f"{path}: the picture is broken or cut off ({lost} of its strips lie past its end)")


def _by_opencv(path: Path, head: TiffHead) -> NDArray[Any]:
    """Decode what tifffile has no codec for, LZW above all, where OpenCV gives the same numbers."""
    import cv2

    known = (head.photometric == _RGB and head.samples in (3, 4)) or (
        head.photometric == _BLACK_IS_ZERO and head.samples == 1
    )
    known = known and head.dtype is not None and head.dtype.itemsize > 1
    if known and not head.planar and head.index == 0 and head.orientation == 1:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if values is not None and values.dtype == head.dtype and values.shape[:2] == (head.height, head.width):
            return values if values.ndim == 2 else np.asarray(values[..., [2, 1, 0, *range(3, values.shape[2])]])
    raise ImageError(
        f"{path}: its compression cannot be decoded here for {head.samples} channels of {head.dtype}: "
        "pip install 'fiducial[pictures]', or save it with the compression deflate or none"
    )


def _parted(
    path: Path, head: TiffHead, values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any] | None, tuple[str, ...]]:
    """Part channels into grey (H, W) or colours (H, W, 3 or 4 inks), opacity (H, W) if any, and what is to be said."""
    if values.ndim == 2:
        return values, None, ()
    count, extras = _COLOURS[head.photometric], head.extras
    if head.samples - len(extras) != count:  # the file does not say what the others are
        extras = (0,) * (head.samples - count)
    said: tuple[str, ...] = ()
    if count == 1 and len(extras) >= 2 and extras[:2] == (0, 0) and (len(extras) == 2 or extras[2:] in ((1,), (2,))):
        count, extras = 3, extras[2:]
        said = ("its 3 channels were taken as red, green and blue, which the file does not say",)
    elif count == 1 and extras and extras not in ((1,), (2,)):
        raise ImageError(
            f"{path}: holds {head.samples} channels, and does not say which are red, green and blue: save those three "
            "alone (gdal_translate -b R -b G -b B), or choose them from an array for Image.from_array"
        )
    solid = [place for place, kind in enumerate(extras) if kind in ALPHA]
    alpha = values[..., count + solid[0]] if solid else None
    left = len(extras) - len(solid)
    if left:
        said = (*said, _left_out(left))
    colours = values[..., 0] if count == 1 else values[..., :count]
    return np.ascontiguousarray(colours), alpha, said


def _in_eight_bits(
    values: NDArray[Any], missing: NDArray[np.bool_] | None, photometric: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Make grey (H, W) or RGB (H, W, 3) of 8 bits, and say how."""
    if photometric == _INKS:
        import PIL.Image

        said: tuple[str, ...] = ("converted from CMYK to RGB",)
        if values.dtype == np.uint16:
            values, said = values >> np.uint16(8), (UPPER_BITS, *said)
        if values.dtype.kind != "u":
            raise ImageError(f"its inks are of the type {values.dtype}: save it as RGB")
        inks = PIL.Image.fromarray(np.ascontiguousarray(values, dtype=np.uint8), "CMYK")
        return np.asarray(inks.convert("RGB")), said
    if photometric == _WHITE_IS_ZERO and values.dtype != bool:
        values = np.iinfo(values.dtype).max - values if values.dtype.kind == "u" else -values.astype(np.float64)
    if values.dtype == bool:
        return (values != (photometric == _WHITE_IS_ZERO)).astype(np.uint8) * np.uint8(255), ()
    if values.dtype == np.uint8:
        return values.astype(np.uint8), ()
    return to_eight_bits(values, missing)


def _left_out(count: int) -> str:
    return f"left out {count} further channel{'s' * (count > 1)}, which the file does not explain"


def _is_missing(values: NDArray[Any], missing: float) -> NDArray[np.bool_]:
    """Find the places (H, W) whose every channel holds the value that stands for "no data"."""
    if math.isnan(missing):
        return np.zeros(values.shape[:2], dtype=bool)  # what is no number never counts
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found = values == values.dtype.type(missing)
    else:
        found = values == missing
    return np.asarray(found if found.ndim == 2 else found.all(axis=2))
