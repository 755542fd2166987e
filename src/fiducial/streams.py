"""Streams of any length: items in small lots, and work that goes on while what it made before is used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return items in lists of so many, the last of fewer; no more of them are taken than are returned.

    Example:
        >>> list(in_chunks("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    left = iter(items)
    while chunk := list(itertools.islice(left, max(1, size))):
        yield chunk


def one_ahead(work: Callable[[T], R], items: Iterable[T]) -> Generator[tuple[T, R], None, None]:
    """Return each item with what work makes of it; the next is worked on meanwhile, in a thread, and no more than that.

    Who stops in the middle is not kept waiting for what is being worked on.

    Example:
        >>> list(one_ahead(str.upper, "ab"))
        [('a', 'A'), ('b', 'B')]
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="fiducial-ahead")
    try:
        started: tuple[T, Future[R]] | None = None
        for item in items:
            before, started = started, (item, pool.submit(work, item))
            if before is not None:
                yield before[0], before[1].result()
        if started is not None:
            yield started[0], started[1].result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
