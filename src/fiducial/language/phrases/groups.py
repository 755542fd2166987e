"""Groups: which things stand together, close to each other or along one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Box = tuple[float, float, float, float]

CLOSE = 1.0
"""Two things stand together when the gap between their boxes is at most this multiple of their mean size."""
SPACING = 2.0
"""Two neighbours of a line are at most this multiple of their mean size apart."""
OFF_LINE = 0.5
"""The centre of a thing is off the line by at most this multiple of its size."""
NEIGHBOURS = 8
"""A line is begun with a thing and one of this many that are nearest to it."""


def groups_among(boxes: Sequence[Box], kind: str) -> list[list[int]]:
    """Sort things into groups of at least two; what stands alone is in none.

    - ``"cluster"``: a thing belongs to a group when the gap between its box and that of one of its things is at most
      their mean size (the square root of a box's area).
    - ``"line"``: the things whose centres are off a line through two neighbours by at most half of their size, as
      far as each follows the one before within twice their mean size. The longest line is taken first (of two as
      long the closer set), then the longest among what is left; with a line of three or more there are none of two.

    Args:
        boxes: x1, y1, x2, y2 each, y downwards.
        kind: ``"cluster"`` or ``"line"``.

    Returns:
        The indices of each group, the largest group first, those of a line along it.

    Example:
        >>> boxes = [(0, 0, 10, 10), (14, 0, 24, 10), (28, 0, 38, 10), (90, 90, 99, 99)]
        >>> groups_among(boxes, "cluster"), groups_among(boxes[1:], "line")
        ([[0, 1, 2]], [[0, 1]])
    """
    return _lines(boxes) if kind == "line" else _clusters(boxes)


def bounds(boxes: Sequence[Box]) -> Box:
    """Return the box around all of some boxes."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _clusters(boxes: Sequence[Box]) -> list[list[int]]:
    left, groups = set(range(len(boxes))), []
    while left:
        group, fresh = [], [left.pop()]
        while fresh:
            one = fresh.pop()
            group.append(one)
            near = [
                other for other in left if _gap(boxes[one], boxes[other]) <= CLOSE * _size(boxes[one], boxes[other])
            ]
            left.difference_update(near)
            fresh += near
        groups.append(sorted(group))
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group))


def _lines(boxes: Sequence[Box]) -> list[list[int]]:
    runs: set[tuple[int, ...]] = {
        tuple(run) for start, end in _neighbours(boxes) if len(run := _run(boxes, start, end)) > 1
    }
    lines: list[list[int]] = []
    taken: set[int] = set()
    for one in sorted(runs, key=lambda run: (-len(run), _spread(boxes, run), run)):
        if taken.isdisjoint(one) and (len(one) > 2 or not lines or len(lines[0]) == 2):
            lines.append(list(one))
            taken.update(one)
    return lines


def _neighbours(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Return the pairs of things that could begin a line."""
    pairs = []
    for one, box in enumerate(boxes):
        near = [(_gap(box, other), k) for k, other in enumerate(boxes) if k != one]
        near = [(gap, k) for gap, k in near if gap <= SPACING * _size(box, boxes[k])]
        pairs += [(min(one, k), max(one, k)) for _, k in sorted(near)[:NEIGHBOURS]]
    return sorted(set(pairs))


def _run(boxes: Sequence[Box], start: int, end: int) -> list[int]:
    """Return the things along the line through two of them, without a gap that is too wide."""
    (x, y), (u, v) = _centre(boxes[start]), _centre(boxes[end])
    length = math.hypot(u - x, v - y)
    if not length:
        return []
    across, down = (u - x) / length, (v - y) / length
    along = []
    for index, box in enumerate(boxes):
        p, q = _centre(box)
        if abs((p - x) * down - (q - y) * across) <= OFF_LINE * math.sqrt(_area(box)):
            along.append(((p - x) * across + (q - y) * down, index))
    along.sort()
    run: list[int] = []
    for _, index in along:
        if run and _gap(boxes[run[-1]], boxes[index]) > SPACING * _size(boxes[run[-1]], boxes[index]):
            if start in run:
                break
            run = []
        run.append(index)
    return run if start in run and end in run else []


def _spread(boxes: Sequence[Box], run: Sequence[int]) -> float:
    return sum(_gap(boxes[one], boxes[other]) for one, other in pairwise(run)) / len(run)


def _gap(a: Box, b: Box) -> float:
    return math.hypot(max(0.0, a[0] - b[2], b[0] - a[2]), max(0.0, a[1] - b[3], b[1] - a[3]))


def _size(a: Box, b: Box) -> float:
    return (math.sqrt(_area(a)) + math.sqrt(_area(b))) / 2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
