"""The canvas: anti-aliased painting that keeps account of which thing owns which pixel, and the scene it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.geometry import Mask
from fiducial.images import Image

Alpha = NDArray[np.float32]
Window = tuple[slice, slice]
_SHIFT = 6
_FINE = 4
NOBODY = -1


class Canvas:
    """A picture while it is painted.

    What is painted later covers what was painted before, in the picture and in the masks alike: a pixel belongs
    to the thing that covers at least half of it last.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width
        self.pixels = np.zeros((height, width, 3), dtype=np.float32)
        self.owner = np.full((height, width), NOBODY, dtype=np.int32)
        self.labels: list[str] = []
        self.attributes: list[dict[str, Any]] = []
        self._painted: list[int] = []

    @property
    def size(self) -> tuple[int, int]:
        """Height, width in pixels."""
        return self.height, self.width

    def new_thing(self, label: str, attributes: Mapping[str, Any] | None = None) -> int:
        """Announce an instance and return its number, by which its parts are painted."""
        self.labels.append(label)
        self.attributes.append(dict(attributes or {}))
        self._painted.append(0)
        return len(self.labels) - 1

    # -- shapes as coverage -------------------------------------------------------------------------

    def cover(self, *outlines: ArrayLike) -> tuple[Window, Alpha]:
        """Return how much of each pixel outlines of (N, 2) points x, y in continuous pixels cover together.

        These are the window in which they lie, and (h, w) float32 coverage in 0..1 inside it.
        """
        rings = [np.asarray(outline, dtype=np.float64) for outline in outlines]
        window, offset = self._window(np.concatenate(rings), 2)
        height, width = window[0].stop - window[0].start, window[1].stop - window[1].start
        if not height or not width:
            return window, np.zeros((height, width), dtype=np.float32)
        # OpenCV fills the pixels that an outline touches as well: at four times the size that is little
        fine = np.zeros((height * _FINE, width * _FINE), dtype=np.uint8)
        for ring in rings:
            fixed = np.rint(((ring - offset) * _FINE - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(fine, [fixed], 255, shift=_SHIFT)
        alpha = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        return window, alpha.reshape(height, width).astype(np.float32) / np.float32(255)

    def stroke(self, line: ArrayLike, thickness: float, *, closed: bool = False) -> tuple[Window, Alpha]:
        """Return how much of each pixel a line of (N, 2) points covers; thin lines are faint rather than thick."""
        points = np.asarray(line, dtype=np.float64)
        window, offset = self._window(points, int(np.ceil(thickness)) + 2)
        alpha = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), dtype=np.uint8)
        whole = max(1, round(thickness))
        if alpha.size:
            fixed = np.rint((points - offset - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.polylines(alpha, [fixed], closed, 255, whole, lineType=cv2.LINE_AA, shift=_SHIFT)
        return window, alpha.astype(np.float32) / np.float32(255) * np.float32(min(1.0, thickness / whole))

    # -- painting ------------------------------------------------------------------------------------

    def paint(
        self, covered: tuple[Window, Alpha], colour: ArrayLike, thing: int | None = None, *, opacity: float = 1.0
    ) -> None:
        """Paint what :meth:`cover` or :meth:`stroke` returned, with (3,) RGB in 0..255 or a whole (H, W, 3) texture.

        A thing owns the pixels from now on; :data:`NOBODY` takes them from their owners; None leaves the owners as they
        are (markings, light and shade).
        """
        window, alpha = covered
        ink = np.asarray(colour, dtype=np.float32)
        if ink.ndim == 3:
            ink = ink[window]
        share = alpha[..., None] * np.float32(opacity)
        self.pixels[window] += (ink - self.pixels[window]) * share
        if thing is not None:
            solid = alpha >= 0.5
            if thing != NOBODY:
                self._painted[thing] += int((solid & (self.owner[window] != thing)).sum())
            self.owner[window][solid] = thing

    def shade(self, covered: tuple[Window, Alpha], factor: float) -> None:
        """Darken (factor below 1) or lighten what is covered; owners stay."""
        window, alpha = covered
        self.pixels[window] *= 1 + (np.float32(factor) - 1) * alpha[..., None]

    # -- results -------------------------------------------------------------------------------------

    def masks(self) -> tuple[Mask, ...]:
        """Return the pixels that each thing still owns, in the order in which they were announced."""
        return tuple(Mask.from_dense(self.owner == number) for number in range(len(self.labels)))

    def visible_shares(self) -> Sequence[float]:
        """Return, per thing, how much of what was painted of it inside the picture can be seen, in 0..1."""
        owned = np.bincount(self.owner[self.owner >= 0].ravel(), minlength=len(self.labels))
        return [float(now) / max(1, ever) for now, ever in zip(owned, self._painted, strict=True)]

    def _window(self, points: NDArray[np.float64], margin: int) -> tuple[Window, NDArray[np.float64]]:
        low = np.floor(points.min(axis=0)).astype(int) - margin
        high = np.ceil(points.max(axis=0)).astype(int) + margin
        left, right = (int(np.clip(value, 0, self.width)) for value in (low[0], high[0]))
        top, bottom = (int(np.clip(value, 0, self.height)) for value in (low[1], high[1]))
        return (slice(top, bottom), slice(left, right)), np.array([left, top], dtype=np.float64)


MIN_VISIBLE = 0.45
"""A thing of which less can be seen than this share is not fit to be asked for."""
MIN_AREA = 16


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A drawn picture with its truth.

    Args:
        masks: N masks of what can be seen of each thing; no two share a pixel and none is empty.
        attributes: N mappings of what else is known: colour, texture, size, angle, ...
        colours: whether colours mean anything in this picture.
        vocabulary: names of things that scenes of this style may hold, for asking in vain.
    """

    image: Image
    masks: tuple[Mask, ...]
    labels: tuple[str, ...]
    attributes: tuple[Mapping[str, Any], ...]
    colours: bool
    vocabulary: tuple[str, ...]


def scene_of(canvas: Canvas, name: str, *, colours: bool, vocabulary: tuple[str, ...]) -> Scene | None:
    """Make a scene of a canvas (values are cut to 0..255), or None when too little can be seen of one of its things."""
    masks = canvas.masks()
    if any(mask.area < MIN_AREA for mask in masks) or min(canvas.visible_shares(), default=1.0) < MIN_VISIBLE:
        return None
    pixels = np.rint(np.clip(canvas.pixels, 0, 255)).astype(np.uint8)
    about = tuple(canvas.labels), tuple(canvas.attributes)
    return Scene(Image(pixels, name=name), masks, *about, colours, vocabulary)
