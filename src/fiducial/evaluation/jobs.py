"""Jobs: an evaluation in words, which any process can open, and the processes that share one."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_end
from typing import Any

from fiducial import recipes
from fiducial.datasets import Dataset, open_dataset
from fiducial.errors import FiducialError, InputError, ModelError
from fiducial.evaluation.bench import Bench
from fiducial.evaluation.prompting import BlindPrompts, TruthPrompts
from fiducial.evaluation.records import Record
from fiducial.images import Image
from fiducial.language import Answer
from fiducial.metrics import policy
from fiducial.pipeline import Pipeline
from fiducial.recipes import PartSpec, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to evaluate, in words.

    Args:
        dataset: as :func:`fiducial.datasets.open_dataset` takes it.
        recipe: the resolved recipe.
        source: answers in place of the recipe's prompter (see :func:`fiducial.evaluation.parse_source`), or None.
        policy: name of the policy.
        split: part of the dataset; None takes the dataset's own choice.
        boundaries: also measure boundary F-score and Hausdorff 95.
    """

    dataset: str
    recipe: Recipe
    source: TruthPrompts | BlindPrompts | None = None
    policy: str = "fiducial"
    split: str | None = None
    boundaries: bool = False

    def open_dataset(self) -> Dataset:
        """Open the dataset alone."""
        return open_dataset(self.dataset, split=self.split)

    def open(self, dataset: Dataset | None = None, loader: Loader | None = None) -> Bench:
        """Load models and dataset.

        Args:
            dataset: the dataset, when it is open already.
            loader: keeps models for the next job.
        """
        pipeline = (loader or Loader())(self)
        dataset = self.open_dataset() if dataset is None else dataset
        return Bench(pipeline, dataset, policy(self.policy), self.source, self.boundaries)


class Loader:
    """Builds the pipelines of jobs one after the other, and loads a model again only when it is another one."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[PartSpec, Any]] = {}

    def __call__(self, job: Job) -> Pipeline:
        """Build the pipeline of a job; where a source answers no prompter is loaded."""
        prompter = None if job.source is not None else self._part(job.recipe.prompter)
        segmenter = self._part(job.recipe.segmenter)
        return recipes.load(job.recipe, prompter=prompter or _Silent(), segmenter=segmenter)

    def _part(self, spec: PartSpec) -> Any:
        held, part = self._held.get(spec.kind, (None, None))
        if held != spec:
            self._held.pop(spec.kind, None)  # two large models need not fit side by side
            part = spec.build()
            self._held[spec.kind] = spec, part
        return part


class _Silent:
    """Stands where a source answers instead, so that no prompter is loaded for nothing."""

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Refuse: nobody should ask."""
        raise InputError("this pipeline has a source of prompts and no prompter")


def measure_with_workers(job: Job, indices: Sequence[int], workers: int) -> Iterator[Record]:
    """Measure samples in several processes, each with models of its own; records come as they are done.

    Args:
        job: what to evaluate.
        indices: places of the samples in the dataset.
        workers: number of processes.

    Raises:
        InputError: as :meth:`Bench.measure`.
        ModelError: likewise, or a process died.
    """
    context = multiprocessing.get_context("spawn")
    waiting = iter(indices)
    with ProcessPoolExecutor(min(workers, max(1, len(indices))), context, initializer=_watch_parent) as pool:
        running: set[Future[Record | _Failure]] = set()
        try:
            for index in waiting:
                running.add(pool.submit(_measure, job, index))
                if len(running) >= 2 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from _results(done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from _results(done)
        except BrokenProcessPool:
            raise ModelError("a worker process died (out of memory?): the samples so far are kept, resume") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error on its way home: exceptions with arguments of their own do not survive the journey as they are."""

    is_input: bool
    message: str


def _results(done: set[Future[Record | _Failure]]) -> Iterator[Record]:
    """Give the records first, so that none is lost when another sample failed."""
    failure = None
    for future in done:
        result = future.result()
        if isinstance(result, _Failure):
            failure = result
        else:
            yield result
    if failure is not None:
        raise (InputError if failure.is_input else ModelError)(failure.message)


def _measure(job: Job, index: int) -> Record | _Failure:
    try:
        if _BENCH.job != job or _BENCH.bench is None:
            _BENCH.job, _BENCH.bench = job, job.open()
        return _BENCH.bench.measure(index)
    except FiducialError as error:
        return _Failure(isinstance(error, InputError), str(error))


class _Held:
    """What this process has open."""

    job: Job | None = None
    bench: Bench | None = None


_BENCH = _Held()


def _watch_parent() -> None:
    """End this process when the one that started it ends, however it ends: no orphan goes on computing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for_end([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
