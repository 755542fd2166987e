"""Locations: how far a mask is from where sides of the picture say that it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.geometry import Frame, Mask, centroid_of

SLACK = 0.1
"""So far over the middle line, in half axes, something still is on a side: nobody measures where the middle is."""
CENTRE = 1 / 3 + SLACK
"""So far off the centre, in half axes, something still is in it: the middle third of the axis, and the slack."""
NEAR = 0.3
"""So far off the centre, as a share of the longer side of the picture, something still is near it; PRS-Med says 0.2."""
EDGE = 0.5
"""So far from an edge, in half axes, something still is at it, by its closest point."""
DENIED = 0.25
"""So far over the middle line, in half axes, something certainly is on a side that was denied."""
DENIED_CENTRE = 0.1
"""So close to the centre, in half axes, something certainly is in it."""
_DIGITS = 6
"""Further digits decide nothing."""

_ALONG = {"left": (0, -1.0), "right": (0, 1.0), "top": (1, 1.0), "bottom": (1, -1.0)}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a mask lies.

    Args:
        centroid: x, y in the centred frame, [-1, 1], y up.
        box: its tight box, x1, y1, x2, y2 in the centred frame.
        distance: of the centroid from the picture's centre, as a share of the longer side of the picture.
    """

    centroid: tuple[float, float]
    box: tuple[float, float, float, float]
    distance: float

    @classmethod
    def of(cls, mask: Mask) -> Location:
        """Measure a mask that has a pixel."""
        centroid, box, middle = mask.centroid, mask.box, centroid_of([mask])
        assert centroid is not None
        assert box is not None
        assert middle is not None
        off = ((centroid[0] - mask.width / 2) ** 2 + (centroid[1] - mask.height / 2) ** 2) ** 0.5
        left, low, right, high = mask.frame.boxes_to(box, Frame.centred()).tolist()
        return cls(middle, (left, low, right, high), off / max(mask.width, mask.height))

    def off(self, sides: Sequence[str], *, near: bool = False) -> float:
        """Return by how much of an axis the mask is outside of sides that hold together; 0 where it is not.

        The mask lies on a side by its centroid or by the middle of its box, whichever fits better (PRS-Med's rule asks
        the box); it lies in the centre also where its box holds the picture's centre.

        Args:
            sides: out of left, right, top, bottom, centre and edge; "centre" beside one side is about the other axis,
                beside two it is "near".
            near: near the centre; of sides, along their axes only: "slightly below the middle".

        Returns:
            A share of the picture's width or height from 0, the worst of all sides.
        """
        directed = [side for side in sides if side in _ALONG]
        found = [self._beyond(side, edge="edge" in sides) for side in directed]
        if near and directed:
            along = {_ALONG[side][0] for side in directed}
            found += [max(0.0, self._from_middle(axis) / 2 - NEAR) for axis in along]
        elif near or ("centre" in sides and len(directed) > 1):
            found.append(0.0 if self._holds_centre() else max(0.0, self.distance - NEAR))
        elif "centre" in sides:
            axes = (0, 1) if not directed else (1 - _ALONG[directed[0]][0],)
            off = max(self._from_middle(axis) for axis in axes)
            found.append(0.0 if self._holds_centre() and not directed else max(0.0, off - CENTRE) / 2)
        return round(max(found, default=0.0), _DIGITS)

    def within(self, sides: Sequence[str]) -> float:
        """Return by how much of an axis the mask certainly is where sides say, which were denied; 0 where it is not."""
        directed = [side for side in sides if side in _ALONG]
        depths = [-min(self._shifts(side)) for side in directed]
        found = [max(0.0, depth - DENIED) / 2 for depth in depths]
        if "centre" in sides and not directed:
            off = max(abs(value) for value in self.centroid)
            found.append(max(0.0, DENIED_CENTRE - off) / 2)
        return round(min(found, default=0.0), _DIGITS)

    def _beyond(self, side: str, *, edge: bool) -> float:
        axis, sign = _ALONG[side]
        closest = self.box[axis + (2 if sign > 0 else 0)]
        off = (sign - closest) * sign - EDGE if edge else min(self._shifts(side)) - SLACK
        return max(0.0, off) / 2

    def _shifts(self, side: str) -> tuple[float, float]:
        """Return how far the centroid and the middle of the box are on the other side, in half axes."""
        axis, sign = _ALONG[side]
        middle = (self.box[axis] + self.box[axis + 2]) / 2
        return -sign * self.centroid[axis], -sign * middle

    def _from_middle(self, axis: int) -> float:
        middle = (self.box[axis] + self.box[axis + 2]) / 2
        return min(abs(self.centroid[axis]), abs(middle))

    def _holds_centre(self) -> bool:
        left, low, right, high = self.box
        return left <= 0 <= right and low <= 0 <= high
