"""Reading picture files: header first, limits before decoding, always upright RGB."""

from __future__ import annotations

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from fiducial.errors import ImageError
from fiducial.images import tiff
from fiducial.images.image import Image
from fiducial.images.values import UPPER_BITS, to_eight_bits

DEFAULT_MAX_PIXELS = 100_000_000

FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What is opened: plain pictures. Others, EPS above all, can start an interpreter."""

_ORIENTATION = 0x0112
_TURNED = range(2, 9)
_QUARTER_TURNS = range(5, 9)
_MOST_CHANNELS = 4
_pillow_limit = threading.Lock()
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def read_image(path: str | Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Read a picture file as upright RGB.

    The EXIF orientation is applied; palettes, greys, 1-bit and CMYK become RGB; transparency is laid over white; values
    of more than 8 bits are scaled as :func:`fiducial.images.values.to_eight_bits` says, places without data (GDAL's
    tag, what is no number) are black. What was changed stands in ``image.notes``. Of an animation or a file of several
    pages the first is read. A TIFF file whose channels nobody can tell for colours is refused.

    Args:
        path: a file in a format that Pillow or tifffile reads.
        max_pixels: refuse pictures whose header promises more, before decoding anything.

    Raises:
        ImageError: missing, a folder, empty, no picture, broken or cut off, or larger than allowed.
    """
    path = as_path(path)
    start = _first_bytes(path)
    if not tiff.is_tiff(start):
        with _clear_errors(path, start), _opened(path) as picture:
            _require_size(path, *picture.size, max_pixels)
            frames = getattr(picture, "n_frames", 1)
            decoded = _decode(picture, path)
        return _as_image(decoded, path, (f"first of {frames} frames",) if frames > 1 else ())
    head = tiff.read_head(path)
    _require_size(path, head.width, head.height, max_pixels, head.samples)
    if not head.is_plain:
        pixels, notes = tiff.read_picture(path, head)
        return Image(pixels, name=str(path), notes=notes)
    with _clear_errors(path, start), _opened(path) as picture:
        picture.seek(head.index)
        decoded = _decode(picture, path)
    return _as_image(decoded, path, head.notes)


def image_size(path: str | Path) -> tuple[int, int]:
    """Read width, height of a picture when it is upright, from its header; errors as of :func:`read_image`."""
    path = as_path(path)
    start = _first_bytes(path)
    if tiff.is_tiff(start):
        return tiff.read_head(path).size
    with _clear_errors(path, start), _opened(path) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION, 1) in _QUARTER_TURNS
    return (height, width) if turned else (width, height)


def deep_values(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[Any] | None:
    """Read the numbers of a TIFF file that Pillow would not read right: (H, W) or (H, W, S); None for other files."""
    if not tiff.is_tiff(_first_bytes(path)):
        return None
    head = tiff.read_head(path)
    _require_size(path, head.width, head.height, max_pixels, head.samples)
    if head.is_plain:
        return None
    values = tiff.read_values(path, head)
    colours = head.samples - sum(kind in tiff.ALPHA for kind in head.extras)
    values = values if values.ndim == 2 else values[..., :colours]
    return tiff.upright(values, head.orientation)


def can_open(name: str) -> bool:
    """Tell whether a format of :data:`FORMATS` can be opened here."""
    return name in _formats()


def as_path(path: object) -> Path:
    """Return a path of a text or a path; anything else is an ImageError."""
    if not isinstance(path, (str, Path)):
        raise ImageError(f"a picture file needs a path, got {type(path).__name__}")
    return Path(path)


def _first_bytes(path: Path) -> bytes:
    """Read the beginning of a file; refuse what is none, before anything waits for it."""
    try:
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise ImageError(f"{path}: is a folder, not a picture file")
        if not stat.S_ISREG(kind.st_mode):
            raise ImageError(f"{path}: is no regular file: save the picture to one")
        if kind.st_size == 0:
            raise ImageError(f"{path}: the file is empty (0 bytes)")
        with open(path, "rb") as file:
            return file.read(32)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero
        raise ImageError(f"{str(path)[:300]}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


@contextmanager
def _clear_errors(path: Path, start: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{path}: not a picture in a known format{_advice(start)}") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except MemoryError:
        raise ImageError(f"{path}: there is not enough memory for it: cut tiles, or lower max_pixels") from None
    except Exception as error:  # decoders of foreign formats, fed by anybody: they raise what they like
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"{path}: the picture is broken or cut off ({said})") from error


def _advice(start: bytes) -> str:
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return " (HEIC): pip install 'fiducial[pictures]', or save it as JPEG or PNG"
    if start[:2] == b"\xff\xd8":
        return " (a JPEG that is cut off)"
    return ""


def _require_size(path: Path, width: int, height: int, max_pixels: int, channels: int = 1) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{path}: {width} x {height} is {width * height / 1e6:,.0f} megapixels, more than the limit "
            f"of {max_pixels / 1e6:,.0f}: raise max_pixels (--max-pixels) if you trust the file, or cut tiles"
        )
    if width * height * channels > _MOST_CHANNELS * max_pixels:
        raise ImageError(f"{path}: {width} x {height} pixels of {channels} channels are too many: save three of them")


@contextmanager
def _opened(path: Path) -> Iterator[PIL.Image.Image]:
    """Open a picture, header only, with Pillow's own limit off: ours is asked before decoding."""
    # By file, not by name: what Pillow maps into memory it does not turn upright, though it says so (13.0).
    with open(path, "rb") as file:
        with _pillow_limit, warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
            try:
                picture = _open(file)
            finally:
                PIL.Image.MAX_IMAGE_PIXELS = limit
        with picture:
            yield picture


def _open(file: IO[bytes]) -> PIL.Image.Image:
    """Open a picture by Pillow's usual readers first: asked for one that it has not loaded, it loads all seventy."""
    PIL.Image.preinit()
    usual = [one for one in FORMATS if one in PIL.Image.OPEN]
    try:
        return PIL.Image.open(file, formats=usual)
    except PIL.UnidentifiedImageError:
        file.seek(0)
        return PIL.Image.open(file, formats=_formats())


def _formats() -> list[str]:
    """Name the formats that Pillow knows here: AVIF and HEIF only where it was built, or extended, for them."""
    if "HEIF" not in PIL.Image.OPEN:
        PIL.Image.init()
        try:
            import pi_heif
        except ImportError:
            pass
        else:
            pi_heif.register_heif_opener()
    return [name for name in FORMATS if name in PIL.Image.OPEN]


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """What a decoder gave: a picture turned upright, or colours of 16 bits (H, W, 3 or 4) that are upright too."""

    picture: PIL.Image.Image
    deep: NDArray[np.uint16] | None
    turned: bool
    wide: bool  # whether the upper 8 of 16 bits are all that is left


def _decode(picture: PIL.Image.Image, path: Path) -> _Decoded:
    tiles = tuple(getattr(picture, "tile", ()))
    # Pillow turns a TIFF upright by itself and forgets the tag; of other formats EXIF may come behind the pixels.
    before = picture.getexif().get(_ORIENTATION, 1)
    picture.load()
    orientation = before if before in _TURNED else picture.getexif().get(_ORIENTATION, 1)
    turned = orientation in _TURNED
    deep = _deep_colours(picture, path, tiles)
    deep = tiff.upright(deep, orientation) if deep is not None and turned else deep
    wide = deep is None and _has_wide_channels(picture.mode, tiles)
    return _Decoded(PIL.ImageOps.exif_transpose(picture), deep, turned, wide)


def _as_image(decoded: _Decoded, path: Path, notes: tuple[str, ...]) -> Image:
    picture, said = decoded.picture, [*notes]
    if decoded.turned:
        said.append("turned upright by its EXIF orientation")
    if decoded.deep is not None:
        image = Image.from_array(decoded.deep, str(path))
        return Image(image.pixels, name=str(path), notes=(*said, *image.notes))
    if picture.mode in _WIDE_MODES:
        try:
            grey, scaling = to_eight_bits(np.asarray(picture))
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from None
        said += scaling
        pixels = np.repeat(grey[..., None], 3, axis=2)
    else:
        said += [UPPER_BITS] if decoded.wide else []
        if picture.mode not in ("RGB", "L"):
            said.append(f"converted from {picture.mode} to RGB")
        pixels = np.asarray(_to_rgb(picture))
    return Image(np.ascontiguousarray(pixels), name=str(path), notes=tuple(said))


def _deep_colours(picture: PIL.Image.Image, path: Path, tiles: tuple[Any, ...]) -> NDArray[np.uint16] | None:
    """Read colours of 16 bits, of which Pillow keeps the upper 8: (H, W, 3 or 4) as stored, or None for others.

    The picture is loaded by now, so that the file is known to be whole.
    """
    deep = picture.format == "JPEG2000" or _has_wide_channels(picture.mode, tiles)
    if not deep or picture.mode not in ("RGB", "RGBA", "LA"):
        return None
    import cv2

    values = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    stored = picture.size[::-1]
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[:2] != stored:
        return None
    return np.ascontiguousarray(values[..., [2, 1, 0, *range(3, values.shape[2])]], dtype=np.uint16)


def _has_wide_channels(mode: str, tiles: tuple[Any, ...]) -> bool:
    """Say whether a colour picture has more than 8 bits per channel, of which Pillow decodes the upper 8."""
    for tile in tiles:
        told = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0] == "ppm" and isinstance(told[-1], int) and told[-1] > 255:
            return mode == "RGB"
        if any(isinstance(one, str) and ";16" in one for one in told[:1]):
            return mode in ("RGB", "RGBA", "LA", "CMYK")
    return False


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "P" or picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return PIL.Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")
