"""The grid on which a raster is looked at: its pixels at one resolution, and the windows that cover them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from fiducial.errors import InputError

SMALLEST = 16
"""Fewer pixels than this along an edge show nothing."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One window, in pixels of the grid.

    ``inner`` says of its left, top, right and bottom edge whether the raster goes on there, so that things may be cut.
    """

    row: int
    column: int
    x: int
    y: int
    width: int
    height: int
    inner: tuple[bool, bool, bool, bool]

    @property
    def name(self) -> str:
        """Row and column, from 0."""
        return f"r{self.row}c{self.column}"

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Its edges x1, y1, x2, y2."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def cuts(self, box: tuple[float, float, float, float], margin: float = 0) -> bool:
        """Say whether a box in pixels of the grid comes within a margin of an edge beyond which the raster goes on."""
        (left, top, right, bottom), (x1, y1, x2, y2) = self.box, box
        gaps = (x1 - left, y1 - top, right - x2, bottom - y2)
        return any(inner and gap <= margin for inner, gap in zip(self.inner, gaps, strict=True))

    def sees(self, box: tuple[float, float, float, float], margin: float = 0) -> bool:
        """Say whether a box lies wholly in this window, and does not come within a margin of an inner edge."""
        left, top, right, bottom = self.box
        inside = box[0] >= left and box[1] >= top and box[2] <= right and box[3] <= bottom
        return inside and not self.cuts(box, margin)


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels that are looked at: ``width`` x ``height`` of them, which are all of the raster.

    Args:
        width: in pixels of the grid.
        height: in pixels of the grid.
        across: pixels of the raster for one of the grid along x.
        down: the same along y.
        tile: edge of the windows.
        overlap: what two of them share at least along an axis.
    """

    width: int
    height: int
    across: float
    down: float
    tile: int
    overlap: int

    @classmethod
    def of(cls, size: tuple[int, int], shrink: tuple[float, float], tile: int, overlap: int) -> Grid:
        """Lay a grid over a raster.

        Args:
            size: width, height of the raster in pixels.
            shrink: how many of its pixels, along x and along y, become one.
            tile: edge of the windows.
            overlap: what they share.

        Raises:
            InputError: hardly a pixel would be left, or far more than the raster has.
        """
        width, height = (round(side / by) for side, by in zip(size, shrink, strict=True))
        if min(width, height) < SMALLEST and min(shrink) > 1:
            raise InputError(f"at this resolution the map is {width} x {height} pixels: too few to show anything")
        if min(shrink) < 1 / 16:
            raise InputError("this resolution is more than 16 times as fine as the map's own: it shows nothing more")
        width, height = max(width, 1), max(height, 1)
        return cls(width, height, size[0] / width, size[1] / height, tile, overlap)

    def tiles(self) -> list[Tile]:
        """List the windows, row by row; all have one size, and share at least the overlap with their neighbours.

        Example:
            >>> [tile.box for tile in Grid.of((1500, 900), (1, 1), 1024, 256).tiles()]
            [(0, 0, 1024, 900), (476, 0, 1500, 900)]
        """
        rows, columns = _parts(self.height, self.tile, self.overlap), _parts(self.width, self.tile, self.overlap)
        return [
            Tile(row, column, x1, y1, x2 - x1, y2 - y1, (x1 > 0, y1 > 0, x2 < self.width, y2 < self.height))
            for (row, (y1, y2)), (column, (x1, x2)) in product(enumerate(rows), enumerate(columns))
        ]


def _parts(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = -(-(length - side) // (side - overlap)) + 1
    starts = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]
