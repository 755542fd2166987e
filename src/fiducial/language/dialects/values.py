"""A tolerant reader of JSON-like values: in linear time, without recursion, and it never evaluates or raises.

It finds every list and every dictionary in a text, whatever quotation marks, commas, comments and brackets look like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fiducial.language.dialects.replies import MAX_DEPTH, MAX_NUMBER, MAX_RESCANS, Notes

_DOUBLE, _SINGLE = '"“”„‟＂', "'‘’‚‛`´＇"
_CHUNKS = {
    kind: re.compile(rf"[^\\{marks}]*+(?:\\.[^\\{marks}]*+)*+", re.DOTALL)
    for kind, marks in (("double", _DOUBLE), ("single", _SINGLE))
}
_EXACT = re.compile(r'(?:[^"\\\x00-\x1f]++|\\.)*+')
_EXACT_END = re.compile(r'"(?=\s*+(?:(?P<colon>:)|[,\]}]|$))')
_ENDS = re.compile(r"[^\S\n]*+(?:(?P<colon>[:：=])|[,;，；、\]\[})】］）｝\n\"“”']|\s*+(?:$|```|//))")
_LOOSE_END = re.compile(r"[,，\]}\n]")
_ESCAPE = re.compile(r"\\(u([0-9a-fA-F]{4})|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
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
_KEYWORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "none": None, "nil": None} | {
    word: float(word) for word in ("nan", "inf", "infinity", "-inf", "-infinity")
}


class CutList(list[Any]):
    """A list whose end is missing because the text broke off."""


class CutDictionary(dict[str, Any]):
    """A dictionary whose end is missing because the text broke off."""


@dataclass(frozen=True, slots=True)
class Value:
    """One list or dictionary that stands in a text (as strings, numbers, booleans and None, nested), or in a fence."""

    data: Any
    fenced: bool


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
            missing at its end were then forgotten, not cut off.

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
        self._strings = _StringReader(text, notes)
        self._stack: list[_Open] = []
        self._depth = {True: 0, False: 0}  # open brackets by kind, so that closing needs no search
        self._skipped = 0  # open brackets that are nested too deep to be kept
        self._position = 0
        self._result: Any = None
        self._cut = False

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
        return Document(tuple(values), "".join(words).strip(), self._cut)

    def _value(self, dictionary: bool, start: int, fenced: bool) -> Value:
        implicit = self._text[start : start + 1] not in ("[", "{", "(", "【", "［", "｛", "（")
        self._result = None
        self._push(dictionary)
        while self._stack:
            match = _TOKEN.match(self._text, self._position)
            if match is None:
                self._close_all(ended=self._ended or (implicit and len(self._stack) == 1))
                break
            if match.lastgroup == "fence":
                self._close_all(ended=True)
                break
            self._position = match.end()
            self._take(match)
        return Value(self._result, fenced)

    def _take(self, match: re.Match[str]) -> None:
        kind, token = match.lastgroup, match[0]
        if kind in ("open", "close"):
            self._check_mark(token, token if token in "[]{}" else "")
        if kind == "open":
            self._push(token in _DICTIONARY)
        elif kind == "close":
            self._close(token in _DICTIONARY)
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


class _StringReader:
    """Reads quoted strings of one text; remembers what keeps the whole linear in its length."""

    def __init__(self, text: str, notes: Notes) -> None:
        self._text = text
        self._notes = notes
        self._hopeless: set[str] = set()
        self._rescans = 0
        self._budget = MAX_RESCANS * len(text)

    def read(self, start: int, *, key: bool) -> tuple[str, int, bool]:
        """Return the string whose mark opens at ``start``, where reading goes on, and whether it was closed.

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

    def _unclosed(self, start: int) -> tuple[str, int, bool]:
        match = _LOOSE_END.search(self._text, start)
        if match is None:
            return self._text[start : start + 1000], len(self._text), False
        self._notes.add("a string without its closing quotation mark")
        return _unescape(self._text[start : match.start()]), match.start(), True


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda match: chr(int(match[2], 16)) if match[2] else _PLAIN.get(match[1], match[1]), text)
    # letters outside the basic plane are escaped as two surrogates
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
