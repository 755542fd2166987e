"""Replies: what was thought, what was answered, and whether the answer has an end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fiducial.language.parsing.limits import MAX_CHARACTERS
from fiducial.language.parsing.notes import Notes

_THINK_OPEN = re.compile(r"<\s{0,3}think(?:ing)?\s{0,3}>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"<\s{0,3}/\s{0,3}think(?:ing)?\s{0,3}>", re.IGNORECASE)
_ANSWER_OPEN = re.compile(r"<\s{0,3}answer\s{0,3}>", re.IGNORECASE)
_ANSWER_CLOSE = re.compile(r"<\s{0,3}/\s{0,3}answer\s{0,3}>", re.IGNORECASE)
_END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_sentence|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "<eos>",
    "<pad>",
    "</s>",
)
_ESCAPED_JSON = re.compile(r'[{\[,]\s{0,8}\\"')
Span = tuple[int, int]
_STRING = re.compile(r'([:,\[{]\s*+")((?:[^"\\\x00-\x1f]++|\\.)*+)(?="\s*+[:,\]}])')
"""A string as JSON writes it: a mark of structure before it, one behind it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply taken apart.

    Args:
        thinking: what stands between the thinking tags.
        answer: what is left to be read for coordinates.
        ended: whether something after the answer says that it is complete.
        cut_off: whether the reply is known to have broken off (while thinking, or past the limit).
        tagged: whether the answer stood between answer tags.
    """

    thinking: str
    answer: str
    ended: bool
    cut_off: bool
    tagged: bool


def without_strings(text: str) -> str:
    """Return a text of the same length in which whatever stands in strings of JSON is blank: tags in it are words."""
    return _STRING.sub(lambda match: match[1] + " " * len(match[2]), text)


def split_reply(text: str, notes: Notes) -> Reply:
    """Take a reply apart; every tag may be missing.

    Args:
        text: the whole reply.
        notes: where repairs are noted.
    """
    too_long = len(text) > MAX_CHARACTERS
    if too_long:
        notes.add(f"only the first {MAX_CHARACTERS} characters were read")
        text = text[:MAX_CHARACTERS]
    text, ended = _without_end_tokens(text)
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


def _without_end_tokens(text: str) -> tuple[str, bool]:
    """Take off the tokens by which a model says that it has finished."""
    ended = False
    text = text.rstrip()
    while True:
        token = next((token for token in _END_TOKENS if text.endswith(token)), None)
        if token is None:
            return text, ended
        ended = True
        text = text[: -len(token)].rstrip()


def _split_thinking(text: str, notes: Notes) -> tuple[list[Span], list[Span], bool]:
    """Return where thoughts stand, where the rest stands, and whether the reply broke off while thinking.

    Thinking that is not closed ends at an answer tag and nowhere else: what it holds before is a draft,
    however much it looks like an answer.
    """
    opened = _THINK_OPEN.search(text)
    closed = _THINK_CLOSE.search(text)
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
    if opened and closed:
        if _ANSWER_OPEN.search(text, closed.end()):
            notes.add("several answers: the first was read")
        return opened.end(), closed.start(), True
    if opened:
        notes.add("answer not closed")
        return opened.end(), len(text), False
    if closed:
        notes.add("answer without its opening tag")
        return 0, closed.start(), True
    return 0, len(text), False
