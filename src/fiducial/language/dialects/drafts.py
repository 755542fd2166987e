"""Drafts: what a model thought before it answered, by whichever marks its family puts around thoughts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fiducial.language.dialects.nothing import says_nothing

Span = tuple[int, int]

_NAMES = (
    r"(?:[a-z]{1,12}[:_])?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|rationale)"
    r"(?:_process)?"
)
_MARKS = (
    (rf"(?:<|&lt;)\s{{0,3}}{_NAMES}\s{{0,3}}(?:>|&gt;)", rf"(?:<|&lt;)\s{{0,3}}/\s{{0,3}}{_NAMES}\s{{0,3}}(?:>|&gt;)"),
    (r"<\|(?:think|thinking)\|>", r"<\|/(?:think|thinking)\|>"),
    (r"\[THINK(?:ING)?\]", r"\[/THINK(?:ING)?\]"),  # Magistral
    (r"◁think▷", r"◁/think▷"),  # Kimi-VL
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
    (r"<\|channel>thought", r"<channel\|>"),  # Gemma
    (r"<unused94>(?:thought)?", r"<unused95>"),  # MedGemma
    (
        # gpt-oss: everything before the final channel; without special tokens its header is left of it
        r"<\|channel\|>(?:analysis|commentary)[^<]{0,40}<\|message\|>",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final[^<]{0,40}<\|message\|>|assistantfinal(?![a-z])",
    ),
)
"""How thoughts open and close, family by family; letters count as small ones."""
_MARK = re.compile(
    "|".join([*(f"(?P<open{i}>{a})|(?P<close{i}>{b})" for i, (a, b) in enumerate(_MARKS))]), re.IGNORECASE
)
ANSWER_OPEN = re.compile(r"<\s{0,3}(?:final_)?answer\s{0,3}>", re.IGNORECASE)
ANSWER_CLOSE = re.compile(r"<\s{0,3}/\s{0,3}(?:final_)?answer\s{0,3}>", re.IGNORECASE)
_VALUES = re.compile(r"[\[{(（［【｛<]|\b(?:null|none)\b", re.IGNORECASE)
"""What coordinates, in whatever form, do not go without."""


@dataclass(slots=True)
class Thoughts:
    """Where thoughts stand in a text, where the answer does, and what of that breaks the usual form."""

    thoughts: list[Span] = field(default_factory=list)
    answer: Span = (0, 0)
    cut_off: bool = False
    notes: list[str] = field(default_factory=list)


def thinks_on(text: str) -> bool:
    """Return whether a text ends within its thinking.

    Example:
        >>> thinks_on("<think>I shall write <answer>"), thinks_on("<think>left</think><answer>")
        (True, False)
    """
    marks = list(_MARK.finditer(text))
    return bool(marks) and _opens(marks[-1])


def split_thinking(text: str) -> Thoughts:
    """Tell a reply's thoughts from its answer, in a text whose strings are blank.

    Thoughts reach to their last closing mark: what stands before a second or a nested one is a draft, however much it
    looks like an answer. Thinking that is not closed ends at an answer tag and nowhere else. Of several pieces around
    thoughts the last that says something is the answer.
    """
    found = Thoughts()
    pieces: list[Span] = []
    since, begun = 0, -1  # where the piece outside of thoughts begins; where the thought begins, -1 for none
    nested = 0
    marks = list(_MARK.finditer(text))
    for i, mark in enumerate(marks):
        if _opens(mark):
            if begun >= 0:
                nested += 1
            else:
                pieces.append((since, mark.start()))
                begun = mark.end()
        elif begun >= 0:
            found.thoughts.append((begun, mark.start()))
            since, begun = mark.end(), -1
        elif not found.thoughts:
            found.notes.append("thinking without its opening tag")  # chat templates often put it into the question
            found.thoughts.append((0, mark.start()))
            since = mark.end()
        elif nested or i + 1 < len(marks) or text[mark.end() :].strip():
            found.notes.append("thinking closed several times: the last counts")
            found.thoughts[-1] = (found.thoughts[-1][0], mark.start())
            since, nested = mark.end(), max(nested - 1, 0)
        else:  # a mark behind the answer closes nothing
            found.notes.append("a closing tag of thinking behind the answer")
            pieces.append((since, mark.start()))
            since = mark.end()
    if len(found.thoughts) + (begun >= 0) > 1:
        found.notes.append("several thoughts")
    if begun >= 0:
        found.notes.append("thinking not closed")
        answer = ANSWER_OPEN.search(text, begun)
        since = answer.start() if answer else len(text)
        found.thoughts.append((begun, since))
        found.cut_off = answer is None or ANSWER_CLOSE.search(text, answer.end()) is None
    pieces.append((since, len(text)))
    found.answer = _last_said(text, pieces) if found.thoughts else (0, len(text))
    return found


def _last_said(text: str, pieces: list[Span]) -> Span:
    """Return the last piece with coordinates or words for nothing in it, else the last with any words."""
    spoken = [span for span in pieces if text[span[0] : span[1]].strip()]
    for start, end in reversed(spoken):
        if _VALUES.search(text, start, end) or says_nothing(text[start:end]):
            return start, end
    return spoken[-1] if spoken else pieces[-1]


def _opens(mark: re.Match[str]) -> bool:
    return (mark.lastgroup or "").startswith("open")
