"""Quoted strings of values, however their marks look and wherever they were forgotten."""

from __future__ import annotations

import re

from fiducial.language.dialects.replies import MAX_RESCANS, Notes

_DOUBLE, _SINGLE = '"“”„‟＂', "'‘’‚‛`´＇"
_CHUNKS = {
    kind: re.compile(rf"[^\\{marks}]*+(?:\\.[^\\{marks}]*+)*+", re.DOTALL)
    for kind, marks in (("double", _DOUBLE), ("single", _SINGLE))
}
_EXACT = re.compile(r'(?:[^"\\\x00-\x1f]++|\\.)*+')
_EXACT_END = re.compile(r'"(?=\s*+(?:(?P<colon>:)|[,\]}]|$))')
_ENDS = re.compile(r"[^\S\n]*+(?:(?P<colon>[:：=])|[,;，；、\]\[})】］）｝\n\"“”']|\s*+(?:$|```|//))")
_LOOSE = re.compile(r"[,，\[{\]}\n]")
_MAX_LOOSE = 16
"""So many commas and brackets a string without its closing mark may hold: keeps reading linear."""
_ESCAPE = re.compile(r"\\(u([0-9a-fA-F]{4})|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class StringReader:
    """Reads quoted strings of one text; remembers what keeps the whole linear in its length."""

    def __init__(self, text: str, notes: Notes) -> None:
        self._text = text
        self._notes = notes
        self._hopeless: set[str] = set()
        self._rescans = 0
        self._budget = MAX_RESCANS * len(text)

    def read(self, start: int, *, key: bool) -> tuple[str, int, bool | None]:
        """Return the string whose mark opens at ``start``, where reading goes on, and whether a mark closed it.

        None instead of that means that the text ends within it.
        Only where a ``key`` is due may a colon follow.
        """
        end = self._exact_end(start, key)
        if end is not None:
            return _unescape(self._text[start + 1 : end]), end + 1, True
        kind = "double" if self._text[start] in _DOUBLE else "single"
        if self._text[start] != '"':
            self._notes.add("other quotation marks than double ones")
        end = self._end(start + 1, kind, key) if kind not in self._hopeless else None
        if end is None:
            return self._unclosed(start + 1)
        return _unescape(self._text[start + 1 : end]), end + 1, True

    def _exact_end(self, start: int, key: bool) -> int | None:
        """Find the mark that closes a string as JSON writes it, whatever other marks stand in it."""
        inside = _EXACT.match(self._text, start + 1) if self._text[start] == '"' and self._budget > 0 else None
        if inside is None:
            return None
        end = _EXACT_END.match(self._text, inside.end())
        if end and (key or not end["colon"]):
            return inside.end()
        self._budget -= len(inside[0])  # it may be read again from further on
        return None

    def _end(self, position: int, kind: str, key: bool) -> int | None:
        """Find the mark that closes: the first that punctuation or the end of the text follows."""
        chunk = _CHUNKS[kind]
        inner = False
        while True:
            match = chunk.match(self._text, position)
            position = match.end() if match else position
            if position >= len(self._text) or self._text[position] == "\\":
                self._hopeless.add(kind)
                return None
            follows = _ENDS.match(self._text, position + 1)
            if follows and follows["colon"] and not key and self._rescans < MAX_RESCANS:
                # What closes here is the next key: the mark of this value was forgotten.
                self._rescans += 1
                return None
            if follows:
                if inner:
                    self._notes.add("quotation marks inside a string")
                return position
            inner = True
            position += 1

    def _unclosed(self, start: int) -> tuple[str, int, bool | None]:
        end = self._loose_end(start)
        if end is None:
            return self._text[start : start + 1000], len(self._text), None
        self._notes.add("a string without its closing quotation mark")
        return _unescape(self._text[start:end]), end, False

    def _loose_end(self, start: int) -> int | None:
        """Find where a string ends whose mark was forgotten: at a comma, a bracket or a new line.

        A bracket that the string itself opened is a part of it: "dog [brown]".
        """
        depth = 0
        for count, match in enumerate(_LOOSE.finditer(self._text, start)):
            if match[0] == "\n" or count > _MAX_LOOSE or (depth == 0 and match[0] not in "[{"):
                return match.start()
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        return None


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda match: chr(int(match[2], 16)) if match[2] else _PLAIN.get(match[1], match[1]), text)
    # letters outside the basic plane are escaped as two surrogates
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
