"""Readings: what a grammar understood of a reply, and the answer that it amounts to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fiducial.geometry import Frame, Prompts
from fiducial.language.answers import Answer, Outcome
from fiducial.language.parsing.items import Collector, Item, Order, has_targets
from fiducial.language.parsing.limits import MAX_ITEMS
from fiducial.language.parsing.notes import Notes, clean
from fiducial.language.parsing.placing import Placer
from fiducial.language.parsing.reader import Document, Value, read_values

WORDS = "words around the coordinates"


@dataclass(slots=True)
class Reading:
    """What a grammar understood of a reply, before its numbers are placed in a frame.

    Args:
        items: the targets.
        nothing: whether the reply says plainly that there is no target.
        spoilt: how many targets could not be read.
        cut_off: whether the reply broke off.
        thinking: what stands between the thinking tags.
        words: the words beside the coordinates.
        problem: why the reply breaks the strict format, or nothing.
    """

    items: list[Item] = field(default_factory=list)
    nothing: bool = False
    spoilt: int = 0
    cut_off: bool = False
    thinking: str = ""
    words: str = ""
    problem: str = ""


def read_json_like(
    text: str,
    notes: Notes,
    *,
    ended: bool,
    order: Order = "xy",
    points: bool = True,
    keys: frozenset[str] | None = None,
    listed: bool = True,
) -> Reading:
    """Read targets from lists and dictionaries, however they are written.

    Args:
        text: the answer, without thinking and tags.
        notes: where repairs are noted.
        ended: whether the text is known to be complete.
        order: which comes first where a list holds coordinates.
        points: whether two bare numbers are a point.
        keys: the keys of the form; others are noted. None: the form has no dictionaries.
        listed: whether the form is a list, rather than one dictionary.
    """
    document = read_values(text, notes, ended=ended)
    collector = Collector(notes, order=order, points=points, keys=keys)
    relevant = _relevant(document, notes)
    for value in relevant:
        collector.walk(value.data)
    found = collector.found
    if found.items:
        _note_shape([value.data for value in relevant], listed, notes)
    if found.items and found.empty:
        notes.add("empty lists beside the items")
    said = not document.values and clean(text).strip(" .`").lower() in ("null", "none", "nil")
    nothing = not found.items and not found.spoilt and (found.empty > 0 or said)
    words = _words(document.words)
    if words and found.items:
        notes.add(WORDS)
    return Reading(found.items, nothing, found.spoilt, document.cut_off, words=words)


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


def _relevant(document: Document, notes: Notes) -> list[Value]:
    """Leave out what stands beside the answer proper: outside its fence, or bare beside named items."""
    values = list(document.values)
    fenced = [value for value in values if value.fenced]
    if fenced and len(fenced) < len(values):
        notes.add("values outside the code fence were left out")
        values = fenced
    named = [has_targets(value.data) for value in values]
    if any(named):
        kept = [value for value, is_named in zip(values, named, strict=True) if is_named or not value.data]
        if len(kept) < len(values):
            notes.add("bare lists beside named items were left out")
        values = kept
    return values


def _words(text: str) -> str:
    words = clean(text)
    return words if any(letter.isalnum() for letter in words) else ""


def to_answer(
    reading: Reading, frame: Frame, raw: str, notes: Notes, *, strict: bool = False, clip: bool = True
) -> Answer:
    """Place what was read in a frame and say how asking ended.

    Args:
        reading: what the grammar understood.
        frame: the frame of the numbers.
        raw: the reply.
        notes: the repairs so far.
        strict: whether an item that cannot be used spoils the answer.
        clip: whether a strict answer may hold numbers a little past the picture.
    """
    placer = Placer(frame, notes)
    prompts = placer.place(reading.items)
    problem = reading.problem
    spoilt = placer.dropped or placer.swapped or (placer.clipped and not clip)
    if strict and not problem and len(reading.items) > MAX_ITEMS:
        problem = f"the reply names {len(reading.items)} items, more than {MAX_ITEMS}"
    if strict and spoilt and not problem:
        problem = "a box or point is impossible in this frame"
    if problem:
        prompts = Prompts(frame)
    outcome = Outcome.MALFORMED if problem else _outcome(reading, prompts)
    text = problem or reading.words
    if not text or outcome is Outcome.MALFORMED:
        text = problem or _why(outcome, reading, prompts)
    return Answer(outcome, prompts, reading.thinking, text, raw, notes.lines())


def _outcome(reading: Reading, prompts: Prompts) -> Outcome:
    if reading.cut_off:
        return Outcome.TRUNCATED
    if prompts:
        return Outcome.FOUND
    return Outcome.NO_TARGET if reading.nothing else Outcome.MALFORMED


def _why(outcome: Outcome, reading: Reading, prompts: Prompts) -> str:
    if outcome is Outcome.FOUND:
        return ""
    if outcome is Outcome.TRUNCATED:
        return f"the reply broke off after {len(prompts)} whole item{'s' if len(prompts) != 1 else ''}"
    if outcome is Outcome.NO_TARGET:
        return "the reply names no target"
    if reading.items or reading.spoilt:
        return "the reply holds coordinates, but none that can be used"
    if reading.words:
        return f"the reply holds no coordinates: {clean(reading.words, 120)!r}"
    return "the reply holds no coordinates" if reading.thinking else "the reply is empty"
