"""Strict reading: small exact readers that accept one form and nothing else."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fiducial.language.parsing import MAX_CHARACTERS, MAX_NUMBER
from fiducial.language.parsing.replies import without_strings

_BETWEEN = re.compile(r"</think>\s*+<answer>")
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")


class NotExact(Exception):  # noqa: N818 - it is caught within this package and never leaves it
    """A reply breaks the strict form; the message says where."""


def exact_text(text: str) -> str:
    """Return a reply without the white space around it.

    Raises:
        NotExact: it is longer than what is ever read.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotExact(f"the reply is longer than {MAX_CHARACTERS} characters")
    return text.strip()


def exact_tags(text: str) -> tuple[str, str]:
    """Return what stands in <think>..</think><answer>..</answer>, which must be the whole text.

    Raises:
        NotExact: a tag is missing, repeated, or something stands beside them.
    """
    if any(text.count(tag) != 1 for tag in _TAGS):
        raise NotExact("the reply needs each of <think>, </think>, <answer> and </answer> exactly once")
    between = _BETWEEN.search(text)
    if not between or not text.startswith("<think>") or not text.endswith("</answer>"):
        raise NotExact("the reply needs to be <think>...</think><answer>...</answer> and nothing else")
    return text[len("<think>") : between.start()].strip(), text[between.end() : -len("</answer>")].strip()


def exact_fence(text: str) -> str:
    """Return what stands in a ```json fence, which must be the whole text.

    Raises:
        NotExact: the fence is missing, not closed, or not the whole.
    """
    if not text.startswith("```json") or not text.endswith("```") or without_strings(text).count("```") != 2:
        raise NotExact("the answer needs to be one ```json fence and nothing else")
    return text[len("```json") : -3].strip()


def exact_json(text: str) -> Any:
    """Return the JSON value that a text is.

    Raises:
        NotExact: it is not JSON, or holds NaN or an infinity.
    """
    try:
        return json.loads(text, parse_int=_int, parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise NotExact("the answer is not valid JSON") from None


def exact_numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    """Return a list of exactly so many finite numbers.

    Raises:
        NotExact: it is anything else.
    """
    if not isinstance(value, list) or len(value) != count:
        raise NotExact(f"{what} needs to be a list of {count} numbers")
    if any(isinstance(part, bool) or not isinstance(part, int | float) for part in value):
        raise NotExact(f"{what} needs to be a list of {count} numbers")
    numbers = tuple(_as_float(part) for part in value)
    if not all(map(math.isfinite, numbers)):
        raise NotExact(f"{what} needs finite numbers")
    return numbers


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _int(digits: str) -> float:
    return int(digits) if len(digits) <= MAX_NUMBER else math.inf


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("repeated keys")
    return fields
