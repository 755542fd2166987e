"""The bench: one sample through the pipeline, scored and written down."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace

from fiducial.datasets import Dataset, Sample
from fiducial.errors import InputError
from fiducial.evaluation.prompting import PromptSource, ToldPrompter
from fiducial.evaluation.records import Code, Record
from fiducial.evaluation.true_masks import TrueMasks
from fiducial.geometry import Box, Mask, Prompts
from fiducial.images import Image
from fiducial.metrics import Policy, score_sample
from fiducial.pipeline import Pipeline
from fiducial.results import Segmentation


@dataclass(frozen=True)
class Bench:
    """What is measured, on what, and by which rule.

    Args:
        pipeline: the combination that is measured.
        dataset: the samples.
        policy: how they are counted.
        source: answers in place of the pipeline's prompter, or None.
        boundaries: also measure boundary F-score and Hausdorff 95, which takes longer than the rest.
    """

    pipeline: Pipeline
    dataset: Dataset
    policy: Policy
    source: PromptSource | None = None
    boundaries: bool = False

    def measure(self, index: int) -> Record:
        """Segment one sample and score it.

        Args:
            index: its place in the dataset.

        Raises:
            InputError: the picture cannot be read, or the sample makes no sense; the message names it.
            ModelError: a part broke its contract.
        """
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
            pipeline = replace(pipeline, prompter=ToldPrompter(self.source(sample)))
        if isinstance(pipeline.segmenter, TrueMasks):
            pipeline = replace(pipeline, segmenter=pipeline.segmenter.told(sample))
        return pipeline

    def _record(self, index: int, sample: Sample, image: Image, result: Segmentation, reading: float) -> Record:
        started = time.perf_counter()
        truth = None if sample.instances is None else sample.truth
        boxes = true_boxes(sample)
        score = score_sample(
            self.policy,
            truth,
            result.mask if result.masks else None,
            result.outcome,
            ignore=sample.ignore,
            truth_boxes=boxes,
            predicted_boxes=predicted_boxes(result.prompts),
            boundaries=self.boundaries,
            spacing=sample.spacing or (1.0, 1.0),
        )
        codes = [code_of(truth), code_of(sample.ignore)]
        answer = result.answer
        record = Record(
            index=index,
            id=sample.id,
            image=str(sample.image_path.name if sample.image_path else image.name),
            size=(image.height, image.width),
            instruction=sample.instruction,
            picture=image.digest,
            digest=task_digest(sample.instruction, image, codes, boxes),
            prompt_sha256=prompt_digest(self.pipeline, sample.instruction),
            outcome=result.outcome,
            text=answer.text,
            thinking=answer.thinking,
            raw=answer.raw,
            repairs=answer.repairs,
            prompts=tuple(prompt.as_json() for prompt in result.prompts),
            masks=tuple(mask.to_coco() for mask in result.masks),
            mask_scores=tuple(mask.score for mask in result.masks),
            truth=codes[0],
            truth_instances=instance_codes(sample),
            truth_boxes=boxes,
            ignore=codes[1],
            spacing=sample.spacing,
            score=score.as_json(),
        )
        seconds = {"read": reading, **result.seconds, "score": time.perf_counter() - started}
        return replace(record, seconds={stage: round(value, 6) for stage, value in seconds.items()})


def true_boxes(sample: Sample) -> tuple[Box, ...]:
    """Return the boxes of the true instances, in pixels."""
    return tuple(prompt.box for prompt in sample.prompts() if prompt.box is not None)


def predicted_boxes(prompts: Prompts) -> Prompts | None:
    """Return the boxes to score: the prompts' own when each has one, else None, for those of the masks."""
    return prompts if len(prompts) and all(prompt.box is not None for prompt in prompts) else None


def code_of(mask: Mask | None) -> Code | None:
    """Return a mask's run-length code, or None of None."""
    return None if mask is None else mask.to_coco()


def instance_codes(sample: Sample) -> tuple[Code, ...]:
    """Return the code of each true instance where there are several; one alone is the truth itself."""
    masks = sample.instances or ()
    return tuple(mask.to_coco() for mask in masks) if len(masks) > 1 else ()


def task_digest(instruction: str, image: Image, codes: list[Code | None], boxes: tuple[Box, ...]) -> str:
    """Name what was asked and what is true about it: SHA-256 in hex."""
    told = json.dumps([instruction, image.digest, codes, boxes])
    return hashlib.sha256(told.encode()).hexdigest()


def prompt_digest(pipeline: Pipeline, instruction: str) -> str:
    """Name the words that a prompter was given: those of its template, where it has one, and the instruction."""
    template = getattr(pipeline.prompter, "template", None)
    words = [getattr(template, part, "") for part in ("system", "user")]
    return hashlib.sha256(json.dumps([*words, instruction]).encode()).hexdigest()
