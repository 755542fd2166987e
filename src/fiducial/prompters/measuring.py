"""Measuring: what pixels look like, for prompters whose candidates are chosen by colour and brightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiducial.language.candidates import colour_shares

_LUMINANCE = np.array([0.299, 0.587, 0.114])


def look_of(rgb: NDArray[np.uint8]) -> tuple[float, dict[str, float]]:
    """Measure how pixels look.

    Args:
        rgb: (..., 3) uint8 red, green, blue; one pixel at least.

    Returns:
        The mean luminance in 0..1, and the share of each basic colour term in 0..1, the most frequent first.
    """
    return float((rgb @ _LUMINANCE).mean() / 255), colour_shares(rgb)
