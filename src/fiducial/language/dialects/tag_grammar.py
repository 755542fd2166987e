"""Tagged forms: a label between tags, then its boxes between tags."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from fiducial.geometry import Prompt, Prompts
from fiducial.language.dialects.answering import ParsedReply
from fiducial.language.dialects.exact import (
    NotExact,
    exact_json,
    exact_numbers,
    needed_box,
    plain_label,
    rounded_box,
    said_end,
)
from fiducial.language.dialects.items import Item
from fiducial.language.dialects.json_reading import WORDS, read_json_like
from fiducial.language.dialects.replies import Notes, Reply, clean, clean_label

_LOOSE_PAIRS = re.compile(
    r"\s*+\(\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+,\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+\)\s*+,?+"
    r"\s*+\(\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+,\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+\)\s*+"
)
_PAIRS = re.compile(r"\(([0-9]{1,4}),([0-9]{1,4})\),\(([0-9]{1,4}),([0-9]{1,4})\)")


def _labelled(items: list[Item], label: str | None) -> list[Item]:
    """Return items with a label, where they have none of their own."""
    return [replace(item, label=item.label or label) for item in items]


@dataclass(frozen=True, slots=True)
class TagGrammar:
    """Labels and boxes, each between an opening and a closing tag; points are not written.

    Boxes are [[x1,y1,x2,y2]] in the style ``"nested"``, (x1,y1),(x2,y2) in the style ``"pairs"``.
    """

    name: str
    label_tags: tuple[str, str]
    box_tags: tuple[str, str]
    style: Literal["nested", "pairs"]
    closing: ClassVar[str] = ""
    single: ClassVar[bool] = False

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts one after the other; "[]" when there are none (the families define nothing for that)."""
        labels = [plain_label(prompt.label) for prompt in prompts]
        # Boxes without a label belong to the label before them, unless an empty one stands between.
        named = [bool(label) or (i > 0 and bool(labels[i - 1])) for i, label in enumerate(labels)]
        return "".join(map(self._item, prompts, labels, named)) or "[]"

    def _item(self, prompt: Prompt, label: str, named: bool) -> str:
        x1, y1, x2, y2 = rounded_box(needed_box(prompt, self.name), prompt.frame, 0)
        body = f"[[{x1}, {y1}, {x2}, {y2}]]" if self.style == "nested" else f"({x1},{y1}),({x2},{y2})"
        name = f"{self.label_tags[0]}{label}{self.label_tags[1]}" if named else ""
        return f"{name}{self.box_tags[0]}{body}{self.box_tags[1]}"

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read tags and what stands between them; without any tag, boxes wherever they stand."""
        tagged = self.box_tags[0] in reply.answer or self.box_tags[1] in reply.answer
        return (self._tagged if tagged else self._untagged)(reply.answer, reply.ended, notes)

    def _untagged(self, text: str, ended: bool, notes: Notes) -> ParsedReply:
        opened, closed = self.label_tags
        label = None
        if opened in text:
            rest = text.split(opened, 1)[1]
            notes.add("label tags without box tags")
            if closed not in rest:
                return ParsedReply(cut_off=not ended, words=clean(rest))
            name, text = rest.split(closed, 1)
            label = clean_label(name)
        parsed = read_json_like(text, notes, ended=ended, points=False, pairs=self.style == "pairs")
        parsed.items = _labelled(parsed.items, label)
        if parsed.items:
            notes.add("no box tags")
        elif label is not None and not ended and not parsed.spoilt and not parsed.words:
            parsed.cut_off = True
        return parsed

    def _tagged(self, text: str, ended: bool, notes: Notes) -> ParsedReply:
        """Walk from tag to tag; a tag that is missing is taken to stand before the next one."""
        whole = ParsedReply()
        label: str | None = None
        words = []
        place, since = "between", 0
        kinds = dict(zip((*self.label_tags, *self.box_tags), ("label", "between", "box", "between"), strict=True))
        tags = re.compile("|".join(map(re.escape, kinds)))
        for match in [*tags.finditer(text), None]:
            part = text[since : match.start() if match else len(text)]
            if place == "label":
                label = clean_label(part)
            elif place == "box":
                if match is None or match[0] != self.box_tags[1]:
                    notes.add("box tag not closed")
                self._boxes(part, label, ended or match is not None, whole, notes)
            else:
                words.append(part)
            if match:
                place, since = kinds[match[0]], match.end()
                label = None if place == "label" else label
        last = text[text.rfind("<") :] if "<" in text else "none"
        half_tag = any(tag.startswith(last) and tag != last for tag in kinds)
        whole.cut_off = whole.cut_off or (not ended and (place != "between" or half_tag))
        whole.words = clean(" ".join(words))
        if whole.items and any(letter.isalnum() for letter in whole.words):
            notes.add(WORDS)
        return whole

    def _boxes(self, part: str, label: str | None, ended: bool, whole: ParsedReply, notes: Notes) -> None:
        pairs = _LOOSE_PAIRS.fullmatch(part) if self.style == "pairs" else None
        if pairs:
            if not _PAIRS.fullmatch(part):
                notes.add("corners not written as (x1,y1),(x2,y2)")
            whole.items.append(Item(tuple(map(float, pairs.groups())), label=label))
            return
        parsed = read_json_like(part, notes, ended=ended, points=False)
        whole.items += _labelled(parsed.items, label)
        whole.nothing = whole.nothing or parsed.nothing
        whole.spoilt += parsed.spoilt
        whole.cut_off = whole.cut_off or parsed.cut_off or (not ended and not parsed.items)
        if ended and not parsed.items and not parsed.nothing and not parsed.spoilt:
            whole.spoilt += 1
            notes.add("a box without readable corners was dropped")

    def read_strict(self, text: str) -> ParsedReply:
        """Read exactly tags and boxes, with nothing but white space between."""
        if text == "[]":
            return ParsedReply(nothing=True)
        name, box = (tuple(map(re.escape, tags)) for tags in (self.label_tags, self.box_tags))
        piece = re.compile(rf"(?:{name[0]}([^<|]*+){name[1]})?{box[0]}([^<|]++){box[1]}\s*+")
        items: list[Item] = []
        label: str | None = None
        position = 0
        while position < len(text):
            match = piece.match(text, position)
            if match is None:
                raise NotExact(f"the reply needs to be tags and boxes only, from character {position} on it is not")
            label = label if match[1] is None else clean_label(match[1])
            items += [Item(box=numbers, label=label) for numbers in self._exact_boxes(match[2])]
            position = match.end()
        if not items:
            raise NotExact("the reply is empty")
        return ParsedReply(items)

    def end(self, text: str) -> int | None:
        """Return where a reply ends that names nothing; another box may follow every box."""
        return said_end(text, ("[]",))

    def _exact_boxes(self, part: str) -> list[tuple[float, ...]]:
        if self.style == "pairs":
            match = _PAIRS.fullmatch(part)
            if match is None:
                raise NotExact("a box needs to be (x1,y1),(x2,y2)")
            return [tuple(map(float, match.groups()))]
        value = exact_json(part)
        if not isinstance(value, list) or not value:
            raise NotExact("a box needs to be [[x1, y1, x2, y2]]")
        return [exact_numbers(row, 4, "a box") for row in value]
