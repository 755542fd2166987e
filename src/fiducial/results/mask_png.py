"""Masks as PNG: one black and white picture, and one of numbered instances."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.overlays.drawing import cut_out

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

_MOST_INSTANCES = 65535


def write_union(segmentation: Segmentation, folder: Path) -> bytes:
    """Return an 8-bit grey PNG at the image's size: 255 on any target, 0 elsewhere."""
    return _png(segmentation.mask.to_dense().astype(np.uint8) * np.uint8(255))


def write_instances(segmentation: Segmentation, folder: Path) -> bytes:
    """Return a 16-bit grey PNG at the image's size: 0 is no target, n is the n-th; later ones lie on top.

    Raises:
        InputError: more targets than 16 bits can number.
    """
    image = segmentation.image
    if len(segmentation.masks) > _MOST_INSTANCES:
        raise InputError(f"{image.name}: {len(segmentation.masks)} targets are more than a 16-bit PNG can number")
    numbers = np.zeros((image.height, image.width), dtype=np.uint16)
    for number, mask in enumerate(segmentation.masks, start=1):
        inside, x, y = cut_out(mask)
        numbers[y : y + inside.shape[0], x : x + inside.shape[1]][inside] = number
    return _png(numbers)


def _png(array: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()
