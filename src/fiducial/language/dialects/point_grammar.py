"""Molmo's forms: points as attributes of tags, one point for each target."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from fiducial.errors import GeometryError
from fiducial.geometry import Prompt, Prompts
from fiducial.language.dialects.answering import ParsedReply
from fiducial.language.dialects.exact import NotExact, fitted_points, plain_label, rounded, said_end
from fiducial.language.dialects.items import Item
from fiducial.language.dialects.json_reading import WORDS, read_json_like
from fiducial.language.dialects.nothing import says_nothing
from fiducial.language.dialects.replies import MAX_ITEMS, Notes, Reply, clean, clean_label
from fiducial.language.dialects.shapes import number

NOTHING = ("There are none.", "This isn't in the image.")
"""What Molmo says when there is nothing to point at (as far as its replies show)."""

_TAG = re.compile(r"<points?(?=[\s/>])([^<>]*+)(>?)", re.IGNORECASE)
_PARTIAL = re.compile(r"<(?:/?p[a-z]{0,6}|/)?$", re.IGNORECASE)
_CONTENT = re.compile(r"([^<]{0,400})</points?>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\b([A-Za-z]{1,12})([0-9]{0,4})\s{0,3}=\s{0,3}(?:\"([^\"<>]*+)(\"?)|'([^'<>]*+)('?)|([^\s\"'<>]++))"
)
_EXACT = re.compile(r"<(points?)((?:[ ][a-z]{1,6}[0-9]{0,4}=\"[^\"<>]*+\")++)>([^<]*+)</(points?)>\s*+")
_EXACT_COORDS = re.compile(r"1(?: [0-9]{1,3} [0-9]{3,4} [0-9]{3,4})+")
_EXACT_NUMBER = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class MolmoGrammar:
    """One point per target; neighbours with one label share a <points> tag.

    A prompt is written as its first positive point. Its box, further points and negative points are
    left out; a prompt without a positive point cannot be written, because the middle of a box need
    not lie on the target.

    Args:
        name: the dialect's name, for messages.
        coords: whether points stand in one attribute, as Molmo 2 writes them: the number of the picture, then for each
            point its own number, x and y in thousandths.
    """

    name: str = "molmo"
    coords: bool = False
    closing: ClassVar[str] = ""
    single: ClassVar[bool] = False

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts; "There are none." when there are none."""
        groups = groupby(prompts, key=lambda prompt: plain_label(prompt.label))
        return "\n".join(self._tag(label, list(group)) for label, group in groups) or NOTHING[0]

    def _tag(self, label: str, prompts: list[Prompt]) -> str:
        points = [self._point(prompt) for prompt in prompts]
        if self.coords:
            rows = " ".join(f"{i} {x} {y}" for i, (x, y) in enumerate(points, 1))
            return f'<points coords="1 {rows}">{label}</points>'
        if len(points) == 1:
            x, y = points[0]
            return f'<point x="{x}" y="{y}" alt="{label}">{label}</point>'
        places = " ".join(f'x{i}="{x}" y{i}="{y}"' for i, (x, y) in enumerate(points, 1))
        return f'<points {places} alt="{label}">{label}</points>'

    def _point(self, prompt: Prompt) -> tuple[str, str]:
        points = fitted_points(prompt)
        if not points:
            raise GeometryError(f"{self.name} writes points only: give each prompt a positive point")
        x, y = (f"{rounded(value, 0):03d}" if self.coords else f"{rounded(value, 1):.1f}" for value in points[0])
        return x, y

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read the points of every tag; each point is one target."""
        parsed = ParsedReply()
        words, since = [], 0
        for match in _TAG.finditer(reply.answer):
            words.append(reply.answer[since : match.start()])
            content = _CONTENT.match(reply.answer, match.end()) if match[2] else None
            since = content.end() if content else match.end()
            if not content and match[2] and not match[1].endswith("/"):
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
        if says_nothing(text):
            return ParsedReply(nothing=True, words=clean(text))
        plain = read_json_like(text, notes, ended=ended)
        if plain.items:
            notes.add("no point tags")
        elif _PARTIAL.search(text[-10:]) and not ended:
            plain.cut_off = True
        return plain

    def _tag_items(self, inside: str, content: str, ended: bool, parsed: ParsedReply, notes: Notes) -> None:
        numbers, said = self._attributes(inside, ended, notes)
        label = said or clean_label(content)
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

    def _attributes(
        self, inside: str, ended: bool, notes: Notes
    ) -> tuple[dict[tuple[str, str], float | None], str | None]:
        """Return the numbers of a tag by axis and by which point they belong to, and what the tag calls them."""
        numbers: dict[tuple[str, str], float | None] = {}
        label = None
        for match in _ATTRIBUTE.finditer(inside):
            name = match[1].lower()
            value = next(part for part in (match[3], match[5], match[7], "") if part is not None)
            if not ended and match.end() == len(inside) and not (match[4] or match[6]):
                value = value.rpartition(" ")[0] if name == "coords" else ""  # the last number may have broken off
            if name == "coords" and self.coords:
                numbers |= self._coords(value, notes, whole=bool(match[4] or match[6] or ended))
            elif name in ("x", "y") and self.coords:
                notes.add("attributes of the older Molmo, which count in percent, were left out")
            elif name in ("x", "y") and value:
                numbers[name, match[2]] = number(value.strip(" %"))
            elif name == "alt":
                label = clean_label(value) or label
        return numbers, label

    def _coords(self, written: str, notes: Notes, *, whole: bool) -> dict[tuple[str, str], float | None]:
        """Read the points of the first picture: its number, then for each point its number, x and y.

        Where the number of the picture is left out, the count of a ``whole`` list tells so.
        """
        numbers: dict[tuple[str, str], float | None] = {}
        if not whole:
            notes.add("an item that broke off was dropped")
        for picture in re.split(r"[;\t,:]", written)[:MAX_ITEMS]:
            values = [number(value) for value in picture.split()]
            numbered = len(values) % 3 == 1 or not whole
            if numbered and len(values) > 1 and values[0] != 1:
                notes.add("points of further pictures were left out")
                continue
            rest = values[1:] if numbered else values
            for i in range(0, len(rest), 3):
                which = f"#{len(numbers)}"
                numbers |= {(axis, which): value for axis, value in zip("xy", rest[i + 1 : i + 3], strict=False)}
        return numbers

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
        if self.coords:
            return self._exact_coords(fields, clean_label(match[3]) or label)
        several = match[1] == "points"
        count = len(fields) // 2
        names = [(f"x{i}", f"y{i}") for i in range(1, count + 1)] if several else [("x", "y")]
        if set(fields) != {name for pair in names for name in pair} or not fields:
            raise NotExact("a point tag needs an x and a y for each point, and nothing else but alt")
        if not all(_EXACT_NUMBER.fullmatch(value) for value in fields.values()):
            raise NotExact("a point needs numbers in percent")
        return [Item(points=((float(fields[x]), float(fields[y])),), point_labels=(1,), label=label) for x, y in names]

    def _exact_coords(self, fields: dict[str, str], label: str | None) -> list[Item]:
        written = fields.get("coords", "")
        if fields.keys() != {"coords"} or not _EXACT_COORDS.fullmatch(written):
            raise NotExact('a point tag needs coords="1", then for each point its number, x and y, and nothing else')
        values = [float(value) for value in written.split()[1:]]
        if values[::3] != list(range(1, len(values) // 3 + 1)):
            raise NotExact("points need to be counted from 1 on")
        return [
            Item(points=((values[i + 1], values[i + 2]),), point_labels=(1,), label=label)
            for i in range(0, len(values), 3)
        ]
