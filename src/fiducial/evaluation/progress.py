"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any, Protocol, Self

from fiducial.language import Outcome

PAUSE = 10.0
"""Seconds between two lines where there is no terminal."""
_CLEAR = "\r\x1b[2K"
"""What takes the line with the bar away."""


class HasOutcome(Protocol):
    """Whatever ended in some way: the record of a sample, a reply."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""


class Progress:
    """Shows how far a run of this name is: samples done, rate, time left, answers that were of no use.

    Args:
        name: of the run.
        quiet: show nothing.
        brief: where there is no terminal, say nothing of what is over before the first line.
    """

    def __init__(self, name: str, *, quiet: bool = False, brief: bool = False) -> None:
        self._name = name
        self._quiet, self._brief = quiet, brief
        self._bar: Any = None
        self._outcomes: Counter[Outcome] = Counter()
        self._started = self._printed = time.perf_counter()
        self._here = 0

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from progressbar import ETA, Bar, ProgressBar, Variable

            told = Variable("told", "{formatted_value}", width=0)
            # What is printed meanwhile stands above the bar; what goes into a file or a pipe goes there untouched.
            self._bar = ProgressBar(
                widgets=[self._name, " ", Bar("━", left="", right=""), " ", told, " ", ETA()],
                fd=sys.stderr,
                redirect_stdout=sys.stdout.isatty(),
            ).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.finish(end=_CLEAR, dirty=True)

    def __call__(self, record: HasOutcome | Outcome, done: int, planned: int) -> None:
        """Take note of one more record, or of how one ended."""
        self._here += 1
        self._outcomes[record if isinstance(record, Outcome) else record.outcome] += 1
        if self._quiet:
            return
        rate = self._here / max(time.perf_counter() - self._started, 1e-9)
        if self._bar is not None:
            self._bar.max_value = planned
            self._bar.update(done, told=f"{done}/{planned}, {rate:.2f}/s{self._trouble()}")
        elif time.perf_counter() - self._printed >= PAUSE or (done == planned and not self._unsaid):
            self._printed = time.perf_counter()
            left = clock((planned - done) / rate)
            print(f"{self._name}: {done}/{planned}, {rate:.2f}/s, {left} left{self._trouble()}", file=sys.stderr)

    def count(self, done: int, planned: int) -> None:
        """Take note of one more thing done, which cannot go wrong."""
        self(Outcome.FOUND, done, planned)

    @property
    def _unsaid(self) -> bool:
        return self._brief and self._printed == self._started

    def _trouble(self) -> str:
        useless = (Outcome.MALFORMED, Outcome.TRUNCATED, Outcome.FAILED)
        counts = [f"{self._outcomes[outcome]} {outcome.value}" for outcome in useless if self._outcomes[outcome]]
        return f" ({', '.join(counts)})" if counts else ""


def clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, or hours, minutes and seconds: ``1:05``, ``2:00:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
