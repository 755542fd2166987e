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
    thinking, rest, cut_off = _split_thinking(text, notes)
    answer, closed = _answer(rest, notes)
    if _ESCAPED_JSON.search(answer):
        notes.add("escaped quotation marks")
        answer = answer.replace('\\"', '"').replace("\\n", "\n").replace("\\t", " ")
    return Reply(
        thinking=thinking.strip(),
        answer=answer,
        ended=(ended or closed) and not too_long,
        cut_off=cut_off or too_long,
        tagged=answer is not rest,
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


def _split_thinking(text: str, notes: Notes) -> tuple[str, str, bool]:
    """Return the thinking, the rest, and whether the reply broke off while thinking."""
    opened = _THINK_OPEN.search(text)
    closed = _THINK_CLOSE.search(text, opened.end() if opened else 0)
    if opened and closed:
        return text[opened.end() : closed.start()], text[: opened.start()] + text[closed.end() :], False
    if closed:
        # Chat templates often put the opening tag into the question.
        notes.add("thinking without its opening tag")
        return text[: closed.start()], text[closed.end() :], False
    if opened is None:
        return "", text, False
    notes.add("thinking not closed")
    end = _thinking_end(text, opened.end())
    if end is None:
        return text[opened.end() :], text[: opened.start()], True
    return text[opened.end() : end], text[: opened.start()] + text[end:], False


def _thinking_end(text: str, start: int) -> int | None:
    """Guess where unclosed thinking ends: at an answer tag, a code fence, or a value that ends the reply."""
    answer = _ANSWER_OPEN.search(text, start)
    if answer:
        return answer.start()
    fence = text.rfind("```json", start)
    if fence >= 0:
        return fence
    body = text.rstrip()
    return _last_value(body, start) if body.endswith(("]", "}")) else None


def _last_value(text: str, start: int) -> int | None:
    """Find where the bracket opens that closes at the end of a text."""
    depth = 0
    for match in reversed(list(re.finditer(r"[\[\]{}]", text[start:]))):
        depth += 1 if match[0] in "]}" else -1
        if depth == 0:
            return start + match.start()
    return None


def _answer(text: str, notes: Notes) -> tuple[str, bool]:
    """Return what stands in the answer tags, or the text itself, and whether its end is marked."""
    opened = _ANSWER_OPEN.search(text)
    closed = _ANSWER_CLOSE.search(text, opened.end() if opened else 0)
    if opened and closed:
        if _ANSWER_OPEN.search(text, closed.end()):
            notes.add("several answers: the first was read")
        return text[opened.end() : closed.start()], True
    if opened:
        notes.add("answer not closed")
        return text[opened.end() :], False
    if closed:
        notes.add("answer without its opening tag")
        return text[: closed.start()], True
    return text, False
