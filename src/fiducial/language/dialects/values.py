"""A tolerant reader of JSON-like values: in linear time, without recursion, and it never evaluates or raises.

It finds every list and every dictionary in a text, whatever quotation marks, commas, comments and brackets look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fiducial.language.dialects.quoted import StringReader
from fiducial.language.dialects.replies import MAX_DEPTH, MAX_NUMBER, Notes

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
_HALF = re.compile(r"[-+−]|[-+−]?\d*+(?:\.|(?:\.\d*+)?[eE][-+]?)")
"""A number whose digits are still to come."""
_NOTHING_MORE = re.compile(r"\s*+(?:```)?\s*+\Z")
_DICTIONARY = frozenset("{｛}｝")
_KEYWORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "nil": None} | {
    word: float(word) for word in ("nan", "inf", "infinity", "-inf", "-infinity")
}


class CutList(list[Any]):
    """A list whose end is missing because the text broke off."""


class CutDictionary(dict[str, Any]):
    """A dictionary whose end is missing because the text broke off."""


@dataclass(frozen=True, slots=True)
class Value:
    """One list or dictionary that stands in a text: strings, numbers, booleans and None, nested.

    ``fenced`` tells whether it stands in a fence; ``start`` and ``end`` are its place in the text.
    """

    data: Any
    fenced: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """All values of a text in order, the words around them, and whether it broke off inside a value."""

    values: tuple[Value, ...]
    words: str
    cut_off: bool


def read_values(text: str, notes: Notes | None = None, *, ended: bool = False) -> Document:
    """Read every list and dictionary of a text.

    Args:
        text: any text.
        notes: where repairs are noted.
        ended: whether the text is known to be complete (a closing tag followed): brackets that are
            missing at its end were then forgotten, not cut off. A string or number that is half written at the
            end was cut off even then.

    Example:
        >>> document = read_values("Sure: [{'box': [1, 2, 3, 4,], 'name': None}, {'box': [5,")
        >>> document.values[0].data[0], document.words, document.cut_off
        ({'box': [1, 2, 3, 4], 'name': None}, 'Sure:', True)
    """
    return _Reader(text, notes or Notes(), ended).document()


@dataclass(slots=True)
class _Open:
    """A bracket that is open: what it holds so far."""

    dictionary: bool
    values: list[Any] = field(default_factory=list)  # what stands in it without a key
    records: list[dict[str, Any]] = field(default_factory=list)  # a repeated key begins a new one
    key: str | None = None  # a string that may turn out to be a key, or a key that waits for its value
    colon: bool = False  # whether a colon made sure that it is a key
    spaced: bool = True  # whether a comma or the opening bracket came last


class _Reader:
    """Reads a text token by token onto a stack of open brackets."""

    def __init__(self, text: str, notes: Notes, ended: bool) -> None:
        self._text = text
        self._notes = notes
        self._ended = ended
        self._strings = StringReader(text, notes)
        self._stack: list[_Open] = []
        self._depth = {True: 0, False: 0}  # open brackets by kind, so that closing needs no search
        self._skipped = 0  # open brackets that are nested too deep to be kept
        self._position = 0
        self._result: Any = None
        self._cut = False
        self._half = False  # whether the text ends within a string or a number
        self._loose = False  # whether what closes next may be text of a string without its closing mark

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
                self._check_mark(match[0], match[0] if match[0] in "[{" else "")
                values.append(self._value(match[0] in _DICTIONARY, match.start(), fenced))
        if fenced and not self._cut:
            self._notes.add("code fence not closed")
            self._cut = not values and not self._ended and not words[-1].strip()
        return Document(tuple(values), "".join(words).strip(), self._cut)

    def _value(self, dictionary: bool, start: int, fenced: bool) -> Value:
        implicit = self._text[start : start + 1] not in ("[", "{", "(", "【", "［", "｛", "（")
        self._result = None
        self._push(dictionary)
        while self._stack:
            match = _TOKEN.match(self._text, self._position)
            if match is None:
                forgotten = self._ended or (implicit and len(self._stack) == 1)
                self._close_all(ended=forgotten and not self._half)
                break
            if match.lastgroup == "fence":
                self._close_all(ended=not self._half)
                break
            self._position = match.end()
            self._take(match)
        return Value(self._result, fenced, start, self._position)

    def _take(self, match: re.Match[str]) -> None:
        kind, token = match.lastgroup, match[0]
        loose, self._loose = self._loose, False
        if kind in ("open", "close"):
            self._check_mark(token, token if token in "[]{}" else "")
        if kind == "open":
            self._push(token in _DICTIONARY)
        elif kind == "close":
            if loose and not self._ended and self._stack[-1].dictionary != (token in _DICTIONARY):
                self._position, self._half = len(self._text), True  # it was text: the string never ended
                return
            self._close(token in _DICTIONARY)
        elif kind in ("number", "word") and _HALF.fullmatch(token) and _NOTHING_MORE.match(self._text, match.end()):
            self._half = True
        elif kind == "quote":
            self._quoted(match.start())
        elif not self._skipped:
            self._take_other(kind, token)

    def _take_other(self, kind: str | None, token: str) -> None:
        if kind == "number":
            if not _JSON_NUMBER.fullmatch(token):
                self._notes.add(
                    "numbers as JSON does not write them" if token.isascii() else "digits or signs of another script"
                )
            plain = token.replace("−", "-") if len(token) <= MAX_NUMBER else "nan"
            self._add(int(plain) if plain.lstrip("+-").isdigit() else float(plain))
        elif kind == "word":
            self._add(self._word(token))
        elif kind == "comma":
            self._check_mark(token, ",")
            self._comma()
        elif kind == "colon":
            self._check_mark(token, ":")
            self._colon()
        elif kind == "comment":
            self._notes.add("comments")

    def _check_mark(self, token: str, plain: str) -> None:
        if token != plain:
            self._notes.add("other brackets, commas or colons than those of JSON")

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

    def _close_all(self, *, ended: bool) -> None:
        """Close what is open at the end of the text or of its code fence."""
        self._skipped = 0
        if ended:
            self._notes.add("missing closing bracket")
        else:
            self._cut = True
        while self._stack:
            self._pop(cut=not ended)

    def _quoted(self, start: int) -> None:
        top = self._stack[-1]
        string, self._position, closed = self._strings.read(start, key=not top.dictionary or not top.colon)
        self._half = closed is None
        self._loose = closed is False
        if closed is not None and not self._skipped:
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
