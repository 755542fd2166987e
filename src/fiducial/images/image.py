"""The Image type: RGB pixels that nobody changes, with their frame and content digest."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import ImageError
from fiducial.geometry import Frame
from fiducial.images.values import alpha_to_eight_bits, over_white, to_eight_bits

Resample = Literal["lanczos", "bicubic", "bilinear", "area"]
"""How a picture is brought to another size."""
_MOST_PADDED = 4096 * 4096


@dataclass(frozen=True, eq=False)
class Image:
    """One picture, upright, in RGB.

    Args:
        pixels: (H, W, 3) uint8, RGB. The array is made read-only; a view of foreign memory is copied.
        name: where it came from, for messages and file names.
        notes: what reading it had to change ("16-bit values scaled from 12..4080", ...).
    """

    pixels: NDArray[np.uint8]
    name: str = "image"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ImageError(f"an image needs a text as name, got {self.name!r}")
        array = np.asarray(self.pixels)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
            raise ImageError(
                f"{self.name}: an image needs shape (H, W, 3) and uint8 RGB values, "
                f"got {array.shape} {array.dtype}: use Image.from_array for other arrays"
            )
        if array.size == 0:
            raise ImageError(f"{self.name}: the image has no pixels ({array.shape})")
        if array.flags.writeable or array.base is not None:
            array = array.copy()
            array.setflags(write=False)
        object.__setattr__(self, "pixels", array)

    @classmethod
    def from_array(cls, array: ArrayLike, name: str = "image") -> Image:
        """Make an image of an array in memory.

        Args:
            array: (H, W) grey, (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16, bool,
                or floating point with values in 0..1. Alpha is laid over white. 16-bit values become
                8-bit ones as those of files do, see :func:`fiducial.images.values.to_eight_bits`, and ``notes``
                says so.
                A torch tensor has its channels first, (C, H, W) with 1, 3 or 4 of them, on any device.
            name: for messages and file names.
        """
        given = _of_tensor(array) if _is_tensor(array) else np.asarray(array)
        if given.ndim == 3 and given.shape[2] == 1:
            given = given[..., 0]
        if given.ndim not in (2, 3) or (given.ndim == 3 and given.shape[2] not in (3, 4)):
            turned = given.ndim == 3 and given.shape[0] in (3, 4)
            hint = ": transpose it with array.transpose(1, 2, 0)" if turned else ""
            raise ImageError(f"{name}: an image needs shape (H, W), (H, W, 3) or (H, W, 4), got {given.shape}{hint}")
        if given.size == 0:
            raise ImageError(f"{name}: the image has no pixels ({given.shape})")
        colours, notes = given[..., :3] if given.ndim == 3 else given, tuple[str, ...]()
        if given.dtype == np.uint16:
            pixels, notes = to_eight_bits(colours)
        else:
            pixels = _as_uint8(colours, name)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        elif given.shape[2] == 4:
            alpha = given[..., 3]
            wide = given.dtype == np.uint16
            alpha = alpha_to_eight_bits(alpha, float(colours.max())) if wide else _as_uint8(alpha, name)
            pixels = over_white(pixels, alpha)
        return cls(np.ascontiguousarray(pixels), name=name, notes=notes)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def frame(self) -> Frame:
        """The pixel frame of this image: (0, 0) to (width, height)."""
        return Frame.pixels(self.width, self.height)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of size and pixels, in hex: equal pictures have equal digests, whatever their name."""
        digest = hashlib.sha256(f"{self.width}x{self.height}:".encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    def stretched(self, size: tuple[int, int], resample: Resample = "lanczos") -> Image:
        """Return the picture at (width, height) pixels, its aspect not kept.

        Args:
            size: width and height.
            resample: Pillow's filters of these names, which average over what a pixel covers where they shrink, or
                ``"area"``, OpenCV's ``INTER_AREA``: the plain mean of that where both sides shrink, else bilinear.
        """
        if size == (self.width, self.height):
            return self
        if resample == "area":
            import cv2

            pixels: Any = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        else:
            from PIL import Image as PillowImage

            filters = PillowImage.Resampling
            pixels = PillowImage.fromarray(self.pixels).resize(size, filters[resample.upper()])
        return Image(np.asarray(pixels, dtype=np.uint8), self.name, self.notes)

    def __repr__(self) -> str:
        return f"Image({self.name!r}, {self.width} x {self.height})"


def pad(
    pixels: NDArray[np.uint8], width: int, height: int, corner: tuple[int, int], colour: Sequence[int]
) -> NDArray[np.uint8]:
    """Lay pixels onto a canvas of one colour.

    A canvas of more than 16.8 megapixels that is more than four times as large as the picture, such as the square
    around a very long one, would take gigabytes: it is made at a smaller scale.

    Args:
        pixels: (h, w, 3) uint8.
        width: of the canvas in the same pixels, at least w.
        height: of the canvas, at least h.
        corner: x, y of the pixels on the canvas.
        colour: red, green, blue in 0..255 of the rest.
    """
    (h, w), (x, y) = pixels.shape[:2], corner
    if width * height > (most := max(_MOST_PADDED, 4 * w * h)):
        import PIL.Image

        scale = math.sqrt(most / (width * height))
        width, height, w, h = (max(1, math.floor(side * scale)) for side in (width, height, w, h))
        x, y = min(round(x * scale), width - w), min(round(y * scale), height - h)
        pixels = np.asarray(PIL.Image.fromarray(pixels).resize((w, h), PIL.Image.Resampling.BOX))
    canvas = np.full((height, width, 3), tuple(colour), dtype=np.uint8)
    canvas[y : y + h, x : x + w] = pixels
    return canvas


def _is_tensor(array: object) -> bool:
    """Tell whether it is a torch tensor, without loading torch: who has one has loaded it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _of_tensor(tensor: Any) -> NDArray[np.generic]:
    """Return a tensor's values with the channels last; one that has them last already is left so."""
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.float()  # NumPy knows no bfloat16
    if values.ndim == 3 and values.shape[0] in (1, 3, 4):
        values = values.permute(1, 2, 0)
    return np.asarray(values.numpy())


def _as_uint8(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array.astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        values = array.astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ImageError(f"{name}: floating point pixels need finite values in 0..1")
        return np.rint(values * 255).astype(np.uint8)
    raise ImageError(f"{name}: pixels need uint8, uint16, bool or floating point values, got {array.dtype}")
