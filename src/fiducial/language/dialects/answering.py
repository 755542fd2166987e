"""From what was parsed to an answer: items are placed in a frame, or left out with a note that says why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from fiducial.geometry import Box, Frame, Point, Prompt, Prompts
from fiducial.geometry.prompts import fractions_note
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects.items import Item
from fiducial.language.dialects.replies import MAX_ITEMS, Notes, clean


@dataclass(slots=True)
class ParsedReply:
    """What a grammar understood of a reply, before its numbers are placed in a frame."""

    items: list[Item] = field(default_factory=list)
    nothing: bool = False  # whether the reply says plainly that there is no target
    spoilt: int = 0  # how many targets could not be read
    cut_off: bool = False
    thinking: str = ""
    words: str = ""  # those around the coordinates
    problem: str = ""  # why the reply breaks the strict format, or is void however it is read
    other_keys: set[str] = field(default_factory=set)  # keys of targets that the form does not have, as written


def to_answer(
    parsed: ParsedReply, frame: Frame, raw: str, notes: Notes, *, strict: bool = False, clip: bool = True
) -> Answer:
    """Place what was parsed in a frame and say how asking ended.

    Where ``strict``, an item that cannot be used spoils the answer, and one a little past the picture unless ``clip``.
    """
    placer = _Placer(frame, notes)
    meant = (
        parsed.items if strict else [item for item in map(partial(_without_placeholders, notes), parsed.items) if item]
    )
    prompts = placer.place(meant)
    problem = parsed.problem
    if strict and not problem and len(parsed.items) > MAX_ITEMS:
        problem = f"the reply names {len(parsed.items)} items, more than {MAX_ITEMS}"
    if strict and not problem and (placer.dropped or placer.swapped or (placer.clipped and not clip)):
        problem = "a box or point is impossible in this frame"
    if problem:
        return Answer(Outcome.MALFORMED, Prompts(frame), parsed.thinking, problem, raw, notes.lines())
    parsed = replace(parsed, items=meant, nothing=parsed.nothing or (bool(parsed.items) and not meant))
    outcome, why = _outcome(parsed, prompts, bool(raw.strip()))
    text = why if outcome is Outcome.MALFORMED else parsed.words or why
    return Answer(outcome, prompts, parsed.thinking, text, raw, notes.lines())


def _without_placeholders(notes: Notes, item: Item) -> Item | None:
    """Take out what stands where a form asks for numbers and there are none: zeros or minus ones throughout."""
    if not all(map(_is_placeholder, item.points)):
        return item
    if item.box is None or _is_placeholder(item.box):
        notes.add("zeros or minus ones in place of numbers: no target")
        return None
    x1, x2 = sorted(item.box[::2])
    y1, y2 = sorted(item.box[1::2])
    if all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in item.points):
        return item
    notes.add("points of zeros or minus ones outside their box were dropped")
    return replace(item, points=(), point_labels=())


def _is_placeholder(numbers: tuple[float, ...]) -> bool:
    return set(numbers) in ({0}, {-1})


def _outcome(parsed: ParsedReply, prompts: Prompts, written: bool) -> tuple[Outcome, str]:
    """Say how asking ended, and in words why there is nothing, or not everything; whether anything was ``written``."""
    if parsed.cut_off:
        whole = f"{len(prompts)} whole item{'s' if len(prompts) != 1 else ''}"
        return Outcome.TRUNCATED, f"the reply broke off after {whole}"
    if prompts:
        return Outcome.FOUND, ""
    if parsed.nothing and not parsed.items and not parsed.spoilt:
        return Outcome.NO_TARGET, "the reply names no target"
    if parsed.items or parsed.spoilt:
        return Outcome.MALFORMED, "the reply holds coordinates, but none that can be used"
    if parsed.words:
        return Outcome.MALFORMED, f"the reply holds no coordinates: {clean(parsed.words, 120)!r}"
    return Outcome.MALFORMED, "the reply holds no coordinates" if written else "the reply is empty"


FAR = 0.5
"""A number further past the picture than this share of its extent means another frame, not a slip."""


class _Placer:
    """Turns items into prompts of one frame, and counts what was dropped, put in order and clipped for that.

    Numbers are never rescaled to make them fit. What lies a little past the picture is clipped; what
    lies far past it was meant in another frame, and a note says which one that seems to be.
    """

    def __init__(self, frame: Frame, notes: Notes) -> None:
        self._frame = frame
        self._notes = notes
        self._x, self._y = frame.extents
        self.dropped = self.swapped = self.clipped = 0

    def place(self, items: Sequence[Item]) -> Prompts:
        """Return the prompts of the items that can be used, in order."""
        if len(items) > MAX_ITEMS:
            self._notes.add(f"only the first {MAX_ITEMS} items were kept")
        placed = [self._prompt(item) for item in items[:MAX_ITEMS]]
        self._warn_of_fractions(items)
        return Prompts(self._frame, tuple(prompt for prompt in placed if prompt is not None))

    def _prompt(self, item: Item) -> Prompt | None:
        box = self._box(item.box) if item.box is not None else None
        placed = [(self._point(point), kind) for point, kind in zip(item.points, item.point_labels, strict=True)]
        inside = [(point, kind) for point, kind in placed if point is not None]
        self.dropped += len(placed) - len(inside) + (box is None and item.box is not None)
        if box is None and not any(kind == 1 for _, kind in inside):
            return None
        points, kinds = tuple(point for point, _ in inside), tuple(kind for _, kind in inside)
        return Prompt(self._frame, box, points, kinds, item.label, item.score)

    def _box(self, written: tuple[float, ...]) -> Box | None:
        x1, y1, x2, y2 = written
        if not all(map(math.isfinite, written)):
            self._notes.add("a box with a number that is not finite was dropped")
            return None
        if x1 > x2 or y1 > y2:
            self.swapped += 1
            self._notes.add("swapped corners put in order")
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if self._is_far((x1, x2), (y1, y2)):
            self._notes.add(f"a box far outside the frame was dropped: {self._meant(written)}")
            return None
        if x1 == x2 or y1 == y2:
            self._notes.add("a box without area was dropped")
            return None
        box = self._frame.clip_box((x1, y1, x2, y2))
        if not (box[0] < box[2] and box[1] < box[3]):
            self._notes.add(f"a box wholly outside the frame was dropped: {self._meant(written)}")
            return None
        if box != (x1, y1, x2, y2):
            self.clipped += 1
            self._notes.add("a box clipped to the frame")
        return box

    def _point(self, written: tuple[float, ...]) -> Point | None:
        x, y = written
        if not (math.isfinite(x) and math.isfinite(y)):
            self._notes.add("a point with a number that is not finite was dropped")
            return None
        if self._is_far((x,), (y,)):
            self._notes.add(f"a point far outside the frame was dropped: {self._meant(written)}")
            return None
        inside = self._frame.clip_point((x, y))
        if inside != (x, y):
            self.clipped += 1
            self._notes.add("a point clipped to the frame")
        return inside

    def _is_far(self, xs: Iterable[float], ys: Iterable[float]) -> bool:
        """Say whether a number lies past the picture by more than half its extent."""
        for values, (low, high) in ((xs, self._x), (ys, self._y)):
            margin = FAR * (high - low)
            if any(value < low - margin or value > high + margin for value in values):
                return True
        return False

    def _meant(self, numbers: Sequence[float]) -> str:
        """Say in words which frame some numbers seem to be counted in."""
        largest = max(map(abs, numbers))
        here = f"this one is {self._x[0]:g}..{self._x[1]:g} x {self._y[0]:g}..{self._y[1]:g}"
        if min(numbers) < 0:
            return f"the numbers reach {min(numbers):g}, {here}"
        if largest <= 100:
            return f"the numbers look like percent (0..100), {here}"
        if largest <= 1000:
            return f"the numbers look like thousandths (0..1000) or pixels, {here}"
        return f"the numbers reach {largest:g} and look like pixels of a larger image, {here}"

    def _warn_of_fractions(self, items: Sequence[Item]) -> None:
        """Note it when every number of a reply is a fraction of 1 in a frame that is much larger."""
        numbers = [value for item in items for value in (*(item.box or ()), *(v for p in item.points for v in p))]
        if said := fractions_note(self._frame, numbers):
            self._notes.add(said)
