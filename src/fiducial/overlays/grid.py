"""The grid: lines that let a model count its way to coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fiducial.config import Config, option
from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.overlays.colours import parse_colour

_MAX_CELLS = 1000
_GRID = re.compile(r"(\d+)(?:\s*[x×]\s*(\d+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GridOverlay(Config):
    """Lines that cut the image into n x m cells.

    Line i of n columns lies at x = i * W / n, i = 1..n-1, and so for rows; there is no border. With the width 1 a line
    covers the pixel that holds that x. The default, 9 x 9 in black at 30 %, is the grid that helped most in the
    ablation of arXiv 2411.18270, and that SJTU draws. Blending is exact: alpha is int(255 * opacity), 76 for 0.3.

    Example:
        >>> import numpy as np
        >>> white = Image(np.full((90, 90, 3), 255, np.uint8))
        >>> GridOverlay()(white).pixels[5, 8:12, 0].tolist()
        [255, 255, 179, 255]
    """

    kind: ClassVar[str] = "overlay"
    name: ClassVar[str] = "grid"
    columns: int = option(9, "cells along x; 1 draws no line", minimum=1, maximum=_MAX_CELLS)
    rows: int = option(9, "cells along y", minimum=1, maximum=_MAX_CELLS)
    colour: str | tuple[int, int, int] = option("black", "a name, #rrggbb, or red,green,blue in 0..255")
    opacity: float = option(0.3, "0 is invisible, 1 solid", minimum=0, maximum=1)
    line_width: int = option(1, "width of a line", unit="pixels", minimum=1, maximum=10_000)

    def check(self) -> None:
        """Refuse a colour that cannot be read."""
        parse_colour(self.colour)

    def build(self) -> GridOverlay:
        """Return the overlay, which is its own description."""
        return self

    def __call__(self, image: Image) -> Image:
        """Return the image with the grid over it: same size, same name."""
        lines = np.zeros((image.height, image.width), dtype=np.bool_)
        lines[:, _covered(image.width, self.columns, self.line_width)] = True
        lines[_covered(image.height, self.rows, self.line_width), :] = True
        pixels = image.pixels.copy()
        # Crossings are blended once, as when the grid is a layer of its own.
        pixels[lines] = blend(pixels[lines], parse_colour(self.colour), int(255 * self.opacity))
        return Image(pixels, name=image.name, notes=image.notes)


def parse_grid(text: str) -> tuple[int, int]:
    """Read a grid's size: ``"9"`` is 9 columns and 9 rows, ``"9x7"`` is 9 columns and 7 rows.

    Raises:
        InputError: it is neither, or out of range.

    Example:
        >>> parse_grid("9x7")
        (9, 7)
    """
    match = _GRID.fullmatch(text.strip())
    if not match:
        raise InputError(f"a grid is written as one number or columns x rows (9 or 9x7), got {text!r}")
    columns, rows = int(match[1]), int(match[2] or match[1])
    if not (1 <= columns <= _MAX_CELLS and 1 <= rows <= _MAX_CELLS):
        raise InputError(f"a grid has 1 to {_MAX_CELLS} columns and rows, got {text!r}")
    return columns, rows


def blend(under: NDArray[np.uint8], colour: Sequence[int], alpha: int) -> NDArray[np.uint8]:
    """Lay a colour over opaque pixels (..., 3) with an alpha in 0..255, rounded as Pillow's ``alpha_composite``."""
    mixed = np.asarray(colour, dtype=np.uint32) * alpha + under.astype(np.uint32) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _covered(length: int, cells: int, width: int) -> NDArray[np.intp]:
    """List the pixels of one axis that lie under a line; whole-number arithmetic, so no line is a pixel off."""
    number = np.arange(1, cells)
    first = (2 * number * length - (width - 1) * cells) // (2 * cells)
    pixels = np.unique(first[:, None] + np.arange(width))
    return pixels[(pixels >= 0) & (pixels < length)].astype(np.intp)
