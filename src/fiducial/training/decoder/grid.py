"""The grid of a decoder's logits, and true masks brought onto it by area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Frame, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The cells of the logits that show a picture.

    Args:
        y_edges: (rows + 1,) where rows of cells begin and end, in pixels of the original picture.
        x_edges: (columns + 1,) likewise.
    """

    y_edges: NDArray[np.float64]
    x_edges: NDArray[np.float64]

    @classmethod
    def of(cls, width: int, height: int, shown: Frame, size: int, grid: tuple[int, int]) -> Grid:
        """Lay the grid over a picture.

        Args:
            width: width of the original picture in pixels.
            height: height of the original picture in pixels.
            shown: the frame of the model's canvas for this picture, from (0, 0) on.
            size: edge of the model's square canvas in pixels, padding included.
            grid: rows and columns of the logits, which cover the whole canvas.
        """
        return cls(
            _edges(height, shown.bottom, size / grid[0]),
            _edges(width, shown.right, size / grid[1]),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that show the picture; the others show padding."""
        return len(self.y_edges) - 1, len(self.x_edges) - 1

    def target(self, mask: Mask) -> NDArray[np.float32]:
        """Return (rows, columns) float32 in 0..1: how much of each cell's part of the picture the mask covers."""
        box = mask.box
        if box is None:
            return np.zeros(self.shape, dtype=np.float32)
        x1, y1, x2, y2 = (int(edge) for edge in box)
        piece = mask.to_dense()[y1:y2, x1:x2]
        by_row = _summed(piece, self.y_edges - y1)
        area = _summed(by_row.T, self.x_edges - x1).T
        cells = np.diff(self.y_edges)[:, None] * np.diff(self.x_edges)[None, :]
        return np.clip(area / cells, 0, 1).astype(np.float32)


def _edges(length: int, shown: float, cell: float) -> NDArray[np.float64]:
    count = int(np.ceil(shown / cell - 1e-6))
    edges: NDArray[np.float64] = np.minimum(np.arange(count + 1) * cell / shown, 1.0) * length
    return edges


def _summed(values: NDArray[np.generic], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum rows between edges, parts of rows included: (h, w) and (n + 1,) to (n, w)."""
    height = len(values)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    inside = np.clip(edges, 0, height)
    whole = np.minimum(np.floor(inside).astype(np.intp), height - 1)
    part = (inside - whole)[:, None]
    return np.diff(total[whole] * (1 - part) + total[whole + 1] * part, axis=0)
