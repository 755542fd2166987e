"""Work in processes of their own: items are handed out a few at a time, and results come as they are done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_end
from typing import Any, Generic, TypeVar

from fiducial.errors import ModelError

T = TypeVar("T")
R = TypeVar("R")


class WorkerDiedError(ModelError, Generic[T]):
    """A process died, out of memory perhaps; ``items`` were handed out, and nothing came of them."""

    def __init__(self, items: Sequence[T]) -> None:
        super().__init__("a worker process died (out of memory?)")
        self.items = tuple(items)


def in_processes(
    work: Callable[[T], R], items: Iterable[T], workers: int, *, ahead: int = 2, threads: int | None = None
) -> Iterator[tuple[T, R]]:
    """Return each item with what work makes of it, in the order in which they are done.

    The processes are started anew (``spawn``) and end with this one, however it ends. Work that goes wrong returns its
    error: exceptions with arguments of their own do not survive the journey home.

    Args:
        work: a function of a module, and its item: both are pickled.
        items: any number; no more are taken than are handed out.
        workers: most processes.
        ahead: items that each process may have waiting, the one that it works on included.
        threads: on how many each process computes; None leaves it to what computes.

    Raises:
        WorkerDiedError: a process died. What was done before has been returned, and the other items are not taken.
    """
    running: dict[Future[R], T] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=begin, initargs=(threads,)) as pool:
        try:
            for item in items:
                try:
                    running[pool.submit(work, item)] = item
                except BrokenProcessPool:
                    yield from _whole(running)
                    raise WorkerDiedError([*running.values(), item]) from None
                while len(running) >= ahead * workers:
                    yield from _next(running)
            while running:
                yield from _next(running)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _next(running: dict[Future[R], T]) -> Iterator[tuple[T, R]]:
    """Return what is done by now, one at least; whole results first, so that none is lost with a process."""
    wait(running, return_when=FIRST_COMPLETED)
    yield from _whole(running)
    for future in [future for future in running if future.done()]:
        try:
            future.result()
        except BrokenProcessPool:
            raise WorkerDiedError(list(running.values())) from None


def _whole(running: dict[Future[R], T]) -> Iterator[tuple[T, R]]:
    for future in [future for future in running if future.done() and future.exception() is None]:
        yield running.pop(future), future.result()


def begin(threads: int | None = None) -> None:
    """Prepare a worker: it ends with its parent, leaves Ctrl-C to it, and computes on so many threads."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when onnxruntime and torch are loaded
    watch_parent()


def watch_parent() -> None:
    """End this process when the one that started it ends, however it ends: no orphan goes on computing."""
    parent: Any = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for_end([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
