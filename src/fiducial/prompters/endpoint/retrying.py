"""Trying again: which failures pass by themselves, how long to wait, and when to give up."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeVar

from fiducial.errors import InputError, ModelError

RETRIED = frozenset({429, 500, 502, 503, 504})
"""The statuses that may be another one a moment later."""

_ENOUGH = 3
"""So many requests of a batch need to say that nobody gets through; one alone may be about its own picture."""

T = TypeVar("T")


class Cause(StrEnum):
    """Why a request gave no reply."""

    ACCESS = "access"
    """The key is missing, wrong, or may not use this model."""
    ADDRESS = "address"
    """There is no such model, or no such server path, or it has moved."""
    CONNECTION = "connection"
    """Nothing listens there, or it cannot be found."""
    STRUCTURE = "structure"
    """The server does not take the schema of structured output."""
    REPLY = "reply"
    """Anything that concerns this one request: refused, cut, too slow, not readable."""

    @property
    def configured(self) -> bool:
        """Whether the next request would fail for the same reason."""
        return self is not Cause.REPLY


class EndpointError(ModelError):
    """A request to a server gave no reply.

    Args:
        message: one line: what happened, and what to do.
        cause: what sort of failure it is.
        passing: whether trying again may help.
        wait: for how many seconds the server asked to be left alone; None: it did not say.
    """

    def __init__(
        self, message: str, cause: Cause = Cause.REPLY, *, passing: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.for_all = cause.configured
        self.passing = passing
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try again, and how long to wait before it.

    The wait before the n-th new attempt is drawn between a half and the whole of ``first * 2 ** (n - 1)`` seconds, so
    that requests that failed together do not come back together. Where the server says how long to wait, the wait
    is at least that long, up to ``longest``.

    Args:
        retries: most attempts after the first.
        first: seconds before the second attempt, at most.
        longest: the longest wait in seconds, whatever the server says.
        seed: of the draws; each question draws on its own, so that the order of replies changes nothing.
        sleep: waits for so many seconds.
        clock: seconds that only ever grow.

    Raises:
        InputError: a number below 0, or a wait that is not finite.

    Example:
        >>> waits = Backoff(seed=1).waits("question 1")
        >>> all(0.25 * 2**n <= next(waits) <= 0.5 * 2**n for n in range(6))
        True
    """

    retries: int = 4
    first: float = 0.5
    longest: float = 60.0
    seed: int = 0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise InputError(f"retries needs to be a whole number from 0, got {self.retries!r}")
        if not all(math.isfinite(wait) and wait >= 0 for wait in (self.first, self.longest)):
            raise InputError(f"waits need to be finite and at least 0 seconds, got {self.first} and {self.longest}")

    def waits(self, question: str) -> Waits:
        """Return the endless waits in seconds before each new attempt of one question."""
        return Waits(self, random.Random(f"{self.seed}:{question}"))

    def run(self, attempt: Callable[[float], T], *, deadline: float, question: str = "") -> T:
        """Call until it succeeds, fails for good, or time is up.

        Args:
            attempt: is given the seconds that are left, and raises EndpointError when it fails.
            deadline: seconds for all attempts and the waits between them.
            question: sets the draws of one question apart from those of another.

        Returns:
            What the first attempt that succeeded returned.

        Raises:
            EndpointError: that of the last attempt, with the number of attempts where there were several.
        """
        waits = self.waits(question)
        end = self.clock() + deadline
        number = 0
        while True:
            number += 1
            try:
                return attempt(end - self.clock())
            except EndpointError as error:
                wait = max(next(waits), min(error.wait or 0.0, self.longest))
                spent = self.clock() + wait >= end
                if not error.passing or number > self.retries or spent:
                    raise _last(error, number, deadline if error.passing and spent else None) from error
            self.sleep(wait)


class Waits:
    """The waits of one question, one after another."""

    def __init__(self, backoff: Backoff, draws: random.Random) -> None:
        self._backoff = backoff
        self._draws = draws
        self._whole = backoff.first

    def __next__(self) -> float:
        whole = min(self._whole, self._backoff.longest)
        self._whole = min(2 * self._whole, self._backoff.longest)
        return whole * self._draws.uniform(0.5, 1.0)


def _last(error: EndpointError, attempts: int, deadline: float | None) -> EndpointError:
    tries = f"after {attempts} attempts" if attempts > 1 else ""
    spent = f"no time is left of the {deadline:g} s for one question" if deadline is not None else ""
    said = ", ".join(filter(None, (tries, spent)))
    return EndpointError(f"{error} ({said})" if said else str(error), error.cause)


def read_retry_after(text: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        text: seconds, or a date as HTTP writes it; None where the header is missing.
        now: seconds since 1970.

    Returns:
        Seconds to wait, never below 0; None where nothing was said that can be read.

    Example:
        >>> read_retry_after("2"), read_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", lambda: 50.0)
        (2.0, 10.0)
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


class Breaker:
    """Spares a batch the requests that cannot succeed: three have said that nobody's would, and none got further.

    One reply of any other kind, however bad, and it stops nothing again. It also lets the threads of a batch that was
    interrupted come to an end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: list[EndpointError] = []
        self._passed = False
        self._halted = False

    def halt(self) -> None:
        """Stop every request before its next attempt."""
        self._halted = True

    def check(self) -> None:
        """Go on with the next attempt.

        Raises:
            EndpointError: the batch was interrupted.
        """
        if self._halted:
            raise EndpointError("the batch was interrupted")

    def note(self, error: EndpointError | None) -> None:
        """Take down how one request ended; None: with a reply."""
        with self._lock:
            if error is None or not error.cause.configured:
                self._passed = True
            else:
                self._errors.append(error)

    @property
    def passed(self) -> bool:
        """Whether some request got further than the configuration."""
        return self._passed

    @property
    def stopped(self) -> EndpointError | None:
        """Why no further request is worth sending; None: go on."""
        with self._lock:
            return None if self._passed or len(self._errors) < _ENOUGH else self._errors[0]
