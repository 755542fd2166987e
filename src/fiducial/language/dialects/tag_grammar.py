"""Tagged forms: a label between tags, then its boxes between tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fiducial.geometry import Prompt, Prompts
from fiducial.language.dialects.strictly import NotExact, exact_json, exact_numbers, exact_text
from fiducial.language.dialects.writing import needed_box, plain_label, rounded_box
from fiducial.language.parsing import Item, Notes, Reading, read_json_like, split_reply
from fiducial.language.parsing.items import relabel
from fiducial.language.parsing.notes import clean, clean_label
from fiducial.language.parsing.reading import WORDS

_LOOSE_PAIRS = re.compile(
    r"\s*+\(\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+,\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+\)\s*+,?+"
    r"\s*+\(\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+,\s*+(-?[0-9]{1,9}(?:\.[0-9]{0,9})?)\s*+\)\s*+"
)
_PAIRS = re.compile(r"\(([0-9]{1,4}),([0-9]{1,4})\),\(([0-9]{1,4}),([0-9]{1,4})\)")


def _breaks_off(text: str, tags: tuple[str, ...]) -> bool:
    """Say whether a text ends in the first part of a tag."""
    last = text.rfind("<")
    return last >= 0 and any(tag.startswith(text[last:]) and tag != text[last:] for tag in tags)


@dataclass(frozen=True, slots=True)
class TagGrammar:
    """Labels and boxes between tags; points are not written.

    Signs in a label that could be taken for a tag are written as spaces.

    Args:
        name: the dialect's name, for messages.
        label_tags: the opening and closing tag of a label.
        box_tags: the opening and closing tag of boxes.
        style: ``"nested"`` for [[x1,y1,x2,y2]], ``"pairs"`` for (x1,y1),(x2,y2).
    """

    name: str
    label_tags: tuple[str, str]
    box_tags: tuple[str, str]
    style: Literal["nested", "pairs"]

    # -- writing --------------------------------------------------------------------------------

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

    # -- reading, mending -----------------------------------------------------------------------

    def read(self, text: str, notes: Notes) -> Reading:
        """Read tags and what stands between them; without any tag, boxes wherever they stand."""
        reply = split_reply(text, notes)
        if self.box_tags[0] in reply.answer or self.box_tags[1] in reply.answer:
            reading = self._tagged(reply.answer, reply.ended, notes)
        else:
            reading = self._untagged(reply.answer, reply.ended, notes)
        reading.thinking = reply.thinking
        reading.cut_off = reading.cut_off or reply.cut_off
        return reading

    def _untagged(self, text: str, ended: bool, notes: Notes) -> Reading:
        opened, closed = self.label_tags
        label = None
        if opened in text:
            rest = text.split(opened, 1)[1]
            notes.add("label tags without box tags")
            if closed not in rest:
                return Reading(cut_off=not ended, words=clean(rest))
            name, text = rest.split(closed, 1)
            label = clean_label(name)
        reading = read_json_like(text, notes, ended=ended, points=False)
        reading.items = [relabel(item, label) for item in reading.items]
        if reading.items:
            notes.add("no box tags")
        elif label is not None and not ended and not reading.spoilt and not reading.words:
            reading.cut_off = True
        return reading

    def _tagged(self, text: str, ended: bool, notes: Notes) -> Reading:
        """Walk from tag to tag; a tag that is missing is taken to stand before the next one."""
        whole = Reading()
        label: str | None = None
        words = []
        place, since = "beside", 0
        kinds = dict(zip((*self.label_tags, *self.box_tags), ("label", "beside", "box", "beside"), strict=True))
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
        whole.cut_off = whole.cut_off or (not ended and (place != "beside" or _breaks_off(text, tuple(kinds))))
        whole.nothing = whole.nothing and not whole.items and not whole.spoilt
        whole.words = clean(" ".join(words))
        if whole.items and any(letter.isalnum() for letter in whole.words):
            notes.add(WORDS)
        return whole

    def _boxes(self, part: str, label: str | None, ended: bool, whole: Reading, notes: Notes) -> None:
        pairs = _LOOSE_PAIRS.fullmatch(part) if self.style == "pairs" else None
        if pairs:
            if not _PAIRS.fullmatch(part):
                notes.add("corners not written as (x1,y1),(x2,y2)")
            whole.items.append(Item(tuple(map(float, pairs.groups())), label=label))
            return
        reading = read_json_like(part, notes, ended=ended, points=False)
        whole.items += [relabel(item, label) for item in reading.items]
        whole.nothing = whole.nothing or reading.nothing
        whole.spoilt += reading.spoilt
        whole.cut_off = whole.cut_off or reading.cut_off or (not ended and not reading.items)
        if ended and not reading.items and not reading.nothing and not reading.spoilt:
            whole.spoilt += 1
            notes.add("a box without readable corners was dropped")

    # -- reading, strict ------------------------------------------------------------------------

    def read_strict(self, text: str) -> Reading:
        """Read exactly tags and boxes, with nothing but white space between."""
        try:
            rest = exact_text(text)
            if rest == "[]":
                return Reading(nothing=True)
            return Reading(self._exact(rest))
        except NotExact as error:
            return Reading(problem=str(error))

    def _exact(self, text: str) -> list[Item]:
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
        return items

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
