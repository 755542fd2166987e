"""Shapes: boxes as models write them: four numbers in some order, corners by name, a centre and a size, outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from fiducial.language.dialects.keys import CENTRED, CENTRES, COORDINATES, CORNERS, PAIRS, SIZED, SIZES, plain_key
from fiducial.language.dialects.replies import MAX_NUMBER

Order = Literal["xy", "yx"]
Numbers = tuple[float, ...]
T = TypeVar("T")
MAX_VERTICES = 10_000
"""Vertices of an outline that are read."""


def number(value: object) -> float | None:
    """Return a value as a number, also when it was written as a string; None when it is none."""
    if isinstance(value, str) and len(value) <= MAX_NUMBER:
        try:
            return float(value.strip().removesuffix("px"))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def x_first(values: Sequence[T], order: Order) -> tuple[T, ...]:
    """Return the numbers of a box or point with each x before its y, or turn them back."""
    return tuple(values) if order == "xy" else tuple(values[i ^ 1] for i in range(len(values)))


def box_of(values: Sequence[float], order: str) -> Numbers:
    """Return x1, y1, x2, y2 of four numbers in the order ``"xyxy"``, ``"yxyx"``, ``"xywh"`` or ``"cxcywh"``.

    Example:
        >>> box_of([10, 20, 30, 40], "xywh"), box_of([50, 50, 20, 10], "cxcywh")
        ((10, 20, 40, 60), (40.0, 45.0, 60.0, 55.0))
    """
    a, b, c, d = values
    if order == "xywh":
        return a, b, a + c, b + d
    if order == "cxcywh":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return (b, a, d, c) if order == "yxyx" else (a, b, c, d)


def named_box(fields: dict[str, Any], order: Order) -> tuple[Numbers, tuple[str, ...], str] | None:
    """Return a box whose numbers stand under several plain keys, those keys, and in words how it was written."""
    if COORDINATES.isdisjoint(fields):
        return None  # most dictionaries: without so many questions
    for names in CORNERS:
        if corners := _numbers_under(fields, names):
            return corners, names, "a box with named corners"
    for names in (*SIZED, *CENTRED):
        if numbers := _numbers_under(fields, names):
            if names in SIZED:
                return box_of(numbers, "xywh"), names, "a box as corner, width and height"
            return box_of(numbers, "cxcywh"), names, "a box as centre, width and height"
    for one, other in PAIRS:
        a, b = point_of(fields.get(one), order), point_of(fields.get(other), order)
        if a and b:
            return bounding([a, b]), (one, other), "a box as two named corners"
    return _around(fields, order)


def point_of(value: Any, order: Order) -> Numbers | None:
    """Return x, y of a list of two numbers or of a dictionary with x and y, or None."""
    if isinstance(value, dict):
        value = x_first([{plain_key(key): part for key, part in value.items()}.get(name) for name in ("x", "y")], order)
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    x, y = (number(part) for part in value)
    return None if x is None or y is None else x_first((x, y), order)


def outlines_of(value: Any, order: Order) -> list[Numbers] | None:
    """Return the bounding box of each outline in a value, or None where it holds none.

    An outline is a list of three or more points, or a flat list of six or more numbers, x and y in turn.
    """
    if not isinstance(value, list) or not value:
        return None
    points = [point_of(part, order) for part in value[:MAX_VERTICES]]
    if all(points):
        vertices = [point for point in points if point]
        return [bounding(vertices)] if len(vertices) > 2 else None
    flat = [number(part) for part in value]
    numbers = [part for part in flat if part is not None]
    if len(numbers) == len(value):
        pairs = [x_first(numbers[i : i + 2], order) for i in range(0, len(numbers) - 1, 2)]
        return [bounding(pairs)] if len(numbers) % 2 == 0 and len(pairs) > 2 else None
    if not all(isinstance(part, list) for part in value):
        return None
    rings = [outlines_of(part, order) for part in value if isinstance(part, list) and part is not value]
    return [box for ring in rings for box in ring or ()] if all(rings) else None


def bounding(points: Sequence[Sequence[float]]) -> Numbers:
    """Return the box x1, y1, x2, y2 around points x, y or boxes x1, y1, x2, y2."""
    xs = [value for point in points for value in point[::2]]
    ys = [value for point in points for value in point[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def corners_of(content: list[Any]) -> Numbers | None:
    """Return the four numbers of [[x1, y1], [x2, y2]], as they stand, or None."""
    if len(content) != 2 or not all(isinstance(part, list) and len(part) == 2 for part in content):
        return None
    values = [number(part) for corner in content for part in corner]
    return None if None in values else tuple(value for value in values if value is not None)


def _around(fields: dict[str, Any], order: Order) -> tuple[Numbers, tuple[str, ...], str] | None:
    """Return the box of a centre or corner as one point, with a width and a height beside it."""
    for kind, names in (("cxcywh", CENTRES), ("xywh", ("top_left", "topleft", "upper_left", "tl"))):
        for name in names:
            point = point_of(fields.get(name), order)
            for size in (*SIZES, ("size",)) if point else ():
                given = fields.get("size") if size == ("size",) else [fields.get(key) for key in size]
                sides = [number(part) for part in given] if isinstance(given, list) and len(given) == 2 else [None]
                if point and None not in sides:
                    known = [side for side in sides if side is not None]
                    words = "centre" if kind == "cxcywh" else "corner"
                    return box_of([*point, *known], kind), (name, *size), f"a box as {words}, width and height"
    return None


def _numbers_under(fields: dict[str, Any], names: Sequence[str]) -> Numbers | None:
    if not fields.keys() >= {*names}:
        return None
    values = tuple(value for value in (number(fields[name]) for name in names) if value is not None)
    return values if len(values) == len(names) else None
