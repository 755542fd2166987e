"""One colour over everything: a control that shows what a model answers from the words alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fiducial.config import Config, option
from fiducial.images import Image
from fiducial.overlays.colours import parse_colour


@dataclass(frozen=True, slots=True)
class BlankOverlay(Config):
    """Hides the image from the prompter; the segmenter still sees it. Scores that stay are earned without looking.

    Example:
        >>> import numpy as np
        >>> BlankOverlay()(Image(np.zeros((2, 3, 3), np.uint8))).pixels[1, 2].tolist()
        [128, 128, 128]
    """

    kind: ClassVar[str] = "overlay"
    name: ClassVar[str] = "blank"
    colour: str | tuple[int, int, int] = option("grey", "a name, #rrggbb, or red,green,blue in 0..255")

    def check(self) -> None:
        """Refuse a colour that cannot be read."""
        parse_colour(self.colour)

    def build(self) -> BlankOverlay:
        """Return the overlay, which is its own description."""
        return self

    def __call__(self, image: Image) -> Image:
        """Return an image of one colour: same size, same name."""
        pixels = np.full_like(image.pixels, parse_colour(self.colour))
        return Image(pixels, name=image.name, notes=image.notes)
