"""The JSON forms: a list of dictionaries, perhaps fenced or after thinking; or a bare nested list of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fiducial.errors import GeometryError
from fiducial.geometry import Point, Prompt, Prompts
from fiducial.language.dialects.answering import ParsedReply
from fiducial.language.dialects.base import Grammar
from fiducial.language.dialects.exact import (
    NotExact,
    Number,
    dumps,
    exact_fence,
    exact_json,
    exact_numbers,
    exact_tags,
    fence_end,
    fitted_box,
    fitted_points,
    json_end,
    needed_box,
    rounded,
    rounded_box,
    said_end,
)
from fiducial.language.dialects.items import Item
from fiducial.language.dialects.json_reading import read_json_like
from fiducial.language.dialects.replies import Notes, Reply, clean_label
from fiducial.language.dialects.shapes import Order, x_first

_BOX_START = "<|box_start|>"


@dataclass(frozen=True, slots=True)
class PointKey:
    """A key that holds ``count`` points; ``kind`` 1 means on the target, ``nested`` a list of points, not one point."""

    name: str
    count: int = 1
    kind: int = 1
    nested: bool = False


@dataclass(frozen=True, slots=True)
class JsonGrammar:
    """A JSON list with one dictionary per target.

    Args:
        name: the dialect's name, for messages.
        box_key: the key of the box.
        points: the keys of points; all of them stand in each item, unless ``either`` is set.
        either: an item holds a box or one point, not both.
        box_required: whether an item may do without a box.
        label_key: the key of the label, or None when labels are not written.
        order: which comes first in boxes and points.
        fence: whether a ```json fence is part of the form, free, or no part of it.
        tags: whether the form has thinking and answer tags.
        single: the answer is one dictionary, not a list.
        native: another form of the same family that is read when there is no JSON.
        voiding: keys with which a reply is void, however it is read.
        decimals: to how many decimals numbers are written.
    """

    name: str
    box_key: str = "bbox_2d"
    points: tuple[PointKey, ...] = ()
    either: bool = False
    box_required: bool = True
    label_key: str | None = "label"
    order: Order = "xy"
    fence: Literal["required", "free", "none"] = "free"
    tags: bool = False
    single: bool = False
    native: Grammar | None = None
    voiding: frozenset[str] = frozenset()
    decimals: int = 0

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts; one item a line."""
        items = [self._item(prompt) for prompt in prompts]
        if self.single:
            if len(items) > 1:
                raise GeometryError(f"{self.name} writes one target, got {len(items)} prompts")
            body = dumps(items[0] if items else {})
        else:
            body = "[\n" + ",\n".join(map(dumps, items)) + "\n]" if items else "[]"
        if self.fence != "none":
            body = f"```json\n{body}\n```"
        return f"<think>{thinking}</think>\n<answer>\n{body}\n</answer>" if self.tags else body

    def _item(self, prompt: Prompt) -> dict[str, Any]:
        box = fitted_box(prompt)
        item: dict[str, Any] = {}
        if box is not None:
            item[self.box_key] = list(x_first(rounded_box(box, prompt.frame, self.decimals), self.order))
        elif self.box_required and not self.either:
            raise GeometryError(f"{self.name} needs a box, and this prompt has points only: give it a box")
        if not self.either:
            left = {kind: fitted_points(prompt, kind) for kind in {key.kind for key in self.points} | {1}}
            for key in self.points:
                written = [self._point(point) for point in self._some(left[key.kind], key)]
                left[key.kind] = left[key.kind][key.count :]
                item[key.name] = written if key.nested else written[0]
        elif box is None:
            key = self.points[0]
            item[key.name] = self._point(self._some(fitted_points(prompt), key)[0])
        if self.label_key and prompt.label:
            item[self.label_key] = prompt.label
        return item

    def _some(self, points: list[Point], key: PointKey) -> list[Point]:
        if len(points) < key.count:
            which = "positive" if key.kind == 1 else "negative"
            raise GeometryError(f"{self.name} needs {key.count} {which} point(s) for {key.name!r}, got {len(points)}")
        return points[: key.count]

    def _point(self, point: Point) -> list[Number]:
        return list(x_first([rounded(value, self.decimals) for value in point], self.order))

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read whatever a model made of it."""
        parsed = read_json_like(
            reply.answer,
            notes,
            ended=reply.ended,
            order=self.order,
            points=self.either,
            keys=frozenset(self._keys),
            listed=not self.single,
            pairs=self.native is not None and _BOX_START not in reply.answer,
        )
        if self.native and not parsed.items and _BOX_START in reply.answer:
            notes.add("box tokens instead of JSON")
            parsed = self.native.read(reply, notes)
        if parsed.items or parsed.nothing:
            self._note_form(reply, parsed, notes)
        for key in sorted(parsed.other_keys & self.voiding):
            parsed.problem = f"the key {key!r} makes a reply of this form void"
        return parsed

    def _note_form(self, reply: Reply, parsed: ParsedReply, notes: Notes) -> None:
        if self.tags and not reply.tagged:
            notes.add("no answer tags")
        if self.fence == "required" and "```" not in reply.answer:
            notes.add("no code fence")
        wanted = {kind: sum(key.count for key in self.points if key.kind == kind) for kind in (0, 1)}
        if self.either or not self.points:
            return
        for item in parsed.items:
            for kind, name in ((1, "positive"), (0, "negative")):
                got = item.point_labels.count(kind)
                if got != wanted[kind]:
                    notes.add(f"{got} {name} points instead of {wanted[kind]}")

    @property
    def _keys(self) -> set[str]:
        return {self.box_key, *(key.name for key in self.points)} | ({self.label_key} if self.label_key else set())

    def read_strict(self, text: str) -> ParsedReply:
        """Read exactly this form."""
        thinking, body = exact_tags(text) if self.tags else ("", text)
        if self.fence == "required" or (self.fence == "free" and body.startswith("```")):
            body = exact_fence(body)
        value = exact_json(body)
        if self.single and isinstance(value, dict):
            value = [value] if value else []
        elif self.single or not isinstance(value, list):
            raise NotExact("the answer needs to be a JSON " + ("object" if self.single else "array"))
        items = [self._exact_item(item) for item in value]
        return ParsedReply(items, nothing=not items, thinking=thinking)

    @property
    def closing(self) -> str:
        """The closing tag, where the form has tags."""
        return "</answer>" if self.tags else ""

    def end(self, text: str) -> int | None:
        """Return where the tags, the fence, or the outermost bracket close."""
        if self.tags:
            closed = text.find(self.closing)
            return closed + len(self.closing) if closed >= 0 else None
        fenced = fence_end(text) if self.fence != "none" else None
        return json_end(text) if fenced is None and self.fence != "required" else fenced

    def _exact_item(self, item: Any) -> Item:
        if not isinstance(item, dict):
            raise NotExact("each item needs to be a JSON object")
        if unknown := sorted(item.keys() - self._keys):
            raise NotExact(f"unexpected key {unknown[0]!r}")
        label = item.get(self.label_key) if self.label_key else None
        if label is not None and not isinstance(label, str):
            raise NotExact("a label needs to be a string")
        has_box = self.box_key in item
        box = self._exact_numbers(item[self.box_key], 4, self.box_key) if has_box else None
        if self.either and has_box == (self.points[0].name in item):
            raise NotExact(f"each item needs either {self.box_key!r} or {self.points[0].name!r}")
        if box is None and self.box_required and not self.either:
            raise NotExact(f"each item needs {self.box_key!r}")
        keys = [key for key in self.points if not self.either or key.name in item]
        points = [(point, key.kind) for key in keys for point in self._exact_points(item, key)]
        return Item(box, tuple(p for p, _ in points), tuple(kind for _, kind in points), clean_label(label))

    def _exact_points(self, item: dict[str, Any], key: PointKey) -> list[tuple[float, ...]]:
        value = item.get(key.name)
        rows = value if key.nested else [value]
        if not isinstance(rows, list) or len(rows) != key.count:
            raise NotExact(f"each item needs {key.name!r} with exactly {key.count} points")
        return [self._exact_numbers(row, 2, key.name) for row in rows]

    def _exact_numbers(self, value: Any, count: int, what: str) -> tuple[float, ...]:
        return x_first(exact_numbers(value, count, what), self.order)


@dataclass(frozen=True, slots=True)
class ListGrammar:
    """A nested list of boxes, so many decimals each, perhaps between ``marks``; points and labels are not written."""

    name: str
    decimals: int
    marks: tuple[str, str] = ("", "")
    closing: ClassVar[str] = ""
    single: ClassVar[bool] = False

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write the boxes of prompts."""
        boxes = [rounded_box(needed_box(prompt, self.name), prompt.frame, self.decimals) for prompt in prompts]
        rows = (", ".join(f"{value:.{self.decimals}f}" for value in box) for box in boxes)
        return self.marks[0] + "[" + ", ".join(f"[{row}]" for row in rows) + "]" + self.marks[1]

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read boxes wherever they stand, between marks where there are any."""
        text, ended, (opened, closed) = reply.answer, reply.ended, self.marks
        pieces = text.split(opened)[1:] if opened else []
        if pieces:
            ended = ended or closed in pieces[-1]
            text = "\n".join(piece.split(closed)[0] for piece in pieces)
        parsed = read_json_like(text, notes, ended=ended, points=False)
        if opened and not pieces and parsed.items:
            notes.add(f"no {opened} around the boxes")
        return parsed

    def read_strict(self, text: str) -> ParsedReply:
        """Read exactly a nested list."""
        opened, closed = self.marks
        if not (text.startswith(opened) and text.endswith(closed) and len(text) >= len(opened + closed)):
            raise NotExact(f"the reply needs to stand between {opened} and {closed}")
        value = exact_json(text[len(opened) : len(text) - len(closed)])
        if not isinstance(value, list):
            raise NotExact("the reply needs to be a nested list of boxes")
        return ParsedReply([Item(exact_numbers(row, 4, "a box")) for row in value], nothing=not value)

    def end(self, text: str) -> int | None:
        """Return where the outermost list closes, and its mark behind it."""
        opened, closed = self.marks
        begun = said_end(text, (opened,))
        end = None if begun is None else json_end(text, begun)
        if end is None or not text.startswith(closed, end):
            return None
        return end + len(closed)
