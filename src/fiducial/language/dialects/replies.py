"""Replies as text: how much is read of one, what was thought, what was answered, and what had to be mended.

A reply is written in the end by whoever writes into the picture: bounds keep the work for any text small.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 100_000
"""Characters of a reply that are read; 2048 tokens are some 8 000. The rest counts as broken off."""
MAX_DEPTH = 24
"""Nested brackets that are kept; deeper ones are skipped. Real replies have five at most."""
MAX_ITEMS = 1_000
"""Targets that are kept of one reply."""
MAX_POINTS = 256
"""Points that are kept of one target."""
MAX_NUMBER = 40
"""Characters of one number; longer ones (a model that repeats 9 for ever) are no numbers."""
MAX_LABEL = 200
"""Characters that are kept of a label."""
MAX_WORDS = 500
"""Characters that are kept of the words around the coordinates."""
MAX_NOTES = 40
"""Repairs that are listed one by one."""
MAX_RESCANS = 8
"""How often a quotation mark that was never closed may make the reader step back: keeps reading linear."""

_THINK_OPEN = re.compile(r"<\s{0,3}think(?:ing)?\s{0,3}>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"<\s{0,3}/\s{0,3}think(?:ing)?\s{0,3}>", re.IGNORECASE)
_ANSWER_OPEN = re.compile(r"<\s{0,3}answer\s{0,3}>", re.IGNORECASE)
_ANSWER_CLOSE = re.compile(r"<\s{0,3}/\s{0,3}answer\s{0,3}>", re.IGNORECASE)
_END_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_sentence|>", "<｜end▁of▁sentence｜>"),
    *("<end_of_turn>", "<eos>", "<pad>", "</s>"),
)
_ESCAPED_JSON = re.compile(r'[{\[,]\s{0,8}\\"')
_STRING = re.compile(r"""([:,\[{]\s*+)("(?:[^"\\\x00-\x1f]++|\\.)*+"|'(?:[^'\\\x00-\x1f]++|\\.)*+')(?=\s*+[:,\]}])""")
"""A string as JSON or Python writes it: a mark of structure before it, one behind it."""
_BLANKS = re.compile(r"\s+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

Span = tuple[int, int]


class Notes:
    """Collects what had to be mended, each kind once, in order, and never more than ``MAX_NOTES`` kinds."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._left_out = 0

    def add(self, line: str) -> None:
        """Remember a repair, unless it is known already or the list is full."""
        if line not in self._lines and len(self._lines) >= MAX_NOTES:
            self._left_out += 1
        else:
            self._lines[line] = None

    def lines(self) -> tuple[str, ...]:
        """Return the repairs, one short line each."""
        return (*self._lines, *((f"{self._left_out} further repairs",) if self._left_out else ()))


def clean(text: str, limit: int = MAX_WORDS) -> str:
    """Return text as one printable line of bounded length: no control characters, no lone surrogates."""
    line = _BLANKS.sub(" ", _UNPRINTABLE.sub(" ", text[: 4 * limit])).strip()
    return line if len(line) <= limit else line[: limit - 3].rstrip() + "..."


def clean_label(value: object) -> str | None:
    """Return what a target is called, or None when that is nothing a person could read."""
    if isinstance(value, list | tuple):
        value = next((part for part in value if isinstance(part, str)), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return clean(str(value), MAX_LABEL) or None


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply taken apart: what stands between the thinking tags, and what is left to be read for coordinates."""

    thinking: str
    answer: str
    ended: bool  # something after the answer says that it is complete
    cut_off: bool  # known to have broken off, while thinking or past the limit
    tagged: bool  # the answer stood between answer tags


def split_reply(text: str, notes: Notes) -> Reply:
    """Take a reply apart; every tag may be missing, and tags in strings are text."""
    too_long = len(text) > MAX_CHARACTERS
    if too_long:
        notes.add(f"only the first {MAX_CHARACTERS} characters were read")
    text, ended = text[:MAX_CHARACTERS].rstrip(), False
    while token := next((token for token in _END_TOKENS if text.endswith(token)), None):
        text, ended = text[: -len(token)].rstrip(), True
    plain = without_strings(text)
    thoughts, kept, cut_off = _split_thinking(plain, notes)
    rest, plain = ("".join(whole[start:end] for start, end in kept) for whole in (text, plain))
    start, end, closed = _answer(plain, notes)
    answer = rest[start:end]
    if _ESCAPED_JSON.search(plain, start, end):
        notes.add("escaped quotation marks")
        answer = answer.replace('\\"', '"').replace("\\n", "\n").replace("\\t", " ")
    return Reply(
        thinking="\n".join(text[start:end] for start, end in thoughts).strip(),
        answer=answer,
        ended=(ended or closed) and not too_long,
        cut_off=cut_off or too_long,
        tagged=(start, end) != (0, len(rest)),
    )


def without_strings(text: str) -> str:
    """Return a text of the same length in which strings of lists and dictionaries are blank: tags in them are words."""
    return _STRING.sub(lambda match: match[1] + " " * len(match[2]), text)


def thinks_on(text: str) -> bool:
    """Return whether a text ends within its thinking.

    Example:
        >>> thinks_on("<think>I shall write <answer>"), thinks_on("<think>left</think><answer>")
        (True, False)
    """
    opened = [match.end() for match in _THINK_OPEN.finditer(text)]
    return bool(opened) and _THINK_CLOSE.search(text, opened[-1]) is None


def _split_thinking(text: str, notes: Notes) -> tuple[list[Span], list[Span], bool]:
    """Return where thoughts stand, where the rest stands, and whether the reply broke off while thinking.

    Thinking that is not closed ends at an answer tag and nowhere else: what it holds before is a draft,
    however much it looks like an answer.
    """
    opened, closed = _THINK_OPEN.search(text), _THINK_CLOSE.search(text)
    thoughts: list[Span] = []
    kept: list[Span] = []
    since = 0
    if closed and (opened is None or closed.start() < opened.start()):
        # Chat templates often put the opening tag into the question.
        notes.add("thinking without its opening tag")
        thoughts.append((0, closed.start()))
        since = closed.end()
    while opened := _THINK_OPEN.search(text, since):
        kept.append((since, opened.start()))
        if thoughts:
            notes.add("several thoughts")
        closed = _THINK_CLOSE.search(text, opened.end())
        if closed is None:
            notes.add("thinking not closed")
            answer = _ANSWER_OPEN.search(text, opened.end())
            end = answer.start() if answer else len(text)
            finished = answer is not None and _ANSWER_CLOSE.search(text, answer.end()) is not None
            return [*thoughts, (opened.end(), end)], [*kept, (end, len(text))], not finished
        thoughts.append((opened.end(), closed.start()))
        since = closed.end()
    return thoughts, [*kept, (since, len(text))], False


def _answer(text: str, notes: Notes) -> tuple[int, int, bool]:
    """Return where the answer starts and ends, without its tags, and whether its end is marked."""
    opened = _ANSWER_OPEN.search(text)
    closed = _ANSWER_CLOSE.search(text, opened.end() if opened else 0)
    if opened and closed and _ANSWER_OPEN.search(text, closed.end()):
        notes.add("several answers: the first was read")
    elif opened and not closed:
        notes.add("answer not closed")
    elif closed and not opened:
        notes.add("answer without its opening tag")
    return opened.end() if opened else 0, closed.start() if closed else len(text), closed is not None
