"""Bringing masks to another size by nearest neighbour, on runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import Mask
from fiducial.geometry import runs as _runs
from fiducial.metrics.policies import Rule


def resize_mask(mask: Mask, height: int, width: int, rule: Rule = "pillow") -> Mask:
    """Resize a mask by nearest neighbour; the aspect need not be kept.

    A new pixel takes one old pixel, and the two rules differ by half a pixel in which:

    * ``"pillow"`` takes the one that holds the new pixel's centre, (i + 0.5) * old / new rounded down;
    * ``"opencv"`` (``INTER_NEAREST``) takes the one that holds its top left corner, i * old / new rounded down, which
      shifts the picture by up to half an old pixel.

    Both are done in the same floating-point steps as in those libraries, so that masks agree pixel for pixel also where
    a position falls on an edge.

    Returns:
        A mask of (height, width); its score is kept. The very same mask where the size does not change.

    Example:
        >>> resize_mask(Mask.from_box((1, 0, 2, 1), 2, 2), 4, 4).box
        (2.0, 0.0, 4.0, 2.0)
    """
    if height <= 0 or width <= 0:
        raise GeometryError(f"a mask needs a positive size, got {height} x {width}")
    if (height, width) == (mask.height, mask.width):
        return mask
    rows, columns = source_pixels(mask.height, height, rule), source_pixels(mask.width, width, rule)
    pieces = _runs.columns(mask.runs.astype(np.int64), mask.height)
    first = np.searchsorted(pieces[:, 0], columns, side="left")
    last = np.searchsorted(pieces[:, 0], columns, side="right")
    column, piece = _runs.expand(first.astype(np.int64), last.astype(np.int64))
    top = np.searchsorted(rows, pieces[piece, 1], side="left")
    bottom = np.searchsorted(rows, pieces[piece, 2], side="left")
    new = np.stack([column, top, bottom], axis=1).astype(np.int64)
    return Mask(height, width, _runs.from_columns(new, height), mask.score)


def source_pixels(old: int, new: int, rule: Rule) -> NDArray[np.int64]:
    """List, for each of ``new`` pixels along an axis, the one of ``old`` pixels that it takes."""
    if rule == "opencv":
        place = np.arange(new) * (1.0 / (new / old))
    else:
        # Pillow walks: it adds the step again and again, and the rounding of that walk decides on edges.
        steps = np.full(new, old / new)
        steps[0] /= 2
        place = np.cumsum(steps)
    return np.asarray(np.minimum(np.floor(place), old - 1), dtype=np.int64)
