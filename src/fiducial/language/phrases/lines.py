"""Lines: the rows and columns in which things stand, as said and as they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fiducial.language.phrases import words as lexicon
from fiducial.language.phrases.request import Line

if TYPE_CHECKING:
    from fiducial.language.phrases.drafts import Draft

SAME_LINE = 0.5
"""Two extents lie on one line when they share at least this part of the smaller one."""

Box = tuple[float, float, float, float]


def line_of(draft: Draft) -> Line | None:
    """Return which line a phrase such as "the second row" names, or None where it says nothing that tells it.

    Args:
        draft: a phrase whose noun is a row or a column.
    """
    kind = draft.line_kind
    if draft.all_of("COLOUR", "TRAIT", "CLOSEST", "FRACTION"):
        return None
    rank, step = _rank(draft, kind)
    if rank is None:
        return None
    counts = draft.all_of("COUNT")
    plural = draft.noun[0] != kind and not step
    count = lexicon.number_of(str(counts[0])) if counts else 0 if plural else 1
    return Line(kind, rank, draft.words, count, step)


def _rank(draft: Draft, kind: str) -> tuple[int | None, int]:
    """Return where the line is, and the step of "every other row"."""
    side = _side(draft, kind)
    if side == "centre":
        return (None if draft.all_of("ORDINAL", "STRIDE", "COUNT") else 0), 0
    if side == "none":
        return None, 0
    sign = -1 if side == lexicon.LINES[kind][1] else 1
    strides = draft.all_of("STRIDE")
    if strides:
        first, step = stride_of(str(strides[0]))
        return sign * first, step
    ordinals = draft.all_of("ORDINAL")
    if ordinals:
        return sign * lexicon.ordinal_of(str(ordinals[0])), 0
    if len(draft.noun) > 1:
        return max(1, int(draft.noun[1])), 0
    return (sign if side else None), 0


def _side(draft: Draft, kind: str) -> str:
    """Return the side from which lines are counted, "centre", nothing, or "none" for a side that lines do not have."""
    told = [draft.sides, draft.counted_from, *(sides for sides, closest in draft.toward if closest)]
    sides = {side for group in told for side in group}
    known = {*lexicon.LINES[kind], "centre"}
    unplaced = any(lexicon.superlative(str(token)).measure != "place" for token in draft.all_of("SUPERLATIVE"))
    if len(sides) > 1 or not sides <= known or unplaced or any(not closest for _, closest in draft.toward):
        return "none"
    return next(iter(sides), "")


def stride_of(words: str) -> tuple[int, int]:
    """Return where "every other" and "every third" begin, and their step: (1, 2) and (3, 3)."""
    which = words.removeprefix("every ")
    if which == "other":
        return 1, 2
    step = lexicon.ordinal_of(which)
    return step, step


def lines_among(boxes: Sequence[Box], kind: str) -> list[list[int]]:
    """Sort things into rows or columns.

    Things are taken by their centres, from the top for rows and from the left for columns. A thing joins the
    line before it when its extent across the line shares at least half of the smaller of the two with the mean
    extent of that line; else it begins a new one.

    Args:
        boxes: x1, y1, x2, y2 each, y downwards.
        kind: ``"row"`` or ``"column"``.

    Returns:
        The indices of each line, lines in order, things along the line.

    Example:
        >>> lines_among([(0, 0, 9, 10), (30, 2, 39, 12), (0, 20, 9, 30)], "row")
        [[0, 1], [2]]
    """
    low, high = (1, 3) if kind == "row" else (0, 2)
    order = sorted(range(len(boxes)), key=lambda index: (boxes[index][low] + boxes[index][high], index))
    lines: list[list[int]] = []
    for index in order:
        if lines and _shares(boxes[index], [boxes[other] for other in lines[-1]], low, high):
            lines[-1].append(index)
        else:
            lines.append([index])
    along = 0 if low else 1
    return [sorted(line, key=lambda index: (boxes[index][along] + boxes[index][along + 2], index)) for line in lines]


def _shares(box: Box, line: Sequence[Box], low: int, high: int) -> bool:
    start, end = (sum(other[edge] for other in line) / len(line) for edge in (low, high))
    shared = min(box[high], end) - max(box[low], start)
    return shared > 0 and shared >= SAME_LINE * min(box[high] - box[low], end - start)
