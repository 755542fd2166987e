"""Slices for a model's eyes: pictures with square pixels, and what is drawn on them brought back to the slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.volumes.planes import Slicing
from fiducial.volumes.volume import Volume, require_one_grid
from fiducial.volumes.windows import Window

_SQUARE = 1.01  # pixels whose sides differ by less are square
_PADDING = 0.05  # share of a box's sides by which it grows for the neighbouring slice


@dataclass(frozen=True, eq=False)
class Viewer:
    """Shows the slices of a volume.

    Args:
        volume: the scan.
        slicing: of the volume.
        window: values shown as black and white.
        around: one or two more volumes on the same grid, each with its window, shown as red and blue around the first,
            which is green then; one alone is both.
    """

    volume: Volume
    slicing: Slicing
    window: Window
    around: tuple[tuple[Volume, Window], ...] = ()

    def __post_init__(self) -> None:
        if len(self.around) > 2:
            raise InputError(
                f"one or two volumes go around {self.volume.name}, as red and blue, got {len(self.around)}"
            )
        for other, _ in self.around:
            require_one_grid(other, self.volume, "colours need scans on one grid")

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures: the slices', stretched along one side where their pixels are not square."""
        (width, height), (across, down, _) = self.slicing.size, self.slicing.spacing
        if max(across, down) / min(across, down) < _SQUARE:
            return width, height
        finer = min(across, down)
        return max(1, round(width * across / finer)), max(1, round(height * down / finer))

    @property
    def frame(self) -> Frame:
        """The pixel frame of the slices themselves."""
        return Frame.pixels(*self.slicing.size)

    def picture(self, index: int) -> Image:
        """Return a slice as a picture with square pixels."""
        return self._cut(index).stretched(self.size)

    def is_blank(self, index: int) -> bool:
        """Say whether a slice shows one colour alone."""
        pixels = self._cut(index).pixels
        return bool((pixels == pixels[0, 0]).all())

    def _cut(self, index: int) -> Image:
        green = self.volume.picture(self.slicing, index, self.window)
        if not self.around:
            return green
        others = [volume.picture(self.slicing, index, window).pixels[..., 0] for volume, window in self.around]
        return Image.from_array(np.dstack([others[0], green.pixels[..., 0], others[-1]]), name=green.name)

    def to_slice(self, mask: Mask) -> Mask:
        """Bring a mask of a picture back to the slice: a pixel belongs to it where its centre does."""
        (width, height), (wide, high) = self.slicing.size, self.size
        if (width, height) == (wide, high):
            return mask
        x = ((np.arange(width) + 0.5) * wide / width).astype(int)
        y = ((np.arange(height) + 0.5) * high / height).astype(int)
        return Mask.from_dense(mask.to_dense()[np.ix_(y, x)], score=mask.score)

    def box_prompt(self, mask: Mask, label: str) -> Prompts:
        """Return the box of a mask of one slice, somewhat larger, as a prompt for the picture of its neighbour."""
        assert mask.box is not None
        x1, y1, x2, y2 = mask.box
        pad = _PADDING * max(x2 - x1, y2 - y1)
        box = self.frame.clip_box((x1 - pad, y1 - pad, x2 + pad, y2 + pad))
        shown = Frame.pixels(*self.size)
        return Prompts(shown, (Prompt(self.frame, box=box, label=label).to(shown),))
