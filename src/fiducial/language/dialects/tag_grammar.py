"""Tagged forms: a label between tags, then its boxes between tags; or points as attributes of tags (Molmo)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import ClassVar, Literal

from fiducial.errors import GeometryError
from fiducial.geometry import Prompt, Prompts
from fiducial.language.dialects.answering import WORDS, ParsedReply, read_json_like
from fiducial.language.dialects.exact import (
    NotExact,
    exact_json,
    exact_numbers,
    fitted_points,
    needed_box,
    plain_label,
    rounded,
    rounded_box,
    said_end,
)
from fiducial.language.dialects.items import Item, number
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
        parsed = read_json_like(text, notes, ended=ended, points=False)
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
        whole.nothing = whole.nothing and not whole.items and not whole.spoilt
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


NOTHING = ("There are none.", "This isn't in the image.")
"""What Molmo says when there is nothing to point at (as far as its replies show)."""

_TAG = re.compile(r"<points?(?=[\s/>])([^<>]*+)(>?)", re.IGNORECASE)
_PARTIAL = re.compile(r"<(?:/?p[a-z]{0,6}|/)?$", re.IGNORECASE)
_CONTENT = re.compile(r"([^<]{0,400})</points?>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\b([A-Za-z]{1,12})([0-9]{0,4})\s{0,3}=\s{0,3}(?:\"([^\"<>]*+)(\"?)|'([^'<>]*+)('?)|([^\s\"'<>]++))"
)
_EXACT = re.compile(r"<(points?)((?:[ ][a-z]{1,3}[0-9]{0,4}=\"[^\"<>]*+\")++)>([^<]*+)</(points?)>\s*+")
_EXACT_NUMBER = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class MolmoGrammar:
    """One point per target; neighbours with one label share a <points> tag.

    A prompt is written as its first positive point. Its box, further points and negative points are
    left out; a prompt without a positive point cannot be written, because the middle of a box need
    not lie on the target.
    """

    name: str = "molmo"
    closing: ClassVar[str] = ""

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts; "There are none." when there are none."""
        groups = groupby(prompts, key=lambda prompt: plain_label(prompt.label))
        return "\n".join(self._tag(label, list(group)) for label, group in groups) or NOTHING[0]

    def _tag(self, label: str, prompts: list[Prompt]) -> str:
        points = [self._point(prompt) for prompt in prompts]
        if len(points) == 1:
            x, y = points[0]
            return f'<point x="{x}" y="{y}" alt="{label}">{label}</point>'
        places = " ".join(f'x{i}="{x}" y{i}="{y}"' for i, (x, y) in enumerate(points, 1))
        return f'<points {places} alt="{label}">{label}</points>'

    def _point(self, prompt: Prompt) -> tuple[str, str]:
        points = fitted_points(prompt)
        if not points:
            raise GeometryError(f"{self.name} writes points only: give each prompt a positive point")
        x, y = (f"{rounded(value, 1):.1f}" for value in points[0])
        return x, y

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read the points of every tag; each point is one target."""
        parsed = ParsedReply()
        words, since = [], 0
        for match in _TAG.finditer(reply.answer):
            words.append(reply.answer[since : match.start()])
            content = _CONTENT.match(reply.answer, match.end()) if match[2] else None
            since = content.end() if content else match.end()
            if not content and match[2]:
                notes.add("point tag not closed")
                following = reply.answer.find("<", match.end())
                last = following < 0 or "</points>".startswith(reply.answer[following:].lower())
                if not reply.ended and last:  # nothing but the words of a tag, and perhaps a part of its end
                    parsed.cut_off, since = True, len(reply.answer)
            ended = bool(match[2]) or reply.ended or match.end() < len(reply.answer)
            self._tag_items(match[1], content[1] if content else "", ended, parsed, notes)
        words.append(reply.answer[since:])
        parsed.words = clean(" ".join(words))
        if not words[1:]:
            return self._untagged(reply.answer, reply.ended, notes)
        parsed.cut_off = parsed.cut_off or (not reply.ended and _PARTIAL.search(reply.answer[-10:]) is not None)
        if any(letter.isalnum() for letter in parsed.words):
            notes.add(WORDS)
        return parsed

    def _untagged(self, text: str, ended: bool, notes: Notes) -> ParsedReply:
        """Read a reply without tags: a plain refusal, or points in JSON."""
        if _said(text) in {_said(phrase) for phrase in NOTHING}:
            return ParsedReply(nothing=True, words=clean(text))
        plain = read_json_like(text, notes, ended=ended)
        if plain.items:
            notes.add("no point tags")
        elif _PARTIAL.search(text[-10:]) and not ended:
            plain.cut_off = True
        return plain

    def _tag_items(self, inside: str, content: str, ended: bool, parsed: ParsedReply, notes: Notes) -> None:
        numbers: dict[tuple[str, str], float | None] = {}
        label = clean_label(content)
        for match in _ATTRIBUTE.finditer(inside):
            value = next(part for part in (match[3], match[5], match[7], "") if part is not None)
            if not ended and match.end() == len(inside) and not (match[4] or match[6]):
                break  # the number itself may have broken off
            if match[1].lower() in ("x", "y"):
                numbers[match[1].lower(), match[2]] = number(value.strip(" %"))
            elif match[1].lower() == "alt":
                label = clean_label(value) or label
        parsed.cut_off = parsed.cut_off or not ended
        for which in dict.fromkeys(which for _, which in numbers):
            x, y = numbers.get(("x", which)), numbers.get(("y", which))
            if x is not None and y is not None:
                parsed.items.append(Item(points=((x, y),), point_labels=(1,), label=label))
            elif ended:
                parsed.spoilt += 1
                notes.add("a point without two numbers was dropped")
            else:
                notes.add("an item that broke off was dropped")
        if not numbers and ended:
            parsed.spoilt += 1
            notes.add("a point tag without coordinates was dropped")

    def read_strict(self, text: str) -> ParsedReply:
        """Read exactly point tags, or exactly what Molmo says for nothing."""
        if text in NOTHING:
            return ParsedReply(nothing=True, words=text)
        items: list[Item] = []
        position = 0
        while position < len(text) or not text:
            match = _EXACT.match(text, position)
            if match is None or match[1] != match[4]:
                raise NotExact("the reply needs to be <point> or <points> tags and nothing else")
            items += self._exact_items(match)
            position = match.end()
        return ParsedReply(items)

    def end(self, text: str) -> int | None:
        """Return where a reply ends that names nothing; another tag may follow every tag."""
        return said_end(text, NOTHING)

    def _exact_items(self, match: re.Match[str]) -> list[Item]:
        written = re.findall(r'([a-z]+[0-9]*)="([^"]*)"', match[2])
        fields = dict(written)
        if len(fields) != len(written):
            raise NotExact("a point tag says each attribute once")
        label = clean_label(fields.pop("alt", None))
        several = match[1] == "points"
        count = len(fields) // 2
        names = [(f"x{i}", f"y{i}") for i in range(1, count + 1)] if several else [("x", "y")]
        if set(fields) != {name for pair in names for name in pair} or not fields:
            raise NotExact("a point tag needs an x and a y for each point, and nothing else but alt")
        if not all(_EXACT_NUMBER.fullmatch(value) for value in fields.values()):
            raise NotExact("a point needs numbers in percent")
        return [Item(points=((float(fields[x]), float(fields[y])),), point_labels=(1,), label=label) for x, y in names]


def _said(text: str) -> str:
    return text.strip().strip(".").lower().replace("’", "'")
