"""Masks and what they show: the centroid of several in the centred frame, and the pieces of one that are no specks."""

from __future__ import annotations

from collections.abc import Sequence

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
