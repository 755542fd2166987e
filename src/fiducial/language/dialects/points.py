"""Points: those of one target, however they are written, and which of them lie on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fiducial.language.dialects.keys import Role, plain_key
from fiducial.language.dialects.replies import MAX_POINTS, Notes
from fiducial.language.dialects.shapes import Numbers, Order, number, x_first
from fiducial.language.dialects.values import CutList

_ON = frozenset({"1", "1.0", "true", "positive", "pos", "foreground", "fg", "inside", "in"})
_OFF = frozenset({"0", "0.0", "false", "negative", "neg", "background", "bg", "outside", "out"})
_LABELS = ("labels", "label")
"""Keys that hold labels of points where they hold a list of such words, and else names."""


class PointReader:
    """Reads points of the dialect's ``order``, and notes how they were written."""

    def __init__(self, notes: Notes, order: Order) -> None:
        self._notes = notes
        self._order: Order = order

    def read(
        self, fields: dict[str, Any], roles: dict[str, Role], used: dict[str, str], *, boxed: bool
    ) -> tuple[list[Numbers], list[int]]:
        """Return the points x, y of one target and a 1 for each that lies on it, a 0 for each that does not.

        Args:
            fields: what the target holds, by plain keys.
            roles: what each key holds.
            used: gets the keys that were read, and as what; those in it already are passed over.
            boxed: whether the target has a box, in which x and y are no point.
        """
        points: list[Numbers] = []
        kinds: list[int] = []
        for key, role in roles.items():
            if role.kind not in ("point", "negative") or key in used:
                continue
            new = list(self._points_of(fields[key], 1 if role.kind == "point" else 0))[: MAX_POINTS - len(points)]
            points += [point for point, _ in new]
            kinds += [kind for _, kind in new]
            if new:
                used[key] = "points"
        for key, role in roles.items() if points else ():
            told = _kinds(fields[key]) if role.kind == "point labels" or key in _LABELS else None
            if told is None:
                continue
            if len(told) != len(points) or 0 in kinds:
                self._notes.add(f"{len(told)} labels for {len(points)} points: the points were left out")
                for name in [name for name, what in used.items() if what == "points"]:
                    del used[name]
                return [], []
            used[key] = "labels of points"
            return points, told
        if not points and not boxed and {"x", "y"} <= fields.keys():
            point = self.numbers_of([fields["x"], fields["y"]])
            if point is not None:
                used |= {"x": "a coordinate", "y": "a coordinate"}
                return [tuple(point)], [1]
        return points, kinds

    def numbers_of(self, values: Sequence[Any]) -> list[float] | None:
        """Return values as numbers, None where one is none, and note those that were written as strings."""
        numbers = [number(value) for value in values]
        if any(isinstance(value, str) and known is not None for value, known in zip(values, numbers, strict=True)):
            self._notes.add("numbers written as strings")
        known = [value for value in numbers if value is not None]
        return known if len(known) == len(values) else None

    def _points_of(self, content: Any, kind: int) -> Iterator[tuple[Numbers, int]]:
        if isinstance(content, dict):
            fields = {plain_key(key): part for key, part in content.items()}
            told = _kinds([fields.get("label")])
            kind = told[0] if told else kind
            inner = next((fields[key] for key in ("point", "point_2d", "coordinates", "coords") if key in fields), None)
            content = inner if isinstance(inner, list) else [fields.get(name) for name in x_first("xy", self._order)]
        if isinstance(content, str):
            self._notes.add("coordinates in a string")
            content = content.strip(" []()").replace(",", " ").split()[:16]
        if not isinstance(content, list) or not content:
            return
        if any(isinstance(part, list | dict) for part in content):
            for part in content:
                yield from self._points_of(part if isinstance(part, list | dict) else [part], kind)
            return
        numbers = self.numbers_of(content)
        if numbers is None or len(numbers) % 2 or isinstance(content, CutList):
            self._notes.add("a point without two numbers was dropped")
            return
        if len(numbers) > 2:
            self._notes.add("points in one flat list")
        yield from ((x_first(numbers[i : i + 2], self._order), kind) for i in range(0, len(numbers), 2))


def _kinds(value: Any) -> list[int] | None:
    """Return which points lie on the target of a list that tells nothing else, or None."""
    if not isinstance(value, list) or not value:
        return None
    words = [str(part).strip().lower() for part in value]
    return [int(word in _ON) for word in words] if all(word in _ON | _OFF for word in words) else None
