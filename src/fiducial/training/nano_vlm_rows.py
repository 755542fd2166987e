"""Rows: what was put in an order, told off from the first on, each with its place.

A model of a few layers that is to say which is the third from the left has to find the first and the second, and has
nowhere to put them. Its thinking is such a place: each member is found as the next after the one before, and the answer
is the one behind the word that the question names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fiducial.language.phrases import Resolution
from fiducial.language.phrases.choosing import Pick

PLACES = ("The one at", "second", "third", "fourth", "fifth")
"""Words before the members; those that questions count with, so that a small vocabulary holds each as one token."""


def rows_of(found: Resolution) -> list[tuple[int, ...]]:
    """Return the numbers of the candidates in each row that a choice was made from, as far as :data:`PLACES` go.

    "The second disc from the left" has all discs from the left on, "the leftmost of the two largest discs" has all from
    the largest on, and then these two from the left. What was chosen without an order has no row, nor has
    what lies behind those that there are words for.

    Example:
        >>> from fiducial.geometry import Frame, Prompt
        >>> from fiducial.language.candidates import Candidate
        >>> from fiducial.language.phrases import resolve
        >>> frame = Frame.pixels(100, 100)
        >>> boxes = [(70, 40, 90, 55), (5, 40, 15, 50), (30, 40, 60, 60)]
        >>> ships = [Candidate(Prompt(frame, box=box, label="ship")) for box in boxes]
        >>> rows_of(resolve("the second ship from the right", ships, frame))
        [(0, 2, 1)]
    """
    return [row for pick in found.picks for row in _rows(pick)]


def _rows(pick: Pick) -> list[tuple[int, ...]]:
    inner = _rows(pick.inner) if pick.inner is not None else []
    line = (pick.fits if pick.target.rank > 0 else pick.fits[::-1])[: len(PLACES)]
    told_off = pick.orders and not pick.target.step and line and set(pick.chosen) <= set(line)
    return [*inner, line] if told_off else inner


def middles(row: Sequence[int], boxes: NDArray[np.float64], canvas: int) -> list[tuple[int, int]]:
    """Return the whole pixels (x, y) of the canvas in which the middles of boxes (N, 4), xyxy, lie."""
    inside = np.clip((boxes[list(row), :2] + boxes[list(row), 2:]) / 2, 0, canvas - 1).astype(int)
    return [(int(x), int(y)) for x, y in inside]


def told(rows: Sequence[Sequence[tuple[int, int]]]) -> str:
    """Write rows of places.

    Example:
        >>> told([[(23, 57), (50, 80)], [(50, 80)]])
        'The one at 23, 57; second 50, 80. The one at 50, 80.'
    """
    members = [[f"{word} {x}, {y}" for word, (x, y) in zip(PLACES, row, strict=False)] for row in rows]
    return " ".join(f"{'; '.join(row)}." for row in members)
