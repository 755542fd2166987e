"""Writing numbers: clipped to the image, rounded to a dialect's step, never without extent."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fiducial.errors import GeometryError
from fiducial.geometry import Box, Frame, Point, Prompt

Number = int | float
_SLACK = 1e-9


def fitted_box(prompt: Prompt) -> Box | None:
    """Return a prompt's box clipped to the image, or None when it has none.

    Raises:
        GeometryError: the box lies wholly outside the image.
    """
    if prompt.box is None:
        return None
    (left, right), (top, bottom) = _bounds(prompt.frame)
    x1, y1, x2, y2 = prompt.box
    box = (_clip(x1, left, right), _clip(y1, top, bottom), _clip(x2, left, right), _clip(y2, top, bottom))
    if not (box[0] < box[2] and box[1] < box[3]):
        raise GeometryError(f"the box {prompt.box} lies outside the image, whose frame is {prompt.frame}")
    return box


def fitted_points(prompt: Prompt, kind: int = 1) -> list[Point]:
    """Return a prompt's points of one kind.

    Raises:
        GeometryError: a point lies outside the image.
    """
    (left, right), (top, bottom) = _bounds(prompt.frame)
    points = []
    for x, y in prompt.positive_points if kind == 1 else prompt.negative_points:
        inside = _clip(x, left, right), _clip(y, top, bottom)
        if abs(inside[0] - x) > _SLACK * (right - left) or abs(inside[1] - y) > _SLACK * (bottom - top):
            raise GeometryError(f"the point ({x:g}, {y:g}) lies outside the image, whose frame is {prompt.frame}")
        points.append(inside)
    return points


def needed_box(prompt: Prompt, dialect: str) -> Box:
    """Return a prompt's box clipped to the image.

    Raises:
        GeometryError: the prompt has points only.
    """
    box = fitted_box(prompt)
    if box is None:
        raise GeometryError(f"{dialect} writes boxes only, and this prompt has points only: give it a box")
    return box


def rounded(value: float, decimals: int) -> Number:
    """Round to a number of decimals; none gives an int."""
    return math.floor(value + 0.5) if decimals == 0 else round(value, decimals)


def rounded_box(box: Box, frame: Frame, decimals: int) -> list[Number]:
    """Round a box so that it keeps an extent of one step at least."""
    (left, right), (top, bottom) = _bounds(frame)
    x1, x2 = _rounded_span(box[0], box[2], left, right, decimals)
    y1, y2 = _rounded_span(box[1], box[3], top, bottom, decimals)
    return [x1, y1, x2, y2]


def plain_label(label: str | None) -> str:
    """Return a label that cannot be taken for a tag, a token or a separator: those signs become spaces."""
    return " ".join(re.sub(r"[<>|;\"\[\](){}]", " ", label or "").split())


def dumps(value: Any) -> str:
    """Write JSON as models do: one line, letters as they are, lone surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _rounded_span(low: float, high: float, first: float, last: float, decimals: int) -> tuple[Number, Number]:
    a, b = rounded(low, decimals), rounded(high, decimals)
    if a < b:
        return a, b
    # Both ends fall on one step: take the step that holds the lower end, so that neither moves by more than one.
    step = 1.0 if decimals == 0 else 10.0**-decimals
    a = rounded(math.floor(low / step) * step, decimals)
    if a + step <= last * (1 + _SLACK):
        return a, rounded(a + step, decimals)
    return rounded(a - step, decimals), a


def _bounds(frame: Frame) -> tuple[tuple[float, float], tuple[float, float]]:
    return (
        (min(frame.left, frame.right), max(frame.left, frame.right)),
        (min(frame.top, frame.bottom), max(frame.top, frame.bottom)),
    )


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
