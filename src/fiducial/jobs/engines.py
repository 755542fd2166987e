"""Where lots are worked on: in this process, in several, or on Ray. What works on them is the same everywhere."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any

from fiducial.errors import FiducialError, ModelError, extra_needed
from fiducial.jobs.configs import BatchOptions, Work
from fiducial.jobs.working import Ended, Lot, Worker, dead, work_on
from fiducial.streams import in_chunks
from fiducial.workers import WorkerDiedError, in_processes

TRIES = 3
"""Processes that may die of one row: any of them may have been killed by chance."""
DIED = f"{TRIES} processes died while they worked on it and on nothing else (killed, or out of memory?)"
"""Why a row is dead of which nothing else is known."""
WINDOW = 10_000
"""Lots that are given to Ray at once: they lie in memory, and its actors are made anew for the next."""
_NOTHING = Lot()
Worked = Generator[tuple[Ended, ...], None, None]
"""What came of lots, one after the other, in the order in which they are done."""


def engine(options: BatchOptions, work: Work, lots: Iterable[Lot]) -> Worked:
    """Work on lots as the options say; returns what came of each, in the order in which they are done."""
    if options.engine == "ray":
        return on_ray(work, lots, options.workers, options.address, options.gpus)
    if options.workers:
        return with_processes(work, lots, options.workers)
    worker = Worker(work)
    return (worker(lot) for lot in lots)


def with_processes(work: Work, lots: Iterable[Lot], workers: int) -> Worked:
    """Work on lots in processes of this machine.

    When a process dies, what was in its hands and in those of the others is tried again, one after the other and alone;
    of the lot that it dies of again, row by row; and the row that ``TRIES`` processes die of is dead.

    Raises:
        ModelError: a process died while it loaded the models.
        FiducialError: they cannot be loaded.
    """
    waiting, work_here = iter(lots), partial(work_on, work)
    while True:
        suspects: list[Lot] = []
        try:
            # Nothing is asked first, so that what goes wrong when models are loaded is no row's fault.
            together = in_processes(work_here, chain([_NOTHING], waiting), workers, threads=work.threads)
            yield from _results(together)
            return
        except WorkerDiedError as died:
            suspects += (lot for lot in died.items if lot.rows)
        yield from _alone(work_here, suspects, work.threads)


def _alone(
    work_here: Callable[[Lot], tuple[Ended, ...] | FiducialError], suspects: list[Lot], threads: int | None
) -> Iterator[tuple[Ended, ...]]:
    """Work on lots one after the other in a process of their own; what too many die of is dead."""
    deaths: Counter[int] = Counter()
    while True:
        alone = in_processes(work_here, [_NOTHING, *suspects], 1, ahead=1, threads=threads)
        try:
            for ended in _results(alone):
                suspects = suspects[1:]
                yield ended
            return
        except WorkerDiedError as died:
            (lot,) = died.items
            if not lot.rows:
                raise ModelError(
                    "a process died before its models were loaded: too little memory? A script calls this under "
                    "if __name__ == '__main__':, as every process runs the script again"
                ) from None
            place = lot.rows[0][0]
            deaths[place] += len(lot.rows) == 1
            if deaths[place] == TRIES:
                yield (dead(place, DIED),)
                suspects = suspects[1:]
            else:
                suspects = [*(Lot((row,)) for row in lot.rows), *suspects[1:]]


def _results(worked: Iterable[tuple[Lot, tuple[Ended, ...] | FiducialError]]) -> Iterator[tuple[Ended, ...]]:
    for lot, ended in worked:
        if isinstance(ended, FiducialError):
            raise ended
        if lot.rows:
            yield ended


def on_ray(work: Work, lots: Iterable[Lot], workers: int, address: str | None, gpus: float) -> Worked:
    """Work on lots by Ray Data, an actor for each replica of the models.

    Args:
        work: what the actors are told; they see pictures and weights under the same paths as this process.
        lots: any number.
        workers: how many actors.
        address: of a cluster; None starts one here, which ends with this process.
        gpus: accelerators for each actor.

    Raises:
        ModelError: an actor failed or died again and again; what came before is kept.
    """
    with extra_needed("the engine ray", "ray"):
        ray: Any = import_module("ray")  # typed only where it is installed
        data: Any = import_module("ray.data")

    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        except Exception as error:  # noqa: BLE001 - it raises that when a busy machine is slow to start it
            ray.shutdown()
            raise ModelError(f"ray cannot be started or reached ({' '.join(str(error).split())[:300]})") from None
    data.DataContext.get_current().enable_progress_bars = False
    # Actors that ask for every core leave none for what hands them their rows, and all wait for ever.
    cores = min(1.0, float(ray.cluster_resources().get("CPU", 1)) / (2 * workers))
    for window in in_chunks(lots, WINDOW):
        items = [{"lot": number} for number in range(len(window))]
        a_block = max(1, min(len(items) // (8 * workers), 16))  # what is handed out, and comes back, at once
        given = data.from_items(items, override_num_blocks=-(-len(items) // a_block))
        results = given.map_batches(
            Actor,
            fn_constructor_args=(work, ray.put(window)),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=min(workers, len(window))),
            num_cpus=cores,
            num_gpus=gpus or None,
            max_restarts=2,
            max_task_retries=2,
        )
        try:
            for row in results.iter_rows():
                yield tuple(Ended(*one) for one in json.loads(row["ended"]))
        except ray.exceptions.RayError as error:
            said = next((line for line in reversed(str(error).splitlines()) if line.strip()), "it does not say why")
            raise ModelError(
                f"ray: {said.strip()[:300]}: what is done is kept; the same command goes on, and without --engine ray "
                "finds the row at fault"
            ) from None


class Actor:
    """A worker as Ray has it: takes batches of one lot's number each.

    Args:
        work: what a worker is told.
        window: a reference to the lots.
    """

    def __init__(self, work: Work, window: Any) -> None:
        ray: Any = import_module("ray")
        self._worker, self._window = Worker(work), ray.get(window)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Work on a lot."""
        ended = self._worker(self._window[int(batch["lot"][0])])
        # As text: columns of Arrow hold values of one type.
        return {"ended": [json.dumps([(one.place, one.outcome, one.targets, one.result) for one in ended])]}
