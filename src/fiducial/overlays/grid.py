"""The grid: lines that let a model count its way to coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.overlays.colours import parse_colour, require_opacity

_MOST_CELLS = 1000
_GRID = re.compile(r"(\d+)(?:\s*[x×]\s*(\d+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GridOverlay:
    """Draws the inner lines of a grid over the whole image.

    Line i of n columns lies at x = i * W / n, i = 1..n-1, likewise for rows; there is no border. With
    the width 1 a line covers the pixel that holds that x. The default, 9 x 9 in black at 30 %, is the grid
    that helped most in the ablation of arXiv 2411.18270, and that SJTU draws.

    Args:
        columns: cells along x, 1..1000; 1 draws no line.
        rows: cells along y, 1..1000.
        colour: anything that :func:`fiducial.overlays.parse_colour` reads.
        opacity: 0 (invisible) to 1 (solid). The blending is exact: alpha is int(255 * opacity), 76 for 0.3.
        line_width: in pixels, at least 1.
        canvas: (width, height) to which the prompter will shrink the image; lines on larger images are then
            drawn so much wider that they come out ``line_width`` wide there.

    Raises:
        InputError: a number out of range, or a colour that cannot be read.

    Example:
        >>> import numpy as np
        >>> white = Image(np.full((90, 90, 3), 255, np.uint8))
        >>> GridOverlay()(white).pixels[5, 8:12, 0].tolist()
        [255, 255, 179, 255]
    """

    columns: int = 9
    rows: int = 9
    colour: str | Sequence[int] = "black"
    opacity: float = 0.3
    line_width: int = 1
    canvas: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, cells in (("columns", self.columns), ("rows", self.rows)):
            if not 1 <= cells <= _MOST_CELLS:
                raise InputError(f"a grid has 1 to {_MOST_CELLS} {name}, got {cells}")
        if self.line_width < 1:
            raise InputError(f"the lines of a grid need a width of at least 1 pixel, got {self.line_width}")
        object.__setattr__(self, "colour", parse_colour(self.colour))
        object.__setattr__(self, "opacity", require_opacity(self.opacity))
        if self.canvas is not None:
            object.__setattr__(self, "canvas", tuple(self.canvas))
            if len(self.canvas) != 2 or min(self.canvas) < 1:
                raise InputError(f"a canvas has a width and a height of at least 1 pixel, got {self.canvas}")

    def __call__(self, image: Image) -> Image:
        """Return the image with the grid over it: same size, same name."""
        lines = np.zeros((image.height, image.width), dtype=np.bool_)
        wide, high = self.canvas or (image.width, image.height)
        lines[:, _covered(image.width, self.columns, self._width(image.width / wide))] = True
        lines[_covered(image.height, self.rows, self._width(image.height / high)), :] = True
        pixels = image.pixels.copy()
        # Crossings are blended once, as when the grid is a layer of its own.
        pixels[lines] = blend(pixels[lines], parse_colour(self.colour), int(255 * self.opacity))
        return Image(pixels, name=image.name, notes=image.notes)

    def _width(self, shrinking: float) -> int:
        return max(self.line_width, round(self.line_width * shrinking))


def parse_grid(text: str) -> tuple[int, int]:
    """Read a grid's size: ``"9"`` is 9 x 9, ``"9x7"`` is 9 columns and 7 rows.

    Returns:
        columns, rows.

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
    if not (1 <= columns <= _MOST_CELLS and 1 <= rows <= _MOST_CELLS):
        raise InputError(f"a grid has 1 to {_MOST_CELLS} columns and rows, got {text!r}")
    return columns, rows


def blend(under: NDArray[np.uint8], colour: Sequence[int], alpha: int) -> NDArray[np.uint8]:
    """Lay a colour over opaque pixels, rounded to the nearest: Pillow's ``alpha_composite`` gives the same.

    Args:
        under: (..., 3) uint8.
        colour: red, green, blue in 0..255.
        alpha: 0..255.
    """
    mixed = np.asarray(colour, dtype=np.uint32) * alpha + under.astype(np.uint32) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _covered(length: int, cells: int, width: int) -> NDArray[np.intp]:
    """List the pixels of one axis that lie under a line; whole-number arithmetic, so no line is a pixel off."""
    number = np.arange(1, cells)
    first = (2 * number * length - (width - 1) * cells) // (2 * cells)
    pixels = np.unique(first[:, None] + np.arange(width))
    return pixels[(pixels >= 0) & (pixels < length)].astype(np.intp)
