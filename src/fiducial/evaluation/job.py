"""A job: what to evaluate, in words; opened, a bench that measures one sample after the other, here or in processes."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fiducial import recipes
from fiducial.config import Config, build, option
from fiducial.datasets import Dataset, DatasetConfig, Sample, describe_dataset
from fiducial.errors import FiducialError, InputError, ModelError
from fiducial.evaluation.prompting import PromptSource, TrueMasks
from fiducial.evaluation.record import Code, Record
from fiducial.evaluation.summary import score_record
from fiducial.geometry import Box, Mask
from fiducial.images import Image
from fiducial.metrics import Policy, policy
from fiducial.pipeline import Pipeline
from fiducial.prompters.oracle import FixedPrompter
from fiducial.recipes import Recipe
from fiducial.results import Segmentation
from fiducial.workers import WorkerDiedError, in_processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Config):
    """What to evaluate: a recipe on a dataset, counted by a policy."""

    dataset: DatasetConfig = option(help="the dataset; text is read as :func:`fiducial.datasets.describe_dataset` does")
    recipe: Recipe = option(help="the resolved recipe")
    source: PromptSource | None = option(None, "answers in place of the recipe's prompter")
    policy: str = option("fiducial", "name of the rule by which samples are counted")
    boundaries: bool = option(False, "also measure boundary F-score and Hausdorff 95")

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", describe_dataset(self.dataset))
        Config.__post_init__(self)

    def check(self) -> None:
        """Refuse a policy that nobody knows."""
        policy(self.policy)

    def open(self, dataset: Dataset | None = None, loader: Loader | None = None) -> Bench:
        """Load models, and the dataset where it is not open already; a loader keeps models for the next job."""
        pipeline = (loader or Loader())(self)
        dataset = self.dataset.build() if dataset is None else dataset
        return Bench(pipeline, dataset, policy(self.policy), self.source, self.boundaries)


@dataclass(frozen=True)
class Bench:
    """An opened job: what is measured (a source answers in place of the prompter), on what, and by which rule."""

    pipeline: Pipeline
    dataset: Dataset
    policy: Policy
    source: PromptSource | None = None
    boundaries: bool = False

    def measure(self, index: int) -> Record:
        """Segment sample ``index`` of the dataset and score it; an InputError names a sample that cannot be read."""
        started = time.perf_counter()
        sample = self.dataset[index]
        try:
            image = sample.image()
            reading = time.perf_counter() - started
            result = self._pipeline(sample)(image, sample.instruction)
        except InputError as error:
            raise InputError(f"{self.dataset.name}, sample {index} ({sample.id}): {error}") from error
        return self._record(index, sample, image, result, reading)

    def _pipeline(self, sample: Sample) -> Pipeline:
        pipeline = self.pipeline
        if self.source is not None:
            pipeline = replace(pipeline, prompter=FixedPrompter(self.source(sample)))
        if isinstance(pipeline.segmenter, TrueMasks):
            pipeline = replace(pipeline, segmenter=pipeline.segmenter.for_sample(sample))
        return pipeline

    def _record(self, index: int, sample: Sample, image: Image, result: Segmentation, reading: float) -> Record:
        started = time.perf_counter()
        truth = None if sample.instances is None else sample.truth
        boxes = true_boxes(sample)
        codes = [code_of(truth), code_of(sample.ignore)]
        template = getattr(self.pipeline.prompter, "template", None)
        words = [*(getattr(template, part, "") for part in ("system", "user")), sample.instruction]
        instances = sample.instances or ()
        answer = result.answer
        record = Record(
            index=index,
            id=sample.id,
            image=str(sample.image_path.name if sample.image_path else image.name),
            size=(image.height, image.width),
            instruction=sample.instruction,
            picture=image.digest,
            digest=task_digest(sample.instruction, image, codes, boxes),
            prompt_sha256=hashlib.sha256(json.dumps(words).encode()).hexdigest(),
            outcome=result.outcome,
            text=answer.text,
            thinking=answer.thinking,
            raw=answer.raw,
            repairs=answer.repairs,
            prompts=tuple(prompt.as_json() for prompt in result.prompts),
            masks=tuple(mask.to_coco() for mask in result.masks),
            mask_scores=tuple(mask.score for mask in result.masks),
            truth=codes[0],
            truth_instances=tuple(mask.to_coco() for mask in instances) if len(instances) > 1 else (),
            truth_boxes=boxes,
            ignore=codes[1],
            spacing=sample.spacing,
        )
        score = score_record(record, self.policy, self.boundaries).as_json()
        seconds = {"read": reading, **result.seconds, "score": time.perf_counter() - started}
        return replace(record, score=score, seconds={stage: round(value, 6) for stage, value in seconds.items()})


def true_boxes(sample: Sample) -> tuple[Box, ...]:
    """Return the boxes of the true instances, in pixels."""
    return tuple(prompt.box for prompt in sample.prompts() if prompt.box is not None)


def code_of(mask: Mask | None) -> Code | None:
    """Return a mask's run-length code, or None of None."""
    return None if mask is None else mask.to_coco()


def task_digest(instruction: str, image: Image, codes: list[Code | None], boxes: tuple[Box, ...]) -> str:
    """Name what was asked and what is true about it: SHA-256 in hex."""
    return hashlib.sha256(json.dumps([instruction, image.digest, codes, boxes]).encode()).hexdigest()


# -- models and processes -----------------------------------------------------------------------------


class Loader:
    """Builds the pipelines of jobs one after the other, and loads a model again only when it is another one."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Config | None, Any]] = {}

    def __call__(self, job: Job) -> Pipeline:
        """Build the pipeline of a job; where a source answers no prompter is loaded."""
        recipe = replace(job.recipe, prompter=None) if job.source is not None else job.recipe
        prompter = self._part("prompter", recipe.prompter)
        built = recipes.load(recipe, prompter=prompter, segmenter=self._part("segmenter", recipe.segmenter))
        return replace(built, name=recipe.title)  # the parts are the recipe's own, if made here

    def _part(self, kind: str, config: Config | None) -> Any:
        held, part = self._held.get(kind, (None, None))
        if held != config:
            self._held.pop(kind, None)  # two large models need not fit side by side
            part = None if config is None else build(config)
            self._held[kind] = config, part
        return part


def measure_with_workers(job: Job, indices: Sequence[int], workers: int) -> Iterator[Record]:
    """Measure samples in several processes, each with models of its own; records come as they are done."""
    failed: FiducialError | None = None
    wanted = itertools.takewhile(lambda _: failed is None, indices)
    try:
        for _, one in in_processes(partial(_measure, job), wanted, min(workers, max(1, len(indices)))):
            if isinstance(one, Record):
                yield one
            else:
                failed = failed or one  # what is being measured meanwhile is not lost
    except WorkerDiedError as lost:
        raise ModelError(f"{lost}: the samples so far are kept, resume") from None
    if failed is not None:
        raise failed


_OPENED: list[tuple[Job, Bench]] = []  # what this process has open


def _measure(job: Job, index: int) -> Record | FiducialError:
    try:
        if not _OPENED or _OPENED[0][0] != job:
            _OPENED[:] = [(job, job.open())]
        return _OPENED[0][1].measure(index)
    except FiducialError as error:
        # Exceptions with arguments of their own do not survive the journey home as they are.
        return InputError(str(error)) if isinstance(error, InputError) else ModelError(str(error))
