"""Notes: the list of repairs of one reply, without repetitions and never long."""

from __future__ import annotations

import re

from fiducial.language.parsing.limits import MAX_LABEL, MAX_NOTES, MAX_WORDS

_BLANKS = re.compile(r"\s+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Notes:
    """Collects what had to be mended, each kind once, in order."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._left_out = 0

    def add(self, line: str) -> None:
        """Remember a repair, unless it is known already or the list is full."""
        if line in self._lines:
            return
        if len(self._lines) < MAX_NOTES:
            self._lines[line] = None
        else:
            self._left_out += 1

    def lines(self) -> tuple[str, ...]:
        """Return the repairs, one short line each."""
        rest = (f"{self._left_out} further repairs",) if self._left_out else ()
        return (*self._lines, *rest)


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
