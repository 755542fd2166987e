"""Exact forms: numbers written to a dialect's step, and small readers that accept one form and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from fiducial.errors import GeometryError
from fiducial.geometry import Box, Frame, Point, Prompt
from fiducial.language.dialects.replies import MAX_NUMBER, without_strings

Number = int | float
_SLACK = 1e-9
_BLANK = re.compile(r"\s*+")


def fitted_box(prompt: Prompt) -> Box | None:
    """Return a prompt's box clipped to the image, or None when it has none; one wholly outside is an error."""
    if prompt.box is None:
        return None
    box = prompt.frame.clip_box(prompt.box)
    if not (box[0] < box[2] and box[1] < box[3]):
        raise GeometryError(f"the box {prompt.box} lies outside the image, whose frame is {prompt.frame}")
    return box


def fitted_points(prompt: Prompt, kind: int = 1) -> list[Point]:
    """Return a prompt's points of one kind; one outside the image is an error."""
    points = []
    for x, y in prompt.positive_points if kind == 1 else prompt.negative_points:
        inside = prompt.frame.clip_point((x, y))
        if abs(inside[0] - x) > _SLACK * prompt.frame.width or abs(inside[1] - y) > _SLACK * prompt.frame.height:
            raise GeometryError(f"the point ({x:g}, {y:g}) lies outside the image, whose frame is {prompt.frame}")
        points.append(inside)
    return points


def needed_box(prompt: Prompt, dialect: str) -> Box:
    """Return a prompt's box clipped to the image; a prompt that has points only is an error."""
    box = fitted_box(prompt)
    if box is None:
        raise GeometryError(f"{dialect} writes boxes only, and this prompt has points only: give it a box")
    return box


def rounded(value: float, decimals: int) -> Number:
    """Round to a number of decimals; none gives an int."""
    return math.floor(value + 0.5) if decimals == 0 else round(value, decimals)


def rounded_box(box: Box, frame: Frame, decimals: int) -> list[Number]:
    """Round a box so that it keeps an extent of one step at least."""
    (_, right), (_, bottom) = frame.extents
    x1, x2 = _rounded_span(box[0], box[2], right, decimals)
    y1, y2 = _rounded_span(box[1], box[3], bottom, decimals)
    return [x1, y1, x2, y2]


def plain_label(label: str | None) -> str:
    """Return a label that cannot be taken for a tag, a token or a separator: those signs become spaces."""
    return " ".join(re.sub(r"[<>|;\"\[\](){}]", " ", label or "").split())


def dumps(value: Any) -> str:
    """Write JSON as models do: one line, letters as they are, lone surrogates escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _rounded_span(low: float, high: float, last: float, decimals: int) -> tuple[Number, Number]:
    a, b = rounded(low, decimals), rounded(high, decimals)
    if a < b:
        return a, b
    # Both ends fall on one step: take the step that holds the lower end, so that neither moves by more than one.
    step = 1.0 if decimals == 0 else 10.0**-decimals
    a = rounded(math.floor(low / step) * step, decimals)
    if a + step <= last * (1 + _SLACK):
        return a, rounded(a + step, decimals)
    return rounded(a - step, decimals), a


_BETWEEN = re.compile(r"</think>\s*+<answer>")
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")


class NotExact(Exception):  # noqa: N818 - Dialect.decode catches it, it never leaves this package
    """A reply breaks the strict form; the message says where."""


def exact_tags(text: str) -> tuple[str, str]:
    """Return what stands in <think>..</think><answer>..</answer>, which must be the whole text."""
    if any(text.count(tag) != 1 for tag in _TAGS):
        raise NotExact("the reply needs each of <think>, </think>, <answer> and </answer> exactly once")
    between = _BETWEEN.search(text)
    if not between or not text.startswith("<think>") or not text.endswith("</answer>"):
        raise NotExact("the reply needs to be <think>...</think><answer>...</answer> and nothing else")
    return text[len("<think>") : between.start()].strip(), text[between.end() : -len("</answer>")].strip()


def exact_fence(text: str) -> str:
    """Return what stands in a ```json fence, which must be the whole text."""
    if not text.startswith("```json") or not text.endswith("```") or without_strings(text).count("```") != 2:
        raise NotExact("the answer needs to be one ```json fence and nothing else")
    return text[len("```json") : -3].strip()


def fence_end(text: str) -> int | None:
    """Return where a ```json fence with one value in it closes, or None."""
    opened = said_end(text, ("```json",))
    inside = None if opened is None else json_end(text, opened)
    closed = None if inside is None else _after_blanks(text, inside)
    return closed + 3 if closed is not None and text.startswith("```", closed) else None


def exact_json(text: str) -> Any:
    """Return the JSON value that a text is."""
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        raise NotExact("the answer is not valid JSON") from None


def json_end(text: str, start: int = 0) -> int | None:
    """Return where the list or object ends that begins at ``start``, after white space, or None where none does."""
    first = _after_blanks(text, start)
    if text[first : first + 1] not in ("[", "{"):
        return None
    try:
        return _JSON.raw_decode(text, first)[1]
    except (ValueError, RecursionError):
        return None


def said_end(text: str, phrases: Iterable[str]) -> int | None:
    """Return where the first of some phrases ends with which a text begins, after white space, or None."""
    first = _after_blanks(text)
    return next((first + len(phrase) for phrase in phrases if text.startswith(phrase, first)), None)


def exact_numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    """Return a list of exactly so many finite numbers."""
    if (
        not isinstance(value, list)
        or len(value) != count
        or any(isinstance(part, bool) or not isinstance(part, int | float) for part in value)
    ):
        raise NotExact(f"{what} needs to be a list of {count} numbers")
    numbers = tuple(map(float, value))
    if not all(map(math.isfinite, numbers)):
        raise NotExact(f"{what} needs finite numbers")
    return numbers


def _after_blanks(text: str, start: int = 0) -> int:
    match = _BLANK.match(text, start)
    return match.end() if match else start


def _int(digits: str) -> float:
    return int(digits) if len(digits) <= MAX_NUMBER else math.inf


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("repeated keys")
    return fields


_JSON = json.JSONDecoder(parse_int=_int, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
