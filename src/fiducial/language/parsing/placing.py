"""Placing: what a reply wrote becomes prompts of a frame, or is left out with a note that says why.

Numbers are never rescaled to make them fit. What lies a little past the picture is clipped; what
lies far past it was meant in another frame, and a note says which one that seems to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from fiducial.geometry import Frame, Point, Prompt, Prompts
from fiducial.language.parsing.items import Item
from fiducial.language.parsing.limits import MAX_ITEMS
from fiducial.language.parsing.notes import Notes

FAR = 0.5
"""A number further past the picture than this share of its extent means another frame, not a slip."""


class Placer:
    """Turns items into prompts of one frame.

    Args:
        frame: the frame in which the reply was asked for.
        notes: where repairs are noted.
    """

    def __init__(self, frame: Frame, notes: Notes) -> None:
        self._frame = frame
        self._notes = notes
        self._x = (min(frame.left, frame.right), max(frame.left, frame.right))
        self._y = (min(frame.top, frame.bottom), max(frame.top, frame.bottom))
        self.dropped = 0
        """Boxes and points that could not be used."""
        self.swapped = 0
        """Boxes whose corners were put in order."""
        self.clipped = 0
        """Boxes and points that were clipped."""

    def place(self, items: Sequence[Item]) -> Prompts:
        """Return the prompts of the items that can be used, in order."""
        if len(items) > MAX_ITEMS:
            self._notes.add(f"only the first {MAX_ITEMS} items were kept")
        placed = [self._prompt(item) for item in items[:MAX_ITEMS]]
        self._warn_of_fractions(items)
        return Prompts(self._frame, tuple(prompt for prompt in placed if prompt is not None))

    def _prompt(self, item: Item) -> Prompt | None:
        box = self._box(item.box) if item.box is not None else None
        points: list[Point] = []
        kinds: list[int] = []
        for point, kind in zip(item.points, item.point_labels, strict=True):
            inside = self._point(point)
            if inside is not None:
                points.append(inside)
                kinds.append(kind)
        if box is None and item.box is not None:
            self.dropped += 1
        if box is None and 1 not in kinds:
            return None
        return Prompt(self._frame, box, tuple(points), tuple(kinds), item.label, item.score)

    def _box(self, written: tuple[float, ...]) -> tuple[float, float, float, float] | None:
        x1, y1, x2, y2 = written
        if not all(map(math.isfinite, written)):
            self._notes.add("a box with a number that is not finite was dropped")
            return None
        if x1 > x2 or y1 > y2:
            self.swapped += 1
            self._notes.add("swapped corners put in order")
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if self._is_far((x1, x2), (y1, y2)):
            self._notes.add(f"a box far outside the frame was dropped: {self._meant(written)}")
            return None
        left, right = self._clip(x1, self._x), self._clip(x2, self._x)
        top, bottom = self._clip(y1, self._y), self._clip(y2, self._y)
        if x1 == x2 or y1 == y2:
            self._notes.add("a box without area was dropped")
            return None
        if not (left < right and top < bottom):
            self._notes.add(f"a box wholly outside the frame was dropped: {self._meant(written)}")
            return None
        if (left, top, right, bottom) != (x1, y1, x2, y2):
            self.clipped += 1
            self._notes.add("a box clipped to the frame")
        return left, top, right, bottom

    def _point(self, written: tuple[float, ...]) -> Point | None:
        x, y = written
        if not (math.isfinite(x) and math.isfinite(y)):
            self._notes.add("a point with a number that is not finite was dropped")
            self.dropped += 1
            return None
        if self._is_far((x,), (y,)):
            self._notes.add(f"a point far outside the frame was dropped: {self._meant(written)}")
            self.dropped += 1
            return None
        inside = self._clip(x, self._x), self._clip(y, self._y)
        if inside != (x, y):
            self.clipped += 1
            self._notes.add("a point clipped to the frame")
        return inside

    def _is_far(self, xs: Iterable[float], ys: Iterable[float]) -> bool:
        """Say whether a number lies past the picture by more than half its extent."""
        for values, (low, high) in ((xs, self._x), (ys, self._y)):
            margin = FAR * (high - low)
            if any(value < low - margin or value > high + margin for value in values):
                return True
        return False

    def _meant(self, numbers: Sequence[float]) -> str:
        """Say in words which frame some numbers seem to be counted in."""
        largest = max(map(abs, numbers))
        here = f"this one is {self._x[0]:g}..{self._x[1]:g} x {self._y[0]:g}..{self._y[1]:g}"
        if min(numbers) < 0:
            return f"the numbers reach {min(numbers):g}, {here}"
        if largest <= 100:
            return f"the numbers look like percent (0..100), {here}"
        if largest <= 1000:
            return f"the numbers look like thousandths (0..1000) or pixels, {here}"
        return f"the numbers reach {largest:g} and look like pixels of a larger image, {here}"

    def _warn_of_fractions(self, items: Sequence[Item]) -> None:
        """Note it when every number of a reply is a fraction of 1 in a frame that is much larger."""
        numbers = [value for item in items for value in (*(item.box or ()), *(v for p in item.points for v in p))]
        if not numbers or self._frame.width <= 10 or self._frame.height <= 10:
            return
        if all(0 <= value <= 1 for value in numbers) and any(0 < value < 1 for value in numbers):
            self._notes.add(f"the numbers look like fractions (0..1), this frame reaches {self._x[1]:g}: not rescaled")

    @staticmethod
    def _clip(value: float, bounds: tuple[float, float]) -> float:
        return min(max(value, bounds[0]), bounds[1])
