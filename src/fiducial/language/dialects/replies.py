"""Replies as text: how much is read of one, what was thought, what was answered, and what had to be mended.

A reply is written in the end by whoever writes into the picture: bounds keep the work for any text small.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fiducial.language.dialects.drafts import ANSWER_CLOSE, ANSWER_OPEN, split_thinking

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

_END_TOKENS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_sentence|>", "<｜end▁of▁sentence｜>", "<|return|>"),
    *("<|end|>", "<|end_of_text|>", "<|END_OF_TURN_TOKEN|>", "<|user|>", "<|observation|>", "[EOS]"),
    *("<end_of_turn>", "<eos>", "<pad>", "</s>"),
)
_ESCAPED_JSON = re.compile(r'[{\[,]\s{0,8}\\"')
_STRING = re.compile(r"""([:,\[{]\s*+)("(?:[^"\\\x00-\x1f]++|\\.)*+"|'(?:[^'\\\x00-\x1f]++|\\.)*+')(?=\s*+[:,\]}])""")
"""A string as JSON or Python writes it: a mark of structure before it, one behind it."""
_BLANKS = re.compile(r"\s+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


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


def split_reply(text: str, notes: Notes, *, single: bool = False) -> Reply:
    """Take a reply apart; every tag may be missing, and tags in strings are text.

    Of several answers the first is read, as the published parsers do; the last where a form names a ``single`` target.
    """
    too_long = len(text) > MAX_CHARACTERS
    if too_long:
        notes.add(f"only the first {MAX_CHARACTERS} characters were read")
    text, ended = text[:MAX_CHARACTERS].rstrip(), False
    while token := next((token for token in _END_TOKENS if text.endswith(token)), None):
        text, ended = text[: -len(token)].rstrip(), True
    plain = without_strings(text)
    apart = split_thinking(plain)
    for line in apart.notes:
        notes.add(line)
    first, last = apart.answer
    rest, plain = text[first:last], plain[first:last]
    start, end, closed = _answer(plain, notes, single)
    answer = rest[start:end]
    if _ESCAPED_JSON.search(plain, start, end):
        notes.add("escaped quotation marks")
        answer = answer.replace('\\"', '"').replace("\\n", "\n").replace("\\t", " ")
    return Reply(
        thinking="\n".join(text[start:end] for start, end in apart.thoughts).strip(),
        answer=answer,
        ended=(ended or closed) and not too_long,
        cut_off=apart.cut_off or too_long,
        tagged=(start, end) != (0, len(rest)),
    )


def without_strings(text: str) -> str:
    """Return a text of the same length in which strings of lists and dictionaries are blank: tags in them are words."""
    return _STRING.sub(lambda match: match[1] + " " * len(match[2]), text)


def _answer(text: str, notes: Notes, single: bool) -> tuple[int, int, bool]:
    """Return where the answer starts and ends, without its tags, and whether its end is marked."""
    opened = list(ANSWER_OPEN.finditer(text))
    if single and len(opened) > 1:
        notes.add("several answers: the last was read")
    start = opened[-1 if single else 0].end() if opened else 0
    closed = ANSWER_CLOSE.search(text, start)
    if not single and opened and closed and ANSWER_OPEN.search(text, closed.end()):
        notes.add("several answers: the first was read")
    elif opened and not closed:
        notes.add("answer not closed")
    elif closed and not opened:
        notes.add("answer without its opening tag")
    return start, closed.start() if closed else len(text), closed is not None
