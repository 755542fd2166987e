"""Molmo's form: points in percent, as attributes of <point> and <points> tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

from fiducial.errors import GeometryError
from fiducial.geometry import Prompt, Prompts
from fiducial.language.dialects.strictly import NotExact, exact_text
from fiducial.language.dialects.writing import fitted_points, plain_label, rounded
from fiducial.language.parsing import Item, Notes, Reading, read_json_like, split_reply
from fiducial.language.parsing.items import number
from fiducial.language.parsing.notes import clean, clean_label
from fiducial.language.parsing.reading import WORDS

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

    # -- writing --------------------------------------------------------------------------------

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

    # -- reading, mending -----------------------------------------------------------------------

    def read(self, text: str, notes: Notes) -> Reading:
        """Read the points of every tag; each point is one target."""
        reply = split_reply(text, notes)
        reading = Reading(thinking=reply.thinking, cut_off=reply.cut_off)
        words, since = [], 0
        for match in _TAG.finditer(reply.answer):
            words.append(reply.answer[since : match.start()])
            content = _CONTENT.match(reply.answer, match.end()) if match[2] else None
            since = content.end() if content else match.end()
            if not content and match[2]:
                notes.add("point tag not closed")
                if not reply.ended and _is_last(reply.answer, match.end()):
                    reading.cut_off, since = True, len(reply.answer)
            ended = bool(match[2]) or reply.ended or match.end() < len(reply.answer)
            self._tag_items(match[1], content[1] if content else "", ended, reading, notes)
        words.append(reply.answer[since:])
        reading.words = clean(" ".join(words))
        if not words[1:]:
            return self._untagged(reply.answer, reply.ended, reading, notes)
        reading.cut_off = reading.cut_off or (not reply.ended and _PARTIAL.search(reply.answer[-10:]) is not None)
        if any(letter.isalnum() for letter in reading.words):
            notes.add(WORDS)
        return reading

    def _untagged(self, text: str, ended: bool, reading: Reading, notes: Notes) -> Reading:
        """Read a reply without tags: a plain refusal, or points in JSON."""
        if _said(text) in {_said(phrase) for phrase in NOTHING}:
            reading.nothing = True
            return reading
        plain = read_json_like(text, notes, ended=ended)
        plain.thinking, plain.cut_off = reading.thinking, plain.cut_off or reading.cut_off
        if plain.items:
            notes.add("no point tags")
        elif _PARTIAL.search(text[-10:]) and not ended:
            plain.cut_off = True
        return plain

    def _tag_items(self, inside: str, content: str, ended: bool, reading: Reading, notes: Notes) -> None:
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
        self._pairs(numbers, label, ended, reading, notes)
        reading.cut_off = reading.cut_off or not ended

    def _pairs(
        self,
        numbers: dict[tuple[str, str], float | None],
        label: str | None,
        ended: bool,
        reading: Reading,
        notes: Notes,
    ) -> None:
        for which in dict.fromkeys(which for _, which in numbers):
            x, y = numbers.get(("x", which)), numbers.get(("y", which))
            if x is not None and y is not None:
                reading.items.append(Item(points=((x, y),), point_labels=(1,), label=label))
            elif ended:
                reading.spoilt += 1
                notes.add("a point without two numbers was dropped")
            else:
                notes.add("an item that broke off was dropped")
        if not numbers and ended:
            reading.spoilt += 1
            notes.add("a point tag without coordinates was dropped")

    # -- reading, strict ------------------------------------------------------------------------

    def read_strict(self, text: str) -> Reading:
        """Read exactly point tags, or exactly what Molmo says for nothing."""
        try:
            body = exact_text(text)
            return Reading(nothing=True, words=body) if body in NOTHING else Reading(self._exact(body))
        except NotExact as error:
            return Reading(problem=str(error))

    def _exact(self, text: str) -> list[Item]:
        items: list[Item] = []
        position = 0
        while position < len(text) or not text:
            match = _EXACT.match(text, position)
            if match is None or match[1] != match[4]:
                raise NotExact("the reply needs to be <point> or <points> tags and nothing else")
            items += self._exact_items(match)
            position = match.end()
        return items

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


def _is_last(text: str, start: int) -> bool:
    """Say whether nothing but the words of a tag, and perhaps a part of its closing tag, comes after a place."""
    following = text.find("<", start)
    return following < 0 or "</points>".startswith(text[following:].lower())


def _said(text: str) -> str:
    return text.strip().strip(".").lower().replace("’", "'")
