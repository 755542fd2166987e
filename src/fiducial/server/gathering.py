"""The one thread in which a server's models work: requests that wait together, and are alike, become one call."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Kind:
    """With which others a job may become one call.

    Args:
        key: jobs of one key go together.
        size: how much of a call the job takes.
        most: how much a call takes; a job that is larger is a call by itself.
    """

    key: Hashable
    size: int = 1
    most: int = 1


@dataclass(slots=True, eq=False)
class _Waiting(Generic[J, R]):
    job: J
    kind: Kind
    done: Future[R] = field(default_factory=Future)


class Gatherer(Generic[J, R]):
    """Does what is submitted, oldest first, in a thread of its own; how many may wait is the caller's to bound.

    ``counts`` says how many ``requests`` became how many ``calls``, ``len()`` how many jobs wait.

    Args:
        work: does jobs of one kind in one call; returns one result per job, in order.
        kind: tells a job's kind.
    """

    def __init__(self, work: Callable[[Sequence[J]], Sequence[R]], kind: Callable[[J], Kind]) -> None:
        self.counts: Counter[str] = Counter()
        self._do, self._kind = work, kind
        self._queue: deque[_Waiting[J, R]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="fiducial-models", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether what is submitted will be done."""
        return self._thread.is_alive() and not self._closing

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, job: J) -> Future[R]:
        """Let a job be done.

        Raises:
            RuntimeError: it was closed.
        """
        waiting = _Waiting[J, R](job, self._kind(job))
        with self._changed:
            if self._closing:
                raise RuntimeError("it was closed, and takes no further jobs")
            self._queue.append(waiting)
            self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Finish what was submitted, take nothing more, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while taken := self._next():
            # Whoever went away meanwhile gets nothing; from here on nobody can.
            if wanted := [one for one in taken if one.done.set_running_or_notify_cancel()]:
                self._call(wanted)

    def _next(self) -> list[_Waiting[J, R]]:
        """Wait for the oldest job, and take along what waits and is like it; nothing left and closing: []."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            taken: list[_Waiting[J, R]] = []
            size = 0
            for one in tuple(self._queue):
                alike = not taken or one.kind.key == taken[0].kind.key
                if alike and (not taken or size + one.kind.size <= one.kind.most):
                    taken.append(one)
                    size += one.kind.size
                    self._queue.remove(one)
            return taken

    def _call(self, taken: list[_Waiting[J, R]]) -> None:
        try:
            results = self._do([one.job for one in taken])
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked; the thread has to go on for the others
            if len(taken) == 1:
                taken[0].done.set_exception(error)
                return
            for one in taken:  # so that it meets nobody else
                self._call([one])
            return
        self.counts.update(requests=len(taken), calls=1)
        for one, result in zip(taken, results, strict=True):
            one.done.set_result(result)
