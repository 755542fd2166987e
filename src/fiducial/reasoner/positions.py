"""Where PRS-Med says that a target lies: the centre or a quadrant of the picture, and whether near its centre."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from fiducial.geometry import Box, Mask, Point, large_pieces

Place = Literal["center", "top left", "top right", "bottom left", "bottom right"]
"""PRS-Med's words; left and right are the picture's."""
NEAR = 0.2
"""What is closer to the picture's centre than this share of its width is near it (PRS-Med's ``mask_position.py``)."""
MOST_PIECES = 2
"""PRS-Med names two pieces of a pair of lungs."""


@dataclass(frozen=True, slots=True)
class Position:
    """One place.

    Args:
        place: the centre, or a quadrant.
        near: whether it is near the picture's centre, or, of a piece, whether its box crosses it; true of the centre.
    """

    place: Place
    near: bool = False

    @property
    def point(self) -> Point:
        """The place as x, y in the centred frame: quadrants at 0.5, half of that when near, the centre at 0.

        Example:
            >>> Position("top right").point, Position("bottom left", near=True).point
            ((0.5, 0.5), (-0.25, -0.25))
        """
        if self.place == "center":
            return 0.0, 0.0
        far = 0.25 if self.near else 0.5
        return (far if "right" in self.place else -far), (far if "top" in self.place else -far)

    def mirrored(self) -> Position:
        """Return the place in the picture's mirror image, left for right."""
        swapped = {"left": "right", "right": "left"}
        words = " ".join(swapped.get(word, word) for word in self.place.split())
        return replace(self, place=words)  # type: ignore[arg-type]


def position_of(mask: Mask) -> Position | None:
    """Say where a mask lies by PRS-Med's rule for one target; None when it is empty.

    Its tight box contains the picture's centre: the centre. Otherwise the quadrant in which the box's centre lies
    (a centre on the line between two counts as right, or bottom), near when it is closer to the picture's centre than
    0.2 of the picture's width.

    Example:
        >>> position_of(Mask.from_box((60, 10, 80, 30), height=100, width=100))
        Position(place='top right', near=False)
    """
    if mask.box is None:
        return None
    x1, y1, x2, y2 = mask.box
    middle = _middle(mask)
    if _crosses(mask.box, middle):
        return Position("center", near=True)
    centre = (x1 + x2) / 2, (y1 + y2) / 2
    return Position(_quadrant(centre, middle), near=math.dist(centre, middle) < NEAR * mask.width)


def piece_positions(mask: Mask, *, most: int = MOST_PIECES) -> tuple[Position, ...]:
    """Say where the pieces of a mask lie by PRS-Med's rule for lungs.

    Each 8-connected piece lies in the quadrant of its centroid, near when its box contains the picture's centre.
    PRS-Med takes the first and the last piece that it comes upon, specks too; here the largest ones count
    (:func:`fiducial.geometry.large_pieces`), from left to right, so that what is said does not depend on which of two
    lungs reaches higher.

    Args:
        mask: of all pieces together.
        most: so many pieces at most.
    """
    middle = _middle(mask)
    pieces = large_pieces(mask)[:most]
    found = [(piece.centroid, piece.box) for piece in pieces if piece.centroid is not None and piece.box is not None]
    return tuple(Position(_quadrant(centroid, middle), near=_crosses(box, middle)) for centroid, box in sorted(found))


def _middle(mask: Mask) -> Point:
    return mask.width / 2, mask.height / 2


def _crosses(box: Box, middle: Point) -> bool:
    return box[0] < middle[0] < box[2] and box[1] < middle[1] < box[3]


def _quadrant(point: Point, middle: Point) -> Place:
    vertical = "top" if point[1] < middle[1] else "bottom"
    horizontal = "left" if point[0] < middle[0] else "right"
    return f"{vertical} {horizontal}"  # type: ignore[return-value]
