"""Reading picture files: header first, limits before decoding, always upright RGB."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from fiducial.errors import ImageError, InputError
from fiducial.images.image import UPPER_BITS, Image, to_eight_bits

DEFAULT_MAX_PIXELS = 100_000_000
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What is opened: plain pictures. Others, EPS above all, can start an interpreter."""

_pillow_limit = threading.Lock()
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


def read_image(path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Read a picture file as upright RGB.

    The EXIF orientation is applied; palettes, greys, 1-bit and CMYK become RGB; transparency is laid
    over white; grey values of 16 bits, 32 bits or floating point are scaled from their own minimum..maximum
    to 0..255, and of 16-bit colours the upper 8 bits are taken, as :meth:`Image.from_array` does. What was
    changed stands in ``image.notes``. Of an animation the first frame is read.

    Args:
        path: a file in a format that Pillow reads.
        max_pixels: refuse pictures whose header promises more, before decoding anything.

    Raises:
        ImageError: missing, a folder, empty, no picture, broken or cut off, or larger than allowed.
    """
    path = _as_path(path)
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file")
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, not a picture file")
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty (0 bytes)")
        with _opened(path) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{path}: {width} x {height} is {width * height / 1e6:,.0f} megapixels, more than the limit "
                    f"of {max_pixels / 1e6:,.0f}: raise max_pixels (--max-pixels) if you trust the file, or cut tiles"
                )
            return _decode(picture, path)
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{path}: not a picture in a known format") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except OSError as error:
        if error.filename is None:
            raise ImageError(f"{path}: the picture is broken or cut off ({error})") from error
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error})") from None
    except (SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: the picture is broken or cut off ({error})") from error


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """Name the picture files among files and folders, folders in sorted order and not recursive.

    A file that is named is kept whatever its suffix, so that it is reported when it is no picture.

    Raises:
        InputError: a folder without any picture, or one that may not be looked into.
    """
    found: list[Path] = []
    for path in map(_as_path, paths):
        if not os.path.isdir(path):  # Path.is_dir raises where it may not look
            found.append(path)
            continue
        try:
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        except OSError as error:
            raise InputError(f"{path}: the folder cannot be looked into ({error.strerror or error})") from None
        if not inside:
            raise InputError(f"{path}: no picture in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        found += inside
    return found


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    """Open a picture, header only, with Pillow's own limit off: ours is asked before decoding."""
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            picture = PIL.Image.open(path, formats=FORMATS)
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit
    with picture:
        yield picture


def _decode(picture: PIL.Image.Image, path: Path) -> Image:
    notes = []
    if getattr(picture, "n_frames", 1) > 1:
        notes.append(f"first of {picture.n_frames} frames")  # type: ignore[attr-defined]
    if _has_wide_channels(picture):
        notes.append(UPPER_BITS)
    picture.load()
    turned = PIL.ImageOps.exif_transpose(picture)
    if turned.size != picture.size or picture.getexif().get(0x0112, 1) != 1:
        notes.append("turned upright by its EXIF orientation")
    if turned.mode in _WIDE_MODES:
        values = np.asarray(turned)
        if not np.isfinite(values.astype(np.float64)).all():
            raise ImageError(f"{path}: holds values that are not finite")
        grey, said = to_eight_bits(values)
        notes += said
        pixels = np.repeat(grey[..., None], 3, axis=2)
    else:
        if turned.mode not in ("RGB", "L"):
            notes.append(f"converted from {turned.mode} to RGB")
        pixels = np.asarray(_to_rgb(turned))
    return Image(np.ascontiguousarray(pixels), name=str(path), notes=tuple(notes))


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "P" or picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return PIL.Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _has_wide_channels(picture: PIL.Image.Image) -> bool:
    """Say whether a colour picture has 16 bits per channel, of which Pillow decodes the upper 8."""
    raw = (tile[3] for tile in getattr(picture, "tile", ()))
    modes = (mode[0] if isinstance(mode, tuple) else mode for mode in raw)
    return picture.mode in ("RGB", "RGBA") and any(isinstance(mode, str) and ";16" in mode for mode in modes)


def _as_path(path: object) -> Path:
    if not isinstance(path, (str, Path)):
        raise ImageError(f"a picture file needs a path, got {type(path).__name__}")
    return Path(path)
