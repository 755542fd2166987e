"""Places: words for where things lie in a picture, and whether such words are true of a point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fiducial.errors import InputError
from fiducial.geometry import Box, Frame, Point

if TYPE_CHECKING:
    from collections.abc import Mapping

SLACK = 0.05
"""By this share of an axis, words about one of its thirds or halves may be off and still agree."""
MOST = 2 / 3
"""A thing that takes more than this of both axes lies nowhere in particular."""

_THIRDS = ((0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0))
_NINTHS = (
    ("upper left", "top centre", "upper right"),
    ("centre left", "centre", "centre right"),
    ("lower left", "bottom centre", "lower right"),
)
_ALL, _FIRST, _SECOND = (0.0, 1.0), (0.0, 0.5), (0.5, 1.0)
_HALVES = {
    "left half": (_FIRST, _ALL),
    "right half": (_SECOND, _ALL),
    "upper half": (_ALL, _FIRST),
    "lower half": (_ALL, _SECOND),
}
PLACES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    **{
        words: (across, down)
        for row, down in zip(_NINTHS, _THIRDS, strict=True)
        for words, across in zip(row, _THIRDS, strict=True)
    },
    **_HALVES,
}
"""The words, each with the part of the width from the left and of the height from the top that it means."""
_SAID = re.compile(rf"\bin the ({'|'.join(sorted(PLACES, key=len, reverse=True))}) of the picture\b")


def place_of(x: float, y: float, frame: Frame) -> str:
    """Return the words for a point: the ninth of the picture in which it lies.

    Args:
        x: in numbers of the frame; a point outside the picture counts as the nearest one inside.
        y: so too.
        frame: any frame of the picture.

    Returns:
        One of ``upper left``, ``top centre``, ``upper right``, ``centre left``, ``centre``, ``centre right``,
        ``lower left``, ``bottom centre`` and ``lower right``.

    Example:
        >>> place_of(20, 30, Frame.pixels(300, 100)), place_of(0.5, 0.9, Frame.unit())
        ('upper left', 'bottom centre')
    """
    across, down = _unit(x, y, frame)
    return _NINTHS[_third(down)][_third(across)]


def place_of_all(points: Sequence[Point], frame: Frame) -> str | None:
    """Return words that are true of every point: a ninth, else a half, else None.

    Args:
        points: x, y each, in numbers of the frame; none has no place.
        frame: any frame of the picture.

    Example:
        >>> place_of_all([(10, 10), (40, 90)], Frame.pixels(100, 100))
        'left half'
    """
    ninths = {place_of(x, y, frame) for x, y in points}
    if len(ninths) == 1:
        return ninths.pop()
    halves = (words for words in _HALVES if all(place_agrees(words, x, y, frame, slack=0) for x, y in points))
    return next(halves, None) if points else None


def place_agrees(words: str, x: float, y: float, frame: Frame, *, slack: float = SLACK) -> bool:
    """Say whether a point lies where words say.

    Args:
        words: one of :data:`PLACES`.
        x: in numbers of the frame; a point outside the picture counts as the nearest one inside.
        y: so too.
        frame: any frame of the picture.
        slack: the place is this much larger on every side, as a share of the axis from 0.

    Raises:
        InputError: words that are no place, or a slack below 0.

    Example:
        >>> [place_agrees("upper left", x, 20, Frame.pixels(100, 100)) for x in (30, 37, 40)]
        [True, True, False]
    """
    if words not in PLACES:
        raise InputError(f"{words!r} is no place: known are {', '.join(PLACES)}")
    if slack < 0:
        raise InputError(f"a slack is a number from 0, got {slack}")
    bounds = PLACES[words]
    return all(
        low - slack <= value <= high + slack for value, (low, high) in zip(_unit(x, y, frame), bounds, strict=True)
    )


def where(boxes: Sequence[Box], frame: Frame) -> str:
    """Say in one sentence where things lie, by the centres of their boxes.

    Args:
        boxes: x1, y1, x2, y2 each, in numbers of the frame.
        frame: any frame of the picture.

    Returns:
        The sentence, with a full stop; nothing for no box.

    Example:
        >>> where([(10, 10, 20, 20)], Frame.pixels(100, 100))
        'It lies in the upper left of the picture.'
        >>> where([(10, 10, 20, 20), (80, 80, 90, 90)], Frame.pixels(100, 100))
        'They lie in different parts of the picture.'
    """
    if not boxes:
        return ""
    if len(boxes) == 1 and _is_most(boxes[0], frame):
        return "It takes up most of the picture."
    words = place_of_all([((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes], frame)
    if words is None:
        return "They lie in different parts of the picture."
    return f"{'It lies' if len(boxes) == 1 else 'They lie'} in the {words} of the picture."


def named_place(text: str) -> str | None:
    """Return the place that a text of :func:`where` names, wherever it stands in the text; None when it names none.

    Example:
        >>> named_place("Chose the only ship. It lies in the upper left of the picture.")
        'upper left'
    """
    found = _SAID.search(text)
    return found[1] if found else None


def _unit(x: float, y: float, frame: Frame) -> tuple[float, float]:
    """Return a point as shares of the width from the left and of the height from the top, in 0..1."""
    across, down = frame.points_to((x, y), Frame.unit()).tolist()
    return min(1.0, max(0.0, across)), min(1.0, max(0.0, down))


def _third(share: float) -> int:
    return min(2, int(share * 3))


def _is_most(box: Box, frame: Frame) -> bool:
    x1, y1, x2, y2 = frame.boxes_to(box, Frame.unit()).tolist()
    return bool(x2 - x1 > MOST and y2 - y1 > MOST)
