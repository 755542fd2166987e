"""Clear colours: what a thing's colour certainly is, and what it certainly is not.

A pixel near the border between two colour terms may be called either. Names of which a person could be in doubt
are therefore kept apart from names that are certain: an expression may only use certain ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter

from fiducial.language.candidates import COLOURS
from fiducial.language.colours import colour_names

CLEAR = 0.45
"""A thing clearly has a hue when this share of its pixels has it ..."""
CLEAR_OF_HUES = 0.75
"""... and this share of those that have any hue: cars have dark windows and white roofs."""
CLEAR_GREYS = 0.6
"""A thing clearly is black, white or grey when this share of its pixels is."""
CERTAIN = 0.3
"""Of its pixels, this share must have the colour certainly, that is away from the borders of the term."""
POSSIBLE, ALMOST = 0.15, 0.35
"""A thing may be called by a colour from this share on, or from that share of pixels near the term's borders."""
_GREYS = ("black", "white", "grey")
_STEPS = 32
_REACH = 1
"""Neighbouring cells of 8 x 8 x 8 RGB values within which another observer's borders may lie."""


@dataclass(frozen=True, slots=True)
class ColourReading:
    """What can be said of one thing's colour.

    Args:
        shares: share of its pixels per colour term, in 0..1, as ``Candidate.colours``.
        clear: the terms that it certainly has: one, or none.
        possible: the terms that somebody could use for it.
    """

    shares: dict[str, float]
    clear: frozenset[str]
    possible: frozenset[str]


def read_colours(pixels: ArrayLike) -> ColourReading:
    """Read the colours of a thing from its pixels.

    Args:
        pixels: (N, 3) uint8 RGB, one pixel at least.
    """
    rgb = np.asarray(pixels, dtype=np.uint8).reshape(-1, 3)
    named = np.bincount(colour_names(rgb), minlength=len(COLOURS)) / len(rgb)
    cells = rgb // (256 // _STEPS)
    bits = _bits()[cells[:, 0], cells[:, 1], cells[:, 2]]
    certain = np.array([(bits == 1 << k).mean() for k in range(len(COLOURS))])
    possible = np.array([(bits & (1 << k) != 0).mean() for k in range(len(COLOURS))])
    most = COLOURS[int(np.argmax(named))]
    near = {COLOURS[k] for k in np.flatnonzero((named >= POSSIBLE) | (possible >= ALMOST))}
    shares = {COLOURS[k]: float(named[k]) for k in np.argsort(-named, kind="stable") if named[k] > 0}
    is_certain = certain[COLOURS.index(most)] >= CERTAIN and _is_clear(most, shares)
    return ColourReading(shares, frozenset({most} if is_certain else ()), frozenset(near | {most}))


def _is_clear(colour: str, shares: dict[str, float]) -> bool:
    if colour in _GREYS:
        return shares[colour] >= CLEAR_GREYS
    hues = sum(share for name, share in shares.items() if name not in _GREYS)
    return shares[colour] >= max(CLEAR, CLEAR_OF_HUES * hues)


def stated_colour(colour: str) -> ColourReading:
    """Return the reading of a thing whose colour is known because it was drawn so."""
    return ColourReading({colour: 1.0}, frozenset({colour}), frozenset({colour}))


def inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the mixed colours of a mask's rim, unless little would be left.

    Args:
        mask: (H, W) bool.
    """
    core = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return np.asarray(core if core.sum() * 4 >= mask.sum() else mask).astype(bool)


@cache
def _bits() -> NDArray[np.uint16]:
    """Return, per cell of the RGB cube, one bit for each term that occurs in its neighbourhood."""
    levels = (np.arange(_STEPS) * (256 // _STEPS)).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    names = colour_names(cube)
    bits = np.zeros(names.shape, dtype=np.uint16)
    for k in range(len(COLOURS)):
        near = maximum_filter((names == k).astype(np.uint8), size=2 * _REACH + 1, mode="nearest")
        bits |= near.astype(np.uint16) << np.uint16(k)
    bits.setflags(write=False)
    return bits
