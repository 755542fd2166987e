"""Colour spaces in which colours are clustered."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

COLOUR_SPACES = ("rgb", "lab", "luv", "hsv", "ycrcb", "grey")
"""The names that are understood."""


def colours_of(pixels: NDArray[np.uint8], space: str) -> NDArray[np.float32]:
    """Return the colours of pixels as points whose distances can be compared.

    Args:
        pixels: (h, w, 3) uint8 RGB.
        space: one of :data:`COLOUR_SPACES`.

    Returns:
        (h * w, C) float32, row by row. ``rgb``, ``ycrcb`` and ``grey`` in 0..1; ``lab`` and ``luv`` in their own
        units over 100; ``hsv`` as the points (s cos h, s sin h, v) of a cylinder, because a hue is an angle
        and reds lie on both of its ends.
    """
    unit = pixels.astype(np.float32) / np.float32(255)
    if space == "rgb":
        return unit.reshape(-1, 3)
    if space in ("lab", "luv"):
        code = cv2.COLOR_RGB2LAB if space == "lab" else cv2.COLOR_RGB2LUV
        return np.asarray(cv2.cvtColor(unit, code) / np.float32(100), dtype=np.float32).reshape(-1, 3)
    if space == "hsv":
        hue, saturation, value = cv2.cvtColor(unit, cv2.COLOR_RGB2HSV).reshape(-1, 3).T
        angle = np.deg2rad(hue)
        return np.stack([saturation * np.cos(angle), saturation * np.sin(angle), value], axis=1).astype(np.float32)
    code = cv2.COLOR_RGB2YCrCb if space == "ycrcb" else cv2.COLOR_RGB2GRAY
    return np.asarray(cv2.cvtColor(unit, code), dtype=np.float32).reshape(pixels.shape[0] * pixels.shape[1], -1)
