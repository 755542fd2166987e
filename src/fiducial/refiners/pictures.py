"""Pictures of a refiner's way, for people: what was cut out, split, chosen and moved."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.images import Image
from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import outline, point, stroke_width, tint
from fiducial.overlays.text import stamp, text_coverage
from fiducial.refiners.crops import Crop, Window, off_centre
from fiducial.refiners.regions import Region

Pixels = NDArray[np.uint8]

SHOWN = 480
"""Longest edge of a picture in pixels; what is smaller is enlarged in whole steps, so that its pixels can be seen."""

_DARK: Colour = (20, 20, 24)
_SIDES: tuple[Colour, Colour] = ((40, 90, 200), (250, 170, 40))
_BAND: Colour = (255, 215, 0)
_BEFORE: Colour = (255, 90, 90)
_AFTER: Colour = (60, 230, 120)


def point_pictures(
    crop: Crop,
    second: NDArray[np.bool_],
    labels: NDArray[np.int32],
    regions: Sequence[Region],
    best: Region | None,
    reach: float,
) -> dict[str, Pixels]:
    """Draw the way to a foreground point: crop, clusters, regions with their convexity, point.

    Args:
        crop: the crop.
        second: (h, w) bool, True on the second cluster.
        labels: (h, w) numbers of the regions.
        regions: those that qualified; the others are left grey.
        best: the chosen one, or None.
        reach: how far off the middle a point may lie; drawn as an ellipse. A point beyond it is crossed out.
    """
    plain = _enlarged(crop.pixels)
    size = plain.shape[:2]
    clusters = _enlarged(np.where(second[..., None], _SIDES[1], _SIDES[0]).astype(np.uint8))
    mixed = np.asarray(cv2.addWeighted(plain, 0.35, clusters, 0.65, 0), dtype=np.uint8)
    pictures = {"crop": plain, "clusters": mixed, "regions": _regions(plain, labels, regions)}
    if best is not None:
        shown = plain.copy()
        near = off_centre(best.point, crop) <= reach
        colour = _AFTER if near else _BEFORE
        _edge(shown, _stretched(labels == best.label, size), colour)
        if reach < math.sqrt(2):  # the corners
            middle, axes = (size[1] // 2, size[0] // 2), (round(reach * size[1] / 2), round(reach * size[0] / 2))
            cv2.ellipse(shown, middle, axes, 0, 0, 360, (255, 255, 255), 1, cv2.LINE_AA)
        scale = size[1] / labels.shape[1], size[0] / labels.shape[0]
        at = best.point[0] * scale[0], best.point[1] * scale[1]
        point(shown, at, max(5.0, max(size) / 45), colour, positive=near)
        pictures["point"] = shown
    return pictures


def boundary_pictures(
    image: Image, window: Window, before: NDArray[np.bool_], after: NDArray[np.bool_], band: NDArray[np.bool_]
) -> dict[str, Pixels]:
    """Draw the way of an edge: the band, the mask before and after.

    Args:
        image: the image.
        window: the piece of it that was worked on.
        before: (height, width) bool, the mask in the window.
        after: likewise, the result of the cut.
        band: (h, w) bool at working size, what may change.
    """
    x, y, width, height = window
    plain = _enlarged(np.ascontiguousarray(image.pixels[y : y + height, x : x + width]))
    size = plain.shape[:2]
    free = plain.copy()
    tint(free, _stretched(band, size).astype(np.uint8) * 255, 0, 0, _BAND, 0.6)
    pictures = {"band": free}
    for name, inside, colour in (("before", before, _BEFORE), ("after", after, _AFTER)):
        shown = plain.copy()
        _edge(shown, _stretched(inside, size), colour)
        pictures[name] = shown
    return pictures


def _regions(plain: Pixels, labels: NDArray[np.int32], regions: Sequence[Region]) -> Pixels:
    """Tint the regions that qualified and write the convexity on each."""
    size = plain.shape[:2]
    grey = np.asarray(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    shown: Pixels = np.repeat(grey[..., None], 3, axis=2) // 2 + 60
    for number, region in enumerate(regions):
        inside = _stretched(labels == region.label, size)
        tint(shown, inside.astype(np.uint8) * 255, 0, 0, palette_colour(number), 0.6)
        _edge(shown, inside, palette_colour(number))
    letters_size = max(11, round(max(size) / 26))
    for number, region in enumerate(regions):
        letters = text_coverage(f"{region.convexity:.2f}", letters_size, bold=True)
        x = round(region.point[0] * size[1] / labels.shape[1] - letters.shape[1] / 2)
        y = round(region.point[1] * size[0] / labels.shape[0] - letters.shape[0] / 2)
        x, y = (
            min(max(v, 0), max(0, end - n)) for v, end, n in zip((x, y), size[::-1], letters.shape[::-1], strict=True)
        )
        stamp(shown, letters, x, y, readable_on(palette_colour(number)))
    return shown


def _enlarged(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > SHOWN:
        size = (max(1, round(width * SHOWN / longest)), max(1, round(height * SHOWN / longest)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    times = max(1, SHOWN // longest)
    return np.ascontiguousarray(np.repeat(np.repeat(pixels, times, axis=0), times, axis=1))


def _stretched(inside: NDArray[np.bool_], size: Sequence[int]) -> NDArray[np.bool_]:
    return np.asarray(cv2.resize(inside.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST) > 0)


def _edge(pixels: Pixels, inside: NDArray[np.bool_], colour: Colour) -> None:
    width = max(1, 2 * stroke_width(pixels.shape[1], pixels.shape[0]))
    outline(pixels, inside, 0, 0, _DARK, width + 2)
    outline(pixels, inside, 0, 0, colour, width)
