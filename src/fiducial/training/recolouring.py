"""Colours as other cameras, lights and files would give them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.segmenters.nano_network import Array


def recoloured(colours: Array, random: np.random.Generator) -> Array:
    """Change a crop's colours as other cameras, lights and files would.

    Args:
        colours: (S, S, 3) float32 in 0..255.
        random: where chance comes from.

    Returns:
        The same shape and range: gamma, tint, grey, blur and noise, each now and then.
    """
    result: NDArray[Any] = colours
    if random.random() < 0.5:
        result = 255 * (result / 255) ** np.float32(np.exp(random.uniform(-0.4, 0.4)))
    if random.random() < 0.3:
        result = result * random.uniform(0.8, 1.2, 3).astype(np.float32)
    if random.random() < 0.12:
        result = np.repeat(result.mean(axis=2, keepdims=True), 3, axis=2)
    if random.random() < 0.2:
        result = cv2.GaussianBlur(result, (0, 0), random.uniform(0.3, 1.3))
    if random.random() < 0.3:
        result = result + random.normal(0, random.uniform(1, 9), result.shape).astype(np.float32)
    return np.asarray(np.clip(result, 0, 255), np.float32)
