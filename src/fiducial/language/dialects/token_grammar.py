"""Token forms: coordinates are words of the vocabulary, such as <loc0123>."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from fiducial.errors import GeometryError
from fiducial.geometry import Box, Prompt, Prompts
from fiducial.language.dialects.answering import ParsedReply
from fiducial.language.dialects.exact import NotExact, needed_box, plain_label, said_end
from fiducial.language.dialects.items import Item
from fiducial.language.dialects.json_reading import read_json_like
from fiducial.language.dialects.nothing import says_nothing
from fiducial.language.dialects.replies import Notes, Reply, clean, clean_label

_PARTIAL = re.compile(r"<[A-Za-z_/]{0,30}[0-9]{0,4}$")
_PROSE = r"[:!?](?:[ ]|<|$)|[.,](?:<|$)|[.][ ]++(?=[A-Z])|[\r\n]"
"""What sentences have and labels have not: their last marks, and new lines."""
_OPENERS = (
    r"(?i:sure|certainly|of course|okay|(?:here|there) (?:is|are)|i (?:see|can|think|have|found)"
    r"|(?:the|this) (?:image|picture|answer))\b"
)
"""How replies begin that talk instead of naming."""
_NOISE = re.compile(r"<[^<>]{1,40}>")
_SEPARATOR = re.compile(r"\s*+(?:</delimiter_of_multi_objects/>\s*+)?+")


@dataclass(frozen=True, slots=True)
class TokenGrammar:
    """Runs of location tokens with a label before or behind; points are not written.

    Args:
        name: the dialect's name, for messages.
        token: a token with a place for its number, such as ``"<loc{:04d}>"``.
        count: how many tokens make a box.
        bins: how many different tokens there are.
        to_tokens: turns a box of the dialect's frame into token numbers.
        to_box: turns token numbers into x1, y1, x2, y2.
        labels: where a label stands: behind the tokens, before them, or before them in <phrase>.
        outlines: whether the family also writes polygons, x and y in turn, with the same tokens.
    """

    name: str
    token: str
    count: int
    bins: int
    to_tokens: Callable[[Box], tuple[int, ...]]
    to_box: Callable[[tuple[int, ...]], tuple[float, ...]]
    labels: Literal["behind", "before", "phrase"]
    outlines: bool = False
    closing: ClassVar[str] = ""
    single: ClassVar[bool] = False

    def write(self, prompts: Prompts, thinking: str) -> str:
        """Write prompts one after the other; "[]" when there are none (the families define nothing for that)."""
        glue = " ; " if self.labels == "behind" else ""
        return glue.join(map(self._item, prompts)) or "[]"

    def _item(self, prompt: Prompt) -> str:
        numbers = self.to_tokens(needed_box(prompt, self.name))
        if not all(0 <= number < self.bins for number in numbers):
            raise GeometryError(f"{self.name} has no tokens for the box {prompt.box}: is it in the dialect's frame?")
        tokens = "".join(self.token.format(number) for number in numbers)
        label = plain_label(prompt.label)
        if self.labels != "phrase":
            label = " ".join(re.sub(r"[:!?](?=[ ]|$)|[.,]$|[.](?=[ ][A-Z])", " ", label).split())
        if self.labels == "behind":
            return f"{tokens} {label}".rstrip()
        if self.labels == "before":
            return f"{label}{tokens}"
        return (f"<phrase>{label}</phrase>" if label else "") + f"<object>{tokens}</object>"

    def read(self, reply: Reply, notes: Notes) -> ParsedReply:
        """Read every run of tokens, with the label that belongs to it."""
        answer = reply.answer
        runs = list(self._runs(answer))
        parsed = ParsedReply()
        if not runs:
            plain = read_json_like(answer, Notes(), ended=True)
            parsed.nothing = plain.nothing or says_nothing(_NOISE.sub(" ", answer))
            parsed.spoilt = len(plain.items)
            if plain.items:
                notes.add(f"numbers without {self.name}'s location tokens were left out")
        unclosed = self.labels == "phrase" and answer.rfind("<object>") > answer.rfind("</object>")
        if (unclosed or _PARTIAL.search(answer[-40:])) and not reply.ended:
            parsed.cut_off = True
        for i, (start, end, numbers) in enumerate(runs):
            before = answer[runs[i - 1][1] if i else 0 : start]
            behind = answer[end : runs[i + 1][0] if i + 1 < len(runs) else len(answer)]
            open_token = _PARTIAL.search(behind[-40:])
            rest = behind if open_token is None else behind[: len(behind[:-40]) + open_token.start()]
            last = i + 1 == len(runs) and not rest.strip() and not reply.ended
            if self.outlines and (before.rstrip().endswith("<poly>") or self._is_outline(numbers)):
                self._outline(numbers, self._label(before, behind), last, parsed, notes)
            else:
                self._run(numbers, self._label(before, behind), last, parsed, notes)
        parsed.words = clean(_NOISE.sub("", answer)) if self.labels == "phrase" or not runs else ""
        return parsed

    def _runs(self, text: str) -> Iterator[tuple[int, int, list[int]]]:
        """Yield start, end and numbers of each run of tokens with nothing between them."""
        start = end = -1
        numbers: list[int] = []
        pattern = re.escape(self.token).replace(r"\{:04d\}", r"([0-9]{1,6})").replace(r"\{\}", r"([0-9]{1,6})")
        for match in re.finditer(pattern, text):
            gap = _SEPARATOR.match(text, end) if numbers else None
            if gap is None or gap.end() != match.start():
                if numbers:
                    yield start, end, numbers
                start, numbers = match.start(), []
            numbers.append(int(match[1]))
            end = match.end()
        if numbers:
            yield start, end, numbers

    def _label(self, before: str, behind: str) -> str | None:
        if self.labels == "behind":
            return clean_label(_NOISE.sub(" ", re.split(r"[;\n]", behind, maxsplit=1)[0]))
        if self.labels == "before":
            return clean_label(_NOISE.sub(" ", before).strip(" \n;,"))
        opened = before.rfind("<phrase>")
        return clean_label(_NOISE.sub(" ", before[opened + len("<phrase>") :])) if opened >= 0 else None

    def _run(self, numbers: list[int], label: str | None, last: bool, parsed: ParsedReply, notes: Notes) -> None:
        whole = len(numbers) - len(numbers) % self.count
        if len(numbers) > whole:
            if last:
                parsed.cut_off = True
                notes.add("an item that broke off was dropped")
            else:
                parsed.spoilt += 1
                notes.add(f"{len(numbers) - whole} location tokens where a box needs {self.count}: dropped")
        for i in range(0, whole, self.count):
            chunk = tuple(numbers[i : i + self.count])
            if self.count == 4 and not any(chunk):
                parsed.items.append(Item((0.0, 0.0, 0.0, 0.0), label=label))  # in place of a box
            elif all(number < self.bins for number in chunk):
                parsed.items.append(Item(self.to_box(chunk), label=label))
            else:
                parsed.spoilt += 1
                notes.add(f"a location token past {self.bins - 1}: its box was dropped")

    def _is_outline(self, numbers: list[int]) -> bool:
        """Say whether a run is no row of boxes: corners of boxes are in order, and there are four numbers of each."""
        boxes = [numbers[i : i + 4] for i in range(0, len(numbers) - 3, 4)]
        ordered = all(x1 <= x2 and y1 <= y2 for x1, y1, x2, y2 in boxes)
        return len(numbers) >= 6 and len(numbers) % 2 == 0 and (len(numbers) % 4 > 0 or not ordered)

    def _outline(self, numbers: list[int], label: str | None, last: bool, parsed: ParsedReply, notes: Notes) -> None:
        """Take the box around the vertices of a polygon, or around the four corners of a piece of text."""
        if last:
            parsed.cut_off = True
            notes.add("an item that broke off was dropped")
        elif len(numbers) < 6 or len(numbers) % 2 or max(numbers) >= self.bins:
            parsed.spoilt += 1
            notes.add("an outline without three points of the picture was dropped")
        else:
            xs, ys = numbers[::2], numbers[1::2]
            notes.add("an outline became its bounding box")
            parsed.items.append(Item(self.to_box((min(xs), min(ys), max(xs), max(ys))), label=label))

    def read_strict(self, text: str) -> ParsedReply:
        """Read exactly tokens and labels."""
        if text == "[]":
            return ParsedReply(nothing=True)
        items: list[Item] = []
        pieces = text.split(";") if self.labels == "behind" else [text]
        piece = self._exact_piece()
        for part in pieces:
            part = part.strip()
            position = 0
            while position < len(part) or not part:
                match = piece.match(part, position)
                if match is None:
                    raise NotExact(f"the reply needs to be location tokens and labels only, not {clean(part, 60)!r}")
                above = items[-1].label if items and self.labels == "before" else None
                items += self._exact_items(match, above)
                position = match.end()
        return ParsedReply(items, words=clean(_NOISE.sub("", text)) if self.labels == "phrase" else "")

    def end(self, text: str) -> int | None:
        """Return where a reply ends that names nothing, unless that may begin a label; more may follow every run."""
        return said_end(text, ("[]",)) if self.labels == "behind" else None

    def _exact_piece(self) -> re.Pattern[str]:
        token = re.escape(self.token).replace(r"\{:04d\}", r"[0-9]{4}").replace(r"\{\}", r"[0-9]{1,3}")
        tokens = rf"(?P<tokens>(?:{token}){{{self.count}}})"
        if self.labels == "behind":
            return re.compile(rf"{tokens}(?:[ ](?P<label>(?:(?!{_PROSE})[^<;])++))?+$")
        if self.labels == "before":
            return re.compile(rf"(?P<label>(?!{_OPENERS})(?:(?!{_PROSE})[^<])*+){tokens}")
        more = rf"(?P<tokens>(?:{token}){{2}}(?:</delimiter_of_multi_objects/>(?:{token}){{2}})*+)"
        return re.compile(
            rf"(?:<grounding>)?[^<]*+(?:<phrase>(?P<label>[^<]++)</phrase>)?<object>{more}</object>(?:[^<]++$)?"
        )

    def _exact_items(self, match: re.Match[str], above: str | None) -> list[Item]:
        numbers = [int(number) for number in re.findall(r"[0-9]+", match["tokens"])]
        if any(number >= self.bins for number in numbers):
            raise NotExact(f"there is no location token past {self.bins - 1}")
        if self.outlines and self._is_outline(numbers):
            raise NotExact("the tokens tell an outline, not boxes")
        label = clean_label(match["label"]) or above
        rows = [tuple(numbers[i : i + self.count]) for i in range(0, len(numbers), self.count)]
        if self.count == 4 and not all(map(any, rows)):
            raise NotExact("zeros in place of a box")
        return [Item(self.to_box(row), label=label) for row in rows]


def paligemma_tokens(box: Box) -> tuple[int, ...]:
    """Return y1, x1, y2, x2 as token numbers 0..1023 for a box of the frame 0..1024."""
    x1, x2 = _bins(box[0], box[2], 1024, round)
    y1, y2 = _bins(box[1], box[3], 1024, round)
    return y1, x1, y2, x2


def paligemma_box(tokens: tuple[int, ...]) -> tuple[float, ...]:
    """Return the box of four tokens y1, x1, y2, x2: token k lies at k of 1024."""
    y1, x1, y2, x2 = map(float, tokens)
    return x1, y1, x2, y2


def florence_tokens(box: Box) -> tuple[int, ...]:
    """Return x1, y1, x2, y2 as the numbers 0..999 of the bins in which they lie, frame 0..1000."""
    x1, x2 = _bins(box[0], box[2], 1000, math.floor)
    y1, y2 = _bins(box[1], box[3], 1000, math.floor)
    return x1, y1, x2, y2


def florence_box(tokens: tuple[int, ...]) -> tuple[float, ...]:
    """Return the box of four tokens: token k means the middle of bin k."""
    return tuple(token + 0.5 for token in tokens)


def kosmos_tokens(box: Box) -> tuple[int, ...]:
    """Return the numbers of the first and the last of 32 x 32 patches that a box touches, frame 0..32."""
    left, top = (min(math.floor(value), 31) for value in box[:2])
    right, bottom = (max(math.ceil(value - 1), 0) for value in box[2:])
    return top * 32 + left, bottom * 32 + right


def kosmos_box(tokens: tuple[int, ...]) -> tuple[float, ...]:
    """Return the box between two patches: their middles, or their edges when they share a row or column."""
    (top, left), (bottom, right) = divmod(tokens[0], 32), divmod(tokens[1], 32)
    if left == right or top == bottom:
        return float(left), float(top), right + 1.0, bottom + 1.0
    return left + 0.5, top + 0.5, right + 0.5, bottom + 0.5


def _bins(low: float, high: float, bins: int, rule: Callable[[float], int]) -> tuple[int, int]:
    """Return two different bins, so that the box keeps an extent; numbers past the last edge stay past it."""
    a, b = (min(rule(value), bins - 1) if value <= bins else rule(value) for value in (low, high))
    if a < b:
        return a, b
    if (a == bins - 1 or (low + high) / 2 < a + 0.5) and a > 0:
        return a - 1, a
    return a, a + 1
