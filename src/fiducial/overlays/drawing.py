"""Strokes, tints, badges, points and panels: drawn in place onto pixels, in continuous image coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiducial.overlays.colours import Colour, readable_on
from fiducial.overlays.text import stamp, text_coverage

Pixels = NDArray[np.uint8]

_SHIFT = 4  # OpenCV reads coordinates with this many binary digits after the point
_MAX_CONTOURS = 20_000
_FAR = 1e5  # beyond this its fixed-point numbers could run over


def stroke_width(width: int, height: int) -> int:
    """Choose a stroke, in pixels, that can be seen on a picture of this size and does not hide it."""
    return max(1, round(math.sqrt(width * height) / 300))


def tint(pixels: Pixels, coverage: NDArray[np.uint8], x: int, y: int, colour: Colour, opacity: float) -> None:
    """Colour an area that begins at (x, y) and lies inside the pixels, in place, with an opacity in 0..1.

    The (h, w) uint8 coverage is 0 outside the area, 255 inside, between the two on soft edges.
    """
    import cv2

    height, width = coverage.shape
    under = pixels[y : y + height, x : x + width]
    levels = np.arange(256, dtype=np.float64)[:, None]
    table = np.rint(levels + (np.asarray(colour) - levels) * opacity).astype(np.uint8)
    full = cv2.LUT(np.ascontiguousarray(under), table[None])
    hard = coverage == 255
    soft = (coverage > 0) & ~hard
    np.copyto(under, full, where=hard[..., None])
    share = coverage[soft][:, None].astype(np.uint32)
    under[soft] = (share * full[soft] + (255 - share) * under[soft] + 127) // 255


def outline(pixels: Pixels, inside: NDArray[np.bool_], x: int, y: int, colour: Colour, width: int) -> None:
    """Draw a smooth line around an (h, w) area that begins at (x, y), in place, along its outermost pixels.

    An area of more than 20,000 pieces and holes is noise: there the outermost pixels themselves are coloured.
    """
    import cv2

    area = inside.view(np.uint8)
    contours, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    if len(contours) > _MAX_CONTOURS:  # noise: smooth lines would take minutes and show nothing more
        edge = inside & (cv2.erode(area, np.ones((3, 3), dtype=np.uint8)) == 0)
        pixels[y : y + inside.shape[0], x : x + inside.shape[1]][edge] = colour
        return
    cv2.drawContours(pixels, contours, -1, colour, width, cv2.LINE_AA)


def rectangle(pixels: Pixels, box: Sequence[float], colour: Colour, width: int) -> None:
    """Draw a box with crisp edges, in place; the stroke is centred on the edge and kept inside the picture."""
    height_all, width_all = pixels.shape[:2]
    half = width / 2
    left, top = (math.floor(value - half + 0.5) for value in box[:2])
    right, bottom = (math.floor(value + half + 0.5) for value in box[2:])
    left, right = (min(max(value, 0), width_all) for value in (left, right))
    top, bottom = (min(max(value, 0), height_all) for value in (top, bottom))
    inner_top, inner_bottom = min(top + width, bottom), max(bottom - width, top)
    pixels[top:inner_top, left:right] = colour
    pixels[inner_bottom:bottom, left:right] = colour
    pixels[top:bottom, left : min(left + width, right)] = colour
    pixels[top:bottom, max(right - width, left) : right] = colour


def disc(pixels: Pixels, centre: Sequence[float], radius: float, colour: Colour) -> None:
    """Fill a disc with smooth edges, in place."""
    import cv2

    cv2.circle(pixels, _fixed(centre), max(1, round(radius * 2**_SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def segment(pixels: Pixels, start: Sequence[float], end: Sequence[float], colour: Colour, width: int) -> None:
    """Draw a straight line with smooth edges, in place."""
    import cv2

    cv2.line(pixels, _fixed(start), _fixed(end), colour, max(1, width), cv2.LINE_AA, _SHIFT)


def badge(pixels: Pixels, centre: Sequence[float], radius: float, text: str, colour: Colour) -> None:
    """Draw a disc with a short text in its middle and a thin rim, in place."""
    ink = readable_on(colour)
    disc(pixels, centre, radius, ink)
    disc(pixels, centre, radius - max(1.0, radius * 0.09), colour)
    share = {1: 1.45, 2: 1.2}.get(len(text), 2.2 / len(text))
    letters = text_coverage(text, max(6, round(radius * share)), bold=True)
    rows, columns = (np.flatnonzero(letters.any(axis=axis)) for axis in (1, 0))
    letters = letters[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    x = math.floor(centre[0] - letters.shape[1] / 2 + 0.5)
    y = math.floor(centre[1] - letters.shape[0] / 2 + 0.5)
    stamp(pixels, letters, x, y, ink)


def point(pixels: Pixels, at: Sequence[float], radius: float, colour: Colour, *, positive: bool) -> None:
    """Draw a prompt's point, in place: a disc with a plus on the target, a white disc with a cross beside it."""
    black, white = (0, 0, 0), (255, 255, 255)
    fill = colour if positive else white
    stroke = max(1, round(radius * 0.28))
    disc(pixels, at, radius + max(1.5, radius * 0.3), black)
    disc(pixels, at, radius + max(0.8, radius * 0.12), white if positive else colour)
    disc(pixels, at, radius, fill)
    x, y = at
    arm = radius * (0.55 if positive else 0.42)
    sign = readable_on(colour) if positive else (200, 0, 0)
    turns = ((arm, 0.0), (0.0, arm)) if positive else ((arm, arm), (arm, -arm))
    for across, down in turns:
        segment(pixels, (x - across, y - down), (x + across, y + down), sign, stroke)


def panel(pixels: Pixels, area: Sequence[int], radius: int, colour: Colour, rim: Colour | None = None) -> None:
    """Fill an area x, y, width, height with round corners, in place; a rim lies outside it and is one pixel wide."""
    x, y, width, height = area
    if rim is not None:
        panel(pixels, (x - 1, y - 1, width + 2, height + 2), radius + 1, rim)
    radius = max(0, min(radius, width // 2, height // 2))
    # How far each pixel's centre lies beyond the straight part of its side, along x and along y.
    across, down = (
        np.maximum(np.abs(np.arange(length) + 0.5 - length / 2) - (length / 2 - radius), 0.0)
        for length in (width, height)
    )
    ink = np.clip(radius + 0.5 - np.hypot(across[None, :], down[:, None]), 0.0, 1.0)
    stamp(pixels, np.rint(ink * 255).astype(np.uint8), x, y, colour)


def _fixed(place: Sequence[float]) -> tuple[int, int]:
    """Turn continuous coordinates into OpenCV's, in which whole numbers are the centres of pixels."""
    x, y = (min(max(value, -_FAR), _FAR) for value in place)
    return round((x - 0.5) * 2**_SHIFT), round((y - 0.5) * 2**_SHIFT)
