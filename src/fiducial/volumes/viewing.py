"""Slices for a model's eyes: pictures with square pixels, and what is drawn on them brought back to the slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.volumes.planes import Slicing
from fiducial.volumes.volume import Volume
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
    """

    volume: Volume
    slicing: Slicing
    window: Window

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
        return self.volume.picture(self.slicing, index, self.window).stretched(self.size)

    def is_blank(self, index: int) -> bool:
        """Say whether a slice shows one grey alone."""
        pixels = self.volume.picture(self.slicing, index, self.window).pixels
        return int(pixels.min()) == int(pixels.max())

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
