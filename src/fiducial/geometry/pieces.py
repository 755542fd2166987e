"""Masks and what they show: centroids, pieces that are no specks or belong together, the same pixels elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fiducial.geometry import runs as _runs
from fiducial.geometry.frames import Frame
from fiducial.geometry.masks import Mask
from fiducial.geometry.prompts import Point

SPECK = 0.05
"""Pieces of a mask smaller than this share of its largest one are specks, and no things of their own."""


def centroid_of(masks: Sequence[Mask]) -> Point | None:
    """Return the centroid x, y of all masks' pixels together in the centred frame ([-1, 1], y up); None for no pixel.

    Example:
        >>> centroid_of([Mask.from_box((75, 0, 100, 25), height=100, width=100)])
        (0.75, 0.75)
    """
    there = [mask for mask in masks if mask]
    if not there:
        return None
    whole = there[0].union(*there[1:])
    assert whole.centroid is not None  # one of them has pixels
    x, y = whole.frame.points_to(whole.centroid, Frame.centred()).tolist()
    return x, y


def large_pieces(mask: Mask, least: float = SPECK) -> list[Mask]:
    """Return the 8-connected pieces that have at least so large a share (0..1) of the largest one's pixels.

    The largest one measures, not the whole: each of thirty equal pieces is one of them. The largest comes first.
    """
    pieces = mask.components(8)
    return [piece for piece in pieces if piece.area >= least * pieces[0].area]


def placed(mask: Mask, x: int, y: int, height: int, width: int) -> Mask:
    """Return the same pixels on another canvas, on which the corner of the mask's own lies at x, y; never dense.

    What falls outside is cut off, so that negative offsets crop.

    Example:
        >>> mask = Mask.from_box((0, 0, 4, 4), height=8, width=8)
        >>> placed(mask, 10, 20, height=100, width=100).box, placed(mask, -2, -3, height=5, width=5).box
        ((10.0, 20.0, 14.0, 24.0), (0.0, 0.0, 2.0, 1.0))
    """
    column, top, bottom = (_runs.columns(mask.runs.astype(np.int64), mask.height) + np.array((x, y, y))).T
    pieces = np.stack([column, np.maximum(top, 0), np.minimum(bottom, height)], axis=1)
    inside = (column >= 0) & (column < width) & (pieces[:, 2] > pieces[:, 1])
    return Mask(height, width, _runs.from_columns(pieces[inside], height), mask.score)


def linked(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Group the numbers 0 to ``count`` - 1 so that those of every pair are in one group.

    Returns:
        The groups in the order of their first numbers, each in ascending order.

    Example:
        >>> linked(5, [(3, 1), (1, 4)])
        [[0], [1, 3, 4], [2]]
    """
    parent = list(range(count))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = {}
    for number in range(count):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())
