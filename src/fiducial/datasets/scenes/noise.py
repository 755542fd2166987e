"""Noise: smooth random fields, the stuff of grounds, skies and grain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> Field:
    """Return a random field whose bumps are about ``cell`` pixels wide.

    Args:
        rng: draws it.
        size: height, width in pixels.
        cell: width of a bump in pixels, at least 1.

    Returns:
        (H, W) float32, mean about 0, standard deviation about 1.
    """
    height, width = size
    rows, columns = (max(2, round(extent / cell) + 2) for extent in size)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    field = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def fractal_noise(rng: np.random.Generator, size: tuple[int, int], cell: float, octaves: int = 4) -> Field:
    """Add up random fields of ever finer and weaker bumps.

    Args:
        rng: draws it.
        size: height, width in pixels.
        cell: width of the widest bumps in pixels.
        octaves: number of fields; each has half the width and 0.6 of the strength of the one before.

    Returns:
        (H, W) float32, mean 0, standard deviation 1.
    """
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        total += np.float32(0.6**octave) * smooth_noise(rng, size, max(1.0, cell / 2**octave))
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), dtype=np.float32)
