"""Candidates: what spatial phrases choose among, and the names of their colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import Mask, Prompt

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms, which measured colours and phrases share."""

Measured = tuple[float | None, Mapping[str, float]]
"""Mean luminance in 0..1 or None, and shares in 0..1 of the basic colour terms."""


class Look:
    """Brightness and colours of a thing, measured when somebody first asks for one of them.

    Args:
        measure: returns both; what it holds is let go once it has been called.
    """

    __slots__ = ("_measure", "_measured")

    def __init__(self, measure: Callable[[], Measured]) -> None:
        self._measure: Callable[[], Measured] | None = measure
        self._measured: Measured = (None, {})

    def __call__(self) -> Measured:
        """Return the brightness and the colours, as :class:`Candidate` has them."""
        measure = self._measure
        if measure is not None:  # two threads may both measure, to the same end
            self._measured = measure()
            self._measure = None
        return self._measured

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Look) and self() == other()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Look{self._measured}" if self._measure is None else "Look(not measured yet)"


@dataclass(frozen=True, slots=True, init=False)
class Candidate:
    """One thing in the image that an instruction may mean.

    Args:
        prompt: where it is (a box at least), what it is called, how sure that is.
        area: number of pixels of the target itself, or None when only its box is known.
        length: its longest extent in pixels, or None.
        roundness: 1 for a disc, towards 0 for lines and jagged things, or None.
        brightness: mean luminance in 0..1, or None.
        colours: share of its pixels per basic colour term (see ``COLOURS``), in 0..1, as measured
            (:func:`measure_colours`) or as judged against what is around it (:func:`judge_colours`).
        mask: its pixels, where who found it drew them.
        look: measures brightness and colours, in place of these two: few instructions ask for them.
    """

    prompt: Prompt
    area: float | None
    length: float | None
    roundness: float | None
    mask: Mask | None
    look: Look

    def __init__(
        self,
        prompt: Prompt,
        area: float | None = None,
        length: float | None = None,
        roundness: float | None = None,
        brightness: float | None = None,
        colours: Mapping[str, float] | None = None,
        mask: Mask | None = None,
        look: Look | None = None,
    ) -> None:
        if prompt.box is None:
            raise GeometryError("a candidate needs a box")
        seen = look or Look(lambda: (brightness, colours or {}))
        values = {"prompt": prompt, "area": area, "length": length, "roundness": roundness, "mask": mask, "look": seen}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def brightness(self) -> float | None:
        """Mean luminance in 0..1, or None where nobody measured it."""
        return self.look()[0]

    @property
    def colours(self) -> Mapping[str, float]:
        """Share of its pixels per basic colour term in 0..1; empty where nobody measured them."""
        return self.look()[1]


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
    return _brightness(rgb), colour_shares(rgb)


def _brightness(rgb: NDArray[np.uint8]) -> float:
    return float((rgb @ _LUMINANCE).mean() / 255)


def quantile(values: ArrayLike, share: float) -> NDArray[np.float64]:
    """Return what a share in 0..1 of (N, ...) values lies below, along the first axis, linear between two of them.

    NumPy's own loads its masked arrays first, which takes as long as finding out the rest of a picture's colours.
    """
    ordered = np.sort(values, axis=0)
    place = (len(ordered) - 1) * share
    low, high = (ordered[index].astype(np.float64) for index in (math.floor(place), math.ceil(place)))
    return np.asarray(low + (place - math.floor(place)) * (high - low))


_NEUTRAL = ("black", "grey", "white")
_MOST_JUDGED = 4096
"""Pixels that are looked at of one thing, taken at even steps."""
_CAST, _CAST_LIMIT, _CAST_CHROMA = 0.6, 16.0, 25.0
"""Part of the chroma of the surroundings that is taken off the thing, its highest chroma, and above which none is."""
_CATCHING = 1.8
"""A colourful pixel counts as this many colourless ones: white planes with blue backs are blue."""
_SHADED, _ALL_BLACK, _LIT = 0.6, 0.8, 0.25
"""A thing is black with this share of black pixels; with less than the third share of lit ones, the first is enough."""
_WHITE, _ABOVE, _WHITE_SHARE = 60.0, 8.0, 0.3
"""A colourless thing is white from this CIELAB lightness on, this far above its surroundings, or with this share."""
_DARK = 35.0
_RED_HUE, _ORANGE_HUE, _ORANGE_LIGHT = 17.0, 30.0, 52.0
"""Brown pixels of a thing are red below the first hue, and orange below the second where they are as light."""


def judge_colours(rgb: NDArray[np.uint8], ground: ArrayLike) -> tuple[float, dict[str, float]]:
    """Judge the colours of a thing as people do: against what is around it, without its shadow and its windows.

    A part of the cast of the surroundings (haze, water, asphalt) is taken off. Black pixels do not count where a
    quarter of the thing is lit. A colourless thing is white when it is light and lighter than the surroundings; dull
    reds and oranges are not brown. The limits were set on half of 112 things of aerial pictures that were named by
    hand (``examples/score_colours.py``).

    Args:
        rgb: (N, 3) pixels of the thing.
        ground: the median red, green and blue of its surroundings, 0..255 each.

    Returns:
        The mean luminance of the pixels that count, in 0..1, and their shares in 0..1 of the basic colour terms,
        colourful ones weighted up, the most frequent first.

    Example:
        >>> ship = np.full((50, 3), (187, 203, 203), np.uint8)
        >>> judge_colours(ship, (40, 60, 80))[1], judge_colours(ship, (200, 200, 200))[1]
        ({'white': 1.0}, {'grey': 1.0})
    """
    some = rgb[:: -(-len(rgb) // _MOST_JUDGED)]
    own, around = _lab(some), _lab(np.asarray(ground, dtype=np.float64)[None])[0]
    cast, chroma = around[1:], float(np.hypot(*around[1:]))
    seen = own.copy()
    if 0 < chroma <= _CAST_CHROMA:
        seen[:, 1:] -= _CAST * min(1.0, _CAST_LIMIT / chroma) * cast
    names = _named_things(seen)
    black = names == "black"
    lit = float((seen[:, 0] > around[0] + 10).mean()) >= _LIT
    colourful = float((~np.isin(names, _NEUTRAL)).mean())
    dark = (seen[:, 0] < _DARK).mean() >= _SHADED and around[0] - quantile(seen[:, 0], 0.5) > 15 and colourful < 0.5
    if black.mean() > _ALL_BLACK or (not lit and (black.mean() >= _SHADED or dark)):
        return _brightness(some), {"black": 1.0}
    kept = names[~black]
    weights = {name: float((kept == name).sum()) * (1 if name in _NEUTRAL else _CATCHING) for name in COLOURS}
    light = float(quantile(own[~black, 0], 0.75))
    if weights["grey"] and (
        (light > _WHITE and light - around[0] > _ABOVE) or weights["white"] > _WHITE_SHARE * len(names)
    ):
        weights["white"] += weights.pop("grey")
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items() if weight}
    return _brightness(some[~black]), dict(sorted(shares.items(), key=lambda item: -item[1]))


# OpenCV needs an eighth of a second to fill its tables before it knows the first CIELAB value, and rounds by them.
_XYZ = np.array([[0.412453, 0.212671, 0.019334], [0.357580, 0.715160, 0.119193], [0.180423, 0.072169, 0.950227]])
_TO_XYZ = _XYZ / _XYZ.sum(axis=0)
"""sRGB's red, green and blue (rows) in CIE XYZ (columns) relative to the white D65 (ITU-R BT.709)."""
_FROM_XYZ = np.linalg.inv(_TO_XYZ)


def _lab(rgb: ArrayLike) -> NDArray[np.float64]:
    """Return CIELAB values (N, 3), lightness in 0..100, of sRGB's red, green and blue in 0..255 (CIE 15, IEC 61966)."""
    values = np.asarray(rgb, dtype=np.float64) / 255
    xyz = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ _TO_XYZ
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the red, green and blue in 0..1, (N, 3), that are nearest to CIELAB values."""
    y = (lab[:, 0] + 16) / 116
    roots = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * 3 * (6 / 29) ** 2)
    values = np.clip(xyz @ _FROM_XYZ, 0, 1)
    return np.asarray(np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055))


def _hue(rgb: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return HSV's hue in 0..360 and saturation in 0..1, (N,) each, of red, green and blue in 0..1."""
    import cv2  # here, because phrases need no colours of pixels

    hue, saturation, _ = cv2.cvtColor(rgb.astype(np.float32)[None], cv2.COLOR_RGB2HSV)[0].astype(np.float64).T
    return hue, saturation


def _named_things(lab: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name the pixels (N, 3) of a thing; dull reds and light oranges are not called brown."""
    rgb = _rgb(lab)
    light, a, b = _lab(rgb * 255).T
    hue, saturation = _hue(rgb)
    chroma = np.hypot(a, b)
    names = _named(light, chroma, hue, saturation)
    brown = names == "brown"
    red = brown & ((hue < _RED_HUE) | (hue > 340)) & (chroma > 12)
    orange = brown & (hue >= _RED_HUE) & (hue < _ORANGE_HUE) & (light > _ORANGE_LIGHT)
    return np.select([red, orange], ["red", "orange"], default=names)


@cache
def _table() -> NDArray[np.uint8]:
    """Name the middle of every cell of the RGB cube."""
    middle = (np.arange(_STEPS) + 0.5) / _STEPS
    cube = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(cube * 255)
    names = _named(lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]), *_hue(cube))
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
