"""The square canvas that a segmenter is shown: an image brought onto it, and logits brought back to the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.errors import GeometryError, ModelError
from fiducial.geometry import Frame, Mask
from fiducial.images import Image

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)

_STRIP = 1 << 20
"""Pixels that are interpolated at a time, so that the temporary arrays stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image is brought onto a model's square canvas.

    Example:
        >>> Preprocessing(1024, keep_aspect=True).shown(2048, 1000)
        (1024, 500)
    """

    size: int  # edge of the canvas in pixels
    # Fit the longest edge and pad at the right and bottom, as SAM does, or stretch both edges, as SAM 2 and SAM 3 do.
    keep_aspect: bool
    mean: Triple = IMAGENET_MEAN  # per channel R, G, B, of values in 0..1
    std: Triple = IMAGENET_STD

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Say how large, in canvas pixels, an image of width x height is shown: width, height."""
        if not self.keep_aspect:
            return self.size, self.size
        scale = self.size / max(width, height)
        return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame of the canvas' pixels for an image of width x height; its edges are whole pixels."""
        return Frame.canvas(*self.shown(width, height))

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Return what the model is shown: (3, size, size) float32, R, G, B, normalised; zeros where nothing is shown.

        Shrinking averages over the pixels that fall together (bilinear with antialiasing).
        """
        width, height = self.shown(image.width, image.height)
        picture = PIL.Image.fromarray(image.pixels)
        small = np.asarray(picture.resize((width, height), PIL.Image.Resampling.BILINEAR))
        fractions = small.astype(np.float32) / np.float32(255)
        values = (fractions - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        canvas = np.zeros((3, self.size, self.size), dtype=np.float32)
        canvas[:, :height, :width] = values.transpose(2, 0, 1)
        return canvas

    def __str__(self) -> str:
        """Name every number that shapes the result, for cache keys."""
        resize = "fit" if self.keep_aspect else "stretch"
        return f"{resize}{self.size}-bilinear-mean{self.mean}-std{self.std}"


@dataclass(frozen=True, slots=True, eq=False)
class _Taps:
    """Linear interpolation along one axis: out[i] = near[i] * (1 - weight[i]) + far[i] * weight[i]."""

    near: NDArray[np.intp]
    far: NDArray[np.intp]
    weight: NDArray[np.float32]

    @classmethod
    def make(cls, length: int, cells: float, grid: int) -> _Taps:
        """Spread the first ``cells`` of ``grid`` cells over ``length`` pixels, centres on centres."""
        position = np.clip((np.arange(length) + 0.5) * (cells / length) - 0.5, 0.0, grid - 1.0)
        near = np.floor(position).astype(np.intp)
        return cls(near, np.minimum(near + 1, grid - 1), (position - near).astype(np.float32))

    def reach(self, cells: NDArray[np.float32]) -> tuple[int, int]:
        """Return the half-open range of pixels that look at the cells above 0, (0, 0) for none."""
        marked = np.flatnonzero(cells > 0)
        if not len(marked):
            return 0, 0
        start = np.searchsorted(self.far, marked[0], side="left")
        stop = np.searchsorted(self.near, marked[-1], side="right")
        return int(start), max(int(start), int(stop))

    def __getitem__(self, part: slice) -> _Taps:
        return _Taps(self.near[part], self.far[part], self.weight[part])


class Upsampler:
    """Turns a model's logits into masks of one original image size.

    Logits are interpolated bilinearly, pixel centres on pixel centres, from the model's grid straight
    to the original pixels, and thresholded there at > 0. A pixel none of whose four cells is positive
    cannot become foreground, so only the window that sees positive cells is computed; what comes out
    is the same, bit by bit, as from the full picture.

    Args:
        width: of the original image in pixels.
        height: of the original image in pixels.
        shown: the frame of the canvas for this image: how much of it the image takes.
        size: edge of the model's square canvas in pixels, padding included.
        grid: rows and columns of the logits, which cover the whole canvas.
    """

    def __init__(self, width: int, height: int, *, shown: Frame, size: int, grid: tuple[int, int]) -> None:
        fits = 0 < shown.right <= size and 0 < shown.bottom <= size
        if shown.left != 0 or shown.top != 0 or not fits:
            raise GeometryError(f"the image's {shown} does not lie at the top left of a canvas of {size} pixels")
        self.width, self.height, self.grid = width, height, grid
        self._rows = _Taps.make(height, shown.bottom * grid[0] / size, grid[0])
        self._columns = _Taps.make(width, shown.right * grid[1] / size, grid[1])

    def mask(self, logits: NDArray[np.float32], score: float | None = None) -> Mask:
        """Make the mask of the pixels whose logit is above 0, from (rows, columns) float32 as announced by ``grid``."""
        if logits.shape != self.grid:
            raise GeometryError(f"logits of shape {logits.shape} do not fit the grid {self.grid}")
        if not np.isfinite(logits).all():
            raise ModelError("the segmenter returned logits that are not finite: try dtype='float32'")
        top, bottom = self._rows.reach(logits.max(axis=1))
        left, right = self._columns.reach(logits.max(axis=0))
        piece = _above_zero(logits, self._rows[top:bottom], self._columns[left:right])
        return Mask.from_dense(piece, offset=(left, top), size=(self.height, self.width), score=score)


def _above_zero(logits: NDArray[np.float32], rows: _Taps, columns: _Taps) -> NDArray[np.bool_]:
    """Interpolate a window and threshold it, a strip of rows at a time.

    Only element-wise float32 products and sums are used: they do not depend on the window's shape.
    """
    height, width = len(rows.near), len(columns.near)
    found = np.zeros((height, width), dtype=bool)
    if not found.size:
        return found
    first = int(rows.near[0])
    wide = _mix(logits[first : rows.far[-1] + 1], columns, axis=1)
    step = max(1, _STRIP // width)
    for start in range(0, height, step):
        strip = rows[start : start + step]
        shifted = _Taps(strip.near - first, strip.far - first, strip.weight)
        np.greater(_mix(wide, shifted, axis=0), 0, out=found[start : start + step])
    return found


def _mix(values: NDArray[np.float32], taps: _Taps, axis: int) -> NDArray[np.float32]:
    weight = taps.weight[None, :] if axis == 1 else taps.weight[:, None]
    near = np.take(values, taps.near, axis=axis)
    near *= np.float32(1) - weight
    far = np.take(values, taps.far, axis=axis)
    far *= weight
    near += far
    return near
