"""What a segmenter is shown of an image: a resize that knows its frame, and a normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.images import Image

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image is brought onto a model's square canvas.

    Args:
        size: edge of the canvas in pixels.
        keep_aspect: fit the longest edge and pad at the right and bottom, as SAM does; False
            stretches both edges to the canvas, as SAM 2 and SAM 3 do.
        mean: mean per channel R, G, B, of values in 0..1.
        std: standard deviation per channel R, G, B, of values in 0..1.

    Raises:
        InputError: a canvas without pixels.

    Example:
        >>> Preprocessing(1024, keep_aspect=True).shown(2048, 1000)
        (1024, 500)
    """

    size: int
    keep_aspect: bool
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"a model's canvas needs at least one pixel, got {self.size}")

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Say how large, in canvas pixels, an image of width x height is shown: width, height."""
        if not self.keep_aspect:
            return self.size, self.size
        scale = self.size / max(width, height)
        return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))

    def frame(self, width: int, height: int) -> Frame:
        """Return the frame of the canvas' pixels for an image of width x height.

        It is ``Frame.letterbox(width, height, size, size, centred=False)`` but for the rounding: the
        shorter edge is shown in whole pixels, and coordinates follow what is really shown.
        """
        return Frame.canvas(*self.shown(width, height))

    def __call__(self, image: Image) -> NDArray[np.float32]:
        """Return what the model is shown.

        Returns:
            (3, size, size) float32, R, G, B, normalised; zeros where nothing is shown. Shrinking
            averages over the pixels that fall together (bilinear with antialiasing).
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
        way = "fit" if self.keep_aspect else "stretch"
        return f"{way}{self.size}-bilinear-mean{self.mean}-std{self.std}"
