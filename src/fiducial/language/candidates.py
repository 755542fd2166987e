"""Candidates: what spatial phrases choose among, and the names of their colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import Prompt

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms, which measured colours and phrases share."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing in the image that an instruction may mean.

    Args:
        prompt: where it is (a box at least), what it is called, how sure that is.
        area: number of pixels of the target itself, or None when only its box is known.
        length: its longest extent in pixels, or None.
        roundness: 1 for a disc, towards 0 for lines and jagged things, or None.
        brightness: mean luminance in 0..1, or None.
        colours: share of its pixels per basic colour term (see ``COLOURS``), in 0..1.
    """

    prompt: Prompt
    area: float | None = None
    length: float | None = None
    roundness: float | None = None
    brightness: float | None = None
    colours: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.prompt.box is None:
            raise GeometryError("a candidate needs a box")


_LUMINANCE = np.array([0.299, 0.587, 0.114])
_STEPS = 32
"""The table has one entry per 8 x 8 x 8 values of red, green and blue."""


def colour_names(rgb: ArrayLike) -> NDArray[np.uint8]:
    """Name the colour of each of (..., 3) uint8 RGB pixels: (...) uint8 indices into :data:`COLOURS`."""
    cells = np.asarray(rgb, dtype=np.uint8) // (256 // _STEPS)
    return np.asarray(_table()[cells[..., 0], cells[..., 1], cells[..., 2]])


def colour_shares(rgb: ArrayLike) -> dict[str, float]:
    """Return the shares in 0..1 of the basic colour terms among (..., 3) uint8 RGB pixels, the most frequent first."""
    counts = np.bincount(colour_names(rgb).ravel(), minlength=len(COLOURS))
    order = np.argsort(-counts, kind="stable")
    return {COLOURS[k]: float(counts[k] / counts.sum()) for k in order if counts[k]}


def measure_colours(rgb: NDArray[np.uint8]) -> tuple[float, dict[str, float]]:
    """Return the mean luminance of pixels (..., 3) in 0..1, and their :func:`colour_shares`."""
    return float((rgb @ _LUMINANCE).mean() / 255), colour_shares(rgb)


@cache
def _table() -> NDArray[np.uint8]:
    """Name the middle of every cell of the RGB cube."""
    import cv2  # here, because phrases need no colours of pixels

    middle = (np.arange(_STEPS) + 0.5) / _STEPS
    cube = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).astype(np.float32)
    flat = cube.reshape(1, -1, 3)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    hue, saturation, _ = np.moveaxis(cv2.cvtColor(flat, cv2.COLOR_RGB2HSV)[0].astype(np.float64), -1, 0)
    names = _named(lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]), hue, saturation)
    table = np.array([COLOURS.index(name) for name in names], dtype=np.uint8).reshape((_STEPS,) * 3)
    table.setflags(write=False)
    return table


def _named(
    light: NDArray[np.float64], chroma: NDArray[np.float64], hue: NDArray[np.float64], saturation: NDArray[np.float64]
) -> NDArray[np.str_]:
    """Name colours by CIELAB lightness 0..100 and chroma, HSV hue 0..360 and saturation 0..1.

    The hue decides between the chromatic terms. Warm colours that are dark or dull are brown, light
    reds and magentas are pink, and what has hardly any chroma is black, grey or white. The borders
    were set by hand around what the terms are commonly used for.
    """
    warm = (hue >= 12) & (hue < 42)
    dull = (light < 45) | ((chroma < 58) & (light < 63)) | ((chroma < 50) & (light < 78))
    brownish = warm & dull
    dim_red = (hue >= 2) & (hue < 12) & (light < 45) & (saturation < 0.8)
    rosy = (hue >= 312) | (hue < 16)
    pink = rosy & (light > 58) & ((saturation < 0.62) | ((hue >= 312) & (hue < 345)))
    # Very dark colours lose their hue to the eye, very light ones need more chroma to show theirs.
    pale = chroma < np.where(light > 87, 11.0, 9.0) + 0.06 * np.maximum(light - 60, 0)
    dark = (light < 10) | ((light < 18) & (chroma < 22))
    rules = [
        ((light < 22) & pale, "black"),
        (dark, "black"),
        ((light > 87) & pale, "white"),
        (pale, "grey"),
        (pink, "pink"),
        (brownish | dim_red, "brown"),
        ((hue < 12) | (hue >= 340), "red"),
        (hue < 42, "orange"),
        ((hue < 68) & (light > 58), "yellow"),
        (hue < 172, "green"),
        (hue < 256, "blue"),
        (hue < 322, "purple"),
    ]
    return np.select([rule for rule, _ in rules], [name for _, name in rules], default="pink")
