"""Lists and dictionaries to targets: which values of a reply are the answer, and what the words beside them say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from fiducial.language.dialects.answering import ParsedReply
from fiducial.language.dialects.items import Collector, has_targets
from fiducial.language.dialects.nothing import says_nothing
from fiducial.language.dialects.replies import Notes, clean
from fiducial.language.dialects.shapes import Order, number
from fiducial.language.dialects.values import CutList, Document, Value, read_values

WORDS = "words around the coordinates"
_BETWEEN = re.compile(r"\s*+[,，;]?\s*+")
_BEFORE = 80
"""So many characters before a value tell what it is."""
_RANGE = re.compile(
    r"\b(?:rang(?:es?|ing)|normali[sz]ed|scaled?|interval|between|bounds|within|resolution|sizes?|dimensions?|canvas"
    r"|frame|system|corners?|grid|image|picture|whole|entire|full)\b[^.!?\n]*$"
)
_FRAME = re.compile(
    r"\s*+(?:pixel |image |normali[sz]ed |relative )?(?:frame|system|scale|range|grid|coordinate|space|canvas)",
    re.IGNORECASE,
)
_WITHIN = re.compile(r"(?:\b(?:in|to|between|within|range|from)|∈)\s*(?:the )?$")
_EXTENTS = frozenset({1, 10, 100, 255, 256, 511, 512, 999, 1000, 1023, 1024})
"""Where frames end that numbers are counted in."""
_MEASURE = re.compile(
    r"\b(?:rang(?:es?|ing)(?: (?:of|is|from))?|normali[sz]ed (?:to|in|into|within)|scaled (?:to|into)|interval"
    r"|resolution|sizes?|dimensions?|width and height|canvas|bounds)(?: (?:is|are|of|the|in|to|image|picture|was|at))*"
    r"\s*[:=]?\s*$"
)


def read_json_like(
    text: str,
    notes: Notes,
    *,
    ended: bool,
    order: Order = "xy",
    points: bool = True,
    keys: frozenset[str] | None = None,
    listed: bool = True,
    pairs: bool = False,
) -> ParsedReply:
    """Read targets from lists and dictionaries, however they are written.

    For ``ended`` see :func:`read_values`, for ``order``, ``points`` and ``keys`` :class:`Collector`; ``listed`` says
    whether the form is a list, rather than one dictionary, of which the last counts where there are several; ``pairs``
    whether (x1,y1),(x2,y2) is one box.
    """
    document = read_values(text, notes, ended=ended)
    if pairs:
        document = _paired(document, text, notes, ended)
    named = any(has_targets(value.data) for value in document.values)
    collector = Collector(notes, order=order, points=points, keys=keys, named=named)
    values = _relevant(document, text, notes)
    for value in values:
        before = len(collector.items)
        collector.walk(value)
        if not listed and 0 < before < len(collector.items):
            notes.add("several answers: the last was read")
            del collector.items[:before]
    words = clean(document.words)
    words = words if any(letter.isalnum() for letter in words) else ""
    if collector.items:
        _note_shape(values, listed, notes)
        if collector.empty:
            notes.add("empty lists beside the items")
        if words:
            notes.add(WORDS)
    said = not document.values and not document.cut_off and says_nothing(text)
    nothing = not collector.items and not collector.spoilt and (collector.empty > 0 or said)
    return ParsedReply(
        collector.items, nothing, collector.spoilt, document.cut_off, words=words, other_keys=collector.other_keys
    )


def _paired(document: Document, text: str, notes: Notes, ended: bool) -> Document:
    """Take each two round brackets with two numbers, one behind the other, for the corners of one box."""
    paired: list[Value] = []
    open_pair = False
    for value in document.values:
        last = paired[-1] if paired else None
        if last and open_pair and _BETWEEN.fullmatch(text, last.end, value.start) and _is_round(value, text):
            paired.pop()
            if isinstance(value.data, CutList):
                notes.add("an item that broke off was dropped")
            else:
                paired.append(Value([last.data, value.data], last.fenced, last.start, value.end))
            open_pair = False
        else:
            paired.append(value)
            open_pair = _is_round(value, text) and len(value.data) == 2
    if open_pair and not ended and _BETWEEN.fullmatch(text, paired[-1].end) and text[paired[-1].end :].strip():
        notes.add("an item that broke off was dropped")
        return replace(document, values=tuple(paired[:-1]), cut_off=True)
    return replace(document, values=tuple(paired))


def _is_round(value: Value, text: str) -> bool:
    return (
        text[value.start] in "(（"
        and isinstance(value.data, list)
        and all(number(part) is not None for part in value.data)
    )


def _relevant(document: Document, text: str, notes: Notes) -> list[Any]:
    """Leave out what is not the answer proper: outside its fence, bare among named items, or a range in prose."""
    fenced = [value for value in document.values if value.fenced]
    found = fenced or list(document.values)
    if len(found) < len(document.values):
        notes.add("values outside the code fence were left out")
    named = [has_targets(value.data) for value in found]
    if any(named):
        kept = [value for value, is_named in zip(found, named, strict=True) if is_named or not value.data]
        if len(kept) < len(found):
            notes.add("bare lists beside named items were left out")
        return [value.data for value in kept]
    boxes = sum(_is_box(value.data) for value in found)
    kept = [value for value in found if not _is_range(value, boxes - _is_box(value.data) > 0, text)]
    if len(kept) < len(found):
        notes.add("numbers that tell a range or a size were left out")
    return [value.data for value in kept]


def _is_range(value: Value, beside: bool, text: str) -> bool:
    """Say whether bare numbers tell how coordinates are counted, or a size, rather than where something is.

    ``beside`` says whether a box stands in the reply besides them: two numbers are no answer then.
    """
    data = value.data
    if value.fenced or not isinstance(data, list) or isinstance(data, CutList) or len(data) not in (2, 4):
        return False
    numbers = [number(part) for part in data]
    if None in numbers:
        return False
    before = text[max(0, value.start - _BEFORE) : value.start].lower()
    counted = _FRAME.match(text, value.end) is not None
    from_edge = numbers[0] in (0, -1) and (len(numbers) == 2 or numbers[1] == numbers[0])
    if len(numbers) == 2:
        reaches = from_edge and (numbers[1] in _EXTENTS or _WITHIN.search(before) is not None)
        spoken = any(letter.isalpha() for letter in before)
        return beside or counted or (spoken and reaches) or _MEASURE.search(before) is not None
    return beside and from_edge and (counted or _RANGE.search(before) is not None)


def _is_box(data: Any) -> bool:
    if not isinstance(data, list) or not data:
        return False
    return _is_box(data[0]) if isinstance(data[0], list) else len(data) == 4


def _note_shape(values: list[Any], listed: bool, notes: Notes) -> None:
    """Note what stands around the items, where that is not one list (or one dictionary)."""
    if len(values) > 1:
        notes.add("several values instead of one")
    if listed and any(isinstance(value, dict) for value in values):
        notes.add("objects without a list around them")
    if not listed and any(isinstance(value, list) for value in values):
        notes.add("a list around the object")
    if any(isinstance(value, list) and not any(isinstance(part, list | dict) for part in value) for value in values):
        notes.add("a flat list of numbers")
