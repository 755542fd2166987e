"""A tolerant reader of JSON-like values: one pass, bounded, and it never evaluates or raises.

It finds every list and every dictionary in a text and reads it as a person would: whatever the
quotation marks, commas, comments and brackets look like. It takes time linear in the length of the
text: each character is looked at a bounded number of times, and nothing recurses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fiducial.language.parsing.limits import MAX_CHARACTERS, MAX_DEPTH, MAX_NUMBER
from fiducial.language.parsing.notes import Notes
from fiducial.language.parsing.strings import StringReader

_STRUCTURE = r"\s\[\]{}()【】［］（）｛｝,;，；、:：=\"“”„‟＂'‘’‚‛`´＇"
_TOKEN = re.compile(
    rf"""(?P<space>\s++)
    |(?P<fence>```)
    |(?P<number>[-+−]?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?+(?![\w%.]))
    |(?P<open>[\[({{【（［｛])
    |(?P<close>[\])}}】）］｝])
    |(?P<comma>[,;，；、])
    |(?P<colon>[:：=])
    |(?P<quote>["“”„‟＂'‘’‚‛`´＇])
    |(?P<comment>//[^\n]*+|\#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?+)
    |(?P<word>[^{_STRUCTURE}]++(?:'[^{_STRUCTURE}]++|[ ]++[^{_STRUCTURE}]++)*+)
    |(?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)
_START = re.compile(r"```[A-Za-z0-9_]*+|[\[{【［｛]|[(（](?=\s*+[-+−.\d\[({（])")
_LEADING_KEY = re.compile(r"\s*+[\"'][A-Za-z_][\w ]{0,40}+[\"']\s*+[:：]")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?")
_DICTIONARY = frozenset("{｛}｝")
_KEYWORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nil": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "infinity": float("inf"),
    "-inf": float("-inf"),
    "-infinity": float("-inf"),
}


FOREIGN_DIGITS = "digits or signs of another script"


class CutList(list[Any]):
    """A list whose end is missing because the text broke off."""


class CutDictionary(dict[str, Any]):
    """A dictionary whose end is missing because the text broke off."""


@dataclass(frozen=True, slots=True)
class Value:
    """One list or dictionary that stands in a text.

    Args:
        data: lists, dictionaries, strings, numbers, booleans and None, nested.
        start: where it begins in the text.
        end: where it ends.
        fenced: whether it stands in a code fence.
    """

    data: Any
    start: int
    end: int
    fenced: bool


@dataclass(frozen=True, slots=True)
class Document:
    """All values of a text.

    Args:
        values: the values, in order.
        words: the text beside them.
        cut_off: whether the text broke off inside a value.
    """

    values: tuple[Value, ...]
    words: str
    cut_off: bool


def read_values(
    text: str, notes: Notes | None = None, *, ended: bool = False, limit: int | None = MAX_CHARACTERS
) -> Document:
    """Read every list and dictionary of a text.

    Args:
        text: any text.
        notes: where repairs are noted.
        ended: whether the text is known to be complete (a closing tag followed): brackets that are
            missing at its end were then forgotten, not cut off.
        limit: characters that are read at most; None for no limit.

    Example:
        >>> document = read_values("Sure: [{'box': [1, 2, 3, 4,], 'name': None}, {'box': [5,")
        >>> document.values[0].data[0], document.words, document.cut_off
        ({'box': [1, 2, 3, 4], 'name': None}, 'Sure:', True)
    """
    if limit is not None and len(text) > limit:
        text, ended = text[:limit], False
    return _Reader(text, Notes() if notes is None else notes, ended).document()


@dataclass(slots=True)
class _Open:
    """A bracket that is open: what it holds so far."""

    dictionary: bool
    values: list[Any] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    key: str | None = None
    colon: bool = False
    spaced: bool = True  # whether a comma or the opening bracket came last


class _Reader:
    def __init__(self, text: str, notes: Notes, ended: bool) -> None:
        self._text = text
        self._notes = notes
        self._ended = ended
        self._strings = StringReader(text, notes)
        self._stack: list[_Open] = []
        self._depth = {True: 0, False: 0}
        self._skipped = 0
        self._position = 0
        self._result: Any = None
        self._cut = False

    # -- the whole text -------------------------------------------------------------------------

    def document(self) -> Document:
        values, words = [], []
        fenced = False
        leading = _LEADING_KEY.match(self._text)
        if leading:
            self._notes.add("missing opening brace")
            values.append(self._value(True, 0, fenced))
        while True:
            match = _START.search(self._text, self._position)
            words.append(self._text[self._position : match.start() if match else len(self._text)])
            if match is None:
                break
            self._position = match.end()
            if match[0].startswith("```"):
                fenced = not fenced
                key = _LEADING_KEY.match(self._text, self._position) if fenced else None
                if key is None:
                    continue
                self._notes.add("missing opening brace")
                values.append(self._value(True, self._position, fenced))
            else:
                self._punctuation(match[0], match[0] if match[0] in "[{" else "")
                values.append(self._value(match[0] in _DICTIONARY, match.start(), fenced))
        if fenced and not self._cut:
            self._notes.add("code fence not closed")
        return Document(tuple(values), "".join(words).strip(), self._cut)

    def _value(self, dictionary: bool, start: int, fenced: bool) -> Value:
        implicit = self._text[start : start + 1] not in ("[", "{", "(", "【", "［", "｛", "（")
        self._result = None
        self._push(dictionary)
        while self._stack:
            match = _TOKEN.match(self._text, self._position)
            if match is None:
                self._finish(ended=self._ended or (implicit and len(self._stack) == 1))
                break
            if match.lastgroup == "fence":
                self._finish(ended=True)
                break
            self._position = match.end()
            self._take(match)
        return Value(self._result, start, self._position, fenced)

    def _take(self, match: re.Match[str]) -> None:
        kind, token = match.lastgroup, match[0]
        if kind in ("open", "close"):
            self._punctuation(token, token if token in "[]{}" else "")
        if kind == "open":
            self._push(token in _DICTIONARY)
        elif kind == "close":
            self._close(token in _DICTIONARY)
        elif kind == "quote":
            self._quoted(match.start())
        elif not self._skipped:
            self._take_plain(kind, token)

    def _take_plain(self, kind: str | None, token: str) -> None:
        if kind == "number":
            if not _JSON_NUMBER.fullmatch(token):
                self._notes.add("numbers as JSON does not write them" if token.isascii() else FOREIGN_DIGITS)
            self._add(_number(token))
        elif kind == "word":
            self._add(self._word(token))
        elif kind == "comma":
            self._punctuation(token, ",")
            self._comma()
        elif kind == "colon":
            self._punctuation(token, ":")
            self._colon()
        elif kind == "comment":
            self._notes.add("comments")

    def _punctuation(self, token: str, plain: str) -> None:
        if token != plain:
            self._notes.add("other brackets, commas or colons than those of JSON")

    # -- brackets -------------------------------------------------------------------------------

    def _push(self, dictionary: bool) -> None:
        if self._skipped or len(self._stack) >= MAX_DEPTH:
            self._skipped += 1
            self._notes.add(f"brackets nested deeper than {MAX_DEPTH}")
            return
        self._stack.append(_Open(dictionary))
        self._depth[dictionary] += 1

    def _close(self, dictionary: bool) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        if not self._depth[dictionary]:
            # No such bracket is open. A lone wrong closer of the innermost bracket closes that one.
            self._notes.add("mismatched brackets")
            if len(self._stack) == 1:
                self._pop(cut=False)
            return
        while self._stack[-1].dictionary != dictionary:
            self._notes.add("missing closing bracket")
            self._pop(cut=False)
        if self._stack[-1].spaced and (self._stack[-1].values or self._stack[-1].records):
            self._notes.add("trailing comma")
        self._pop(cut=False)

    def _pop(self, *, cut: bool) -> None:
        top = self._stack.pop()
        self._depth[top.dictionary] -= 1
        data = self._data(top, cut)
        if self._stack:
            self._add(data)
        else:
            self._result = data

    def _data(self, top: _Open, cut: bool) -> Any:
        if top.key is not None and not cut:
            self._comma_in(top)
        if cut and not top.records and not top.dictionary:
            return CutList(top.values)
        if cut:
            return self._cut_dictionary(top)
        if len(top.records) > 1:
            self._notes.add("repeated keys read as several items")
        if top.values and top.dictionary:
            self._notes.add("braces used as brackets")
        if len(top.records) == 1 and not top.values:
            return top.records[0]
        return {} if top.dictionary and not top.values and not top.records else [*top.records, *top.values]

    def _cut_dictionary(self, top: _Open) -> Any:
        last = CutDictionary(top.records[-1]) if top.records else CutDictionary()
        if len(top.records) < 2 and not top.values:
            return last
        return CutList([*top.records[:-1], *top.values, last])

    def _finish(self, *, ended: bool) -> None:
        """Close what is open at the end of the text or of its code fence."""
        self._skipped = 0
        if ended:
            self._notes.add("missing closing bracket")
        else:
            self._cut = True
        while self._stack:
            self._pop(cut=not ended)

    # -- what stands in brackets ----------------------------------------------------------------

    def _quoted(self, start: int) -> None:
        top = self._stack[-1]
        string, self._position, closed = self._strings.read(start, key=not top.dictionary or not top.colon)
        if closed and not self._skipped:
            self._add(string)

    def _word(self, token: str) -> Any:
        word = token.strip()
        if word.lower() in _KEYWORDS:
            if word not in ("true", "false", "null"):
                self._notes.add("words that JSON does not know (None, True, NaN)")
            return _KEYWORDS[word.lower()]
        self._notes.add("words without quotation marks")
        return word

    def _add(self, value: Any) -> None:
        top = self._stack[-1]
        if top.key is not None and (top.colon or not isinstance(value, str)):
            self._put(top, top.key, value)
        elif top.dictionary and top.key is None and isinstance(value, str):
            top.key = value
        else:
            if not top.spaced:
                self._notes.add("missing comma")
            top.values.append(value)
        top.spaced = False

    def _put(self, top: _Open, key: str, value: Any) -> None:
        if not top.records or key in top.records[-1]:
            top.records.append({})
        top.records[-1][key] = value
        top.key, top.colon = None, False

    def _comma(self) -> None:
        top = self._stack[-1]
        if top.key is not None:
            self._comma_in(top)
        top.spaced = True

    def _comma_in(self, top: _Open) -> None:
        """Settle a key that got no value: a key before a colon has none, any other string is a value."""
        key, top.key = top.key, None
        if top.colon and key is not None:
            self._put(top, key, None)
        else:
            top.values.append(key)
        top.colon = False

    def _colon(self) -> None:
        top = self._stack[-1]
        if top.key is None and top.values and not isinstance(top.values[-1], list | dict):
            if not top.dictionary:
                self._notes.add("brackets used as braces")
            top.key = str(top.values.pop())
        top.colon = top.key is not None


def _number(token: str) -> float | int:
    if len(token) > MAX_NUMBER:
        return float("nan")
    plain = token.replace("−", "-")
    return int(plain) if plain.lstrip("+-").isdigit() else float(plain)
