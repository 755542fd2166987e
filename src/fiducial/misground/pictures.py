"""Pictures of items: a slice at square pixels, with names, boxes, points or masks drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.misground.anatomy import Anatomy
from fiducial.misground.items import IMAGES, Prompt
from fiducial.misground.names import readable
from fiducial.misground.wording import COLOURS
from fiducial.overlays.colours import NAMED
from fiducial.overlays.drawing import disc, rectangle, tint
from fiducial.overlays.text import line_height, stamp, text_coverage, text_width
from fiducial.volumes.planes import Plane, View
from fiducial.volumes.windows import Window

GROUND = 40
"""Grey of a blank background, 0..255."""
_OPACITY = 0.45
_LETTERS, _LEAST_LETTERS = 15, 9
_LETTERS_AT = 448
"""Pixels of the longer side from which names are full size; on smaller pictures they would hide each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a picture shows; equal ones are one file.

    Args:
        volume: its name.
        index: of the slice.
        prompt: what is drawn.
        blank: without the scan.
        marks: structures and the places of their colours.
    """

    volume: str
    plane: Plane
    view: View
    index: int
    prompt: Prompt
    blank: bool
    marks: tuple[tuple[int, int], ...]

    @property
    def path(self) -> str:
        """Its file below the benchmark's folder."""
        marked = "".join(f"-{label}{COLOURS[colour][0]}" for label, colour in self.marks)
        ground = "-blank" if self.blank else ""
        drawn = f"-{self.prompt}{marked}" if self.prompt != "none" else ""
        return f"{IMAGES}/{self.volume}/{self.plane}-{self.index:04d}-{self.view}{ground}{drawn}.png"


class Painter:
    """Paints the pictures of one volume.

    Args:
        anatomy: the volume with its labels.
        window: the values shown as black and white.
        size: pixels of the longer side, at least; slices are enlarged to it and never made smaller.
    """

    def __init__(self, anatomy: Anatomy, window: Window, size: int) -> None:
        self._anatomy, self._window, self._size = anatomy, window, size
        self._scan = lru_cache(maxsize=64)(self._scanned)

    def paint(self, picture: Picture) -> NDArray[np.uint8]:
        """Paint a picture, (height, width, 3) uint8 RGB; its pixels are square in mm."""
        plane, view, index = picture.plane, picture.view, picture.index
        pixels = np.array(self._scan(plane, view, index))
        if picture.blank:
            pixels[...] = GROUND
        if not picture.marks:
            return pixels
        width, height = self._anatomy.slicing(plane, view).size
        scale = pixels.shape[1] / width, pixels.shape[0] / height
        taken: list[tuple[int, int, int, int]] = []
        letters = min(_LETTERS, max(_LEAST_LETTERS, round(_LETTERS * max(pixels.shape[:2]) / _LETTERS_AT)))
        for label, place in picture.marks:
            colour = NAMED[COLOURS[place]]
            section = self._anatomy.section(label, plane, index, view)
            at = section.point[0] * scale[0], section.point[1] * scale[1]
            if picture.prompt == "box":
                box = [edge * scale[number % 2] for number, edge in enumerate(section.box)]
                rectangle(pixels, (box[0], box[1], box[2], box[3]), colour, 2)
            elif picture.prompt == "point":
                disc(pixels, at, 7.0, (0, 0, 0))
                disc(pixels, at, 5.5, colour)
            elif picture.prompt == "mask":
                self._tint(pixels, picture, label, colour)
            else:
                _write(pixels, at, readable(self._anatomy.name(label)), letters, taken)
        return pixels

    def _tint(self, pixels: NDArray[np.uint8], picture: Picture, label: int, colour: tuple[int, int, int]) -> None:
        import cv2

        shown = self._anatomy.slicing(picture.plane, picture.view).slice(self._anatomy.labels.array, picture.index)
        mask = np.ascontiguousarray((shown == label).astype(np.uint8) * 255)
        size = pixels.shape[1], pixels.shape[0]
        coverage = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
        hard = np.where(coverage >= 128, 255, 0).astype(np.uint8)
        tint(pixels, hard, 0, 0, colour, 1.0 if picture.blank else _OPACITY)

    def _scanned(self, plane: Plane, view: View, index: int) -> NDArray[np.uint8]:
        import cv2

        volume, slicing = self._anatomy.volume, self._anatomy.slicing(plane, view)
        grey: Any = volume.picture(slicing, index, self._window).pixels
        across, down, _ = slicing.spacing
        width, height = slicing.size[0] * across, slicing.size[1] * down
        scale = max(self._size / max(width, height), 1 / min(across, down))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _write(
    pixels: NDArray[np.uint8],
    at: tuple[float, float],
    text: str,
    size: int,
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Write a name beside a dot on its place, white on a dark rim, where no other name stands; ``taken`` grows."""
    height, width = pixels.shape[:2]
    disc(pixels, at, 4.0, (0, 0, 0))
    disc(pixels, at, 3.0, (255, 255, 255))
    long, tall = text_width(text, size, bold=True), line_height(size)
    right, left = round(at[0]) + 6, round(at[0]) - 6 - long
    x = right if right + long + 2 <= width else max(left, 2)
    wanted = round(at[1]) - tall // 2
    rows = [wanted + step * sign * tall for step in range(6) for sign in ((1,) if step == 0 else (1, -1))]
    inside = [row for row in rows if 2 <= row <= height - tall - 2] or [max(2, min(wanted, height - tall - 2))]
    y = next((row for row in inside if not any(_meet((x, row, long, tall), other) for other in taken)), inside[0])
    taken.append((x, y, long, tall))
    letters = text_coverage(text, size, bold=True)
    for across in (-1, 0, 1):
        for down in (-1, 0, 1):
            stamp(pixels, letters, x + across, y + down, (0, 0, 0))
    stamp(pixels, letters, x, y, (255, 255, 255))


def _meet(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    """Tell whether two areas x, y, width, height overlap."""
    apart = [
        first[axis] >= second[axis] + second[axis + 2] or second[axis] >= first[axis] + first[axis + 2]
        for axis in (0, 1)
    ]
    return not any(apart)
