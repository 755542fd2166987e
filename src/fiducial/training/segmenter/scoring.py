"""How good a segmenter is on the held-out part, from prompts made of the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Segmenter
from fiducial.datasets import Sample
from fiducial.datasets.splits import longest_edge
from fiducial.geometry import Mask, Prompt
from fiducial.geometry.prompts import Box, Prompts
from fiducial.training.segmenter.objects import training_object
from fiducial.training.sources import instances_of

Prompting = Callable[[Mask, np.random.Generator], Prompt]


@dataclass(frozen=True, slots=True)
class Target:
    """One held-out object.

    Args:
        sample: where it lies.
        mask: its true mask.
    """

    sample: Sample
    mask: Mask


def targets_of(samples: Sequence[Sample], *, least: float, limit: int | None = None, seed: int = 0) -> list[Target]:
    """List the objects of samples, or as many of them as the limit says, drawn by the seed.

    Args:
        samples: held-out samples.
        least: leave out objects with a longest edge below so many pixels.
        limit: most objects; None takes all.
        seed: of the drawing.
    """
    found = [Target(sample, mask) for sample in samples for mask in instances_of(sample) if longest_edge(mask) >= least]
    if limit is None or len(found) <= limit:
        return found
    chosen = np.random.default_rng(seed).permutation(len(found))[:limit]
    return [found[int(number)] for number in sorted(chosen)]


def true_box(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with the tight box of the true mask."""
    return Prompt(mask.frame, box=mask.box)


def jittered_box(part: float) -> Prompting:
    """Prompt with the tight box, each edge shifted evenly by up to a part of the box's width or height."""

    def prompt(mask: Mask, random: np.random.Generator) -> Prompt:
        x1, y1, x2, y2 = mask.box or (0, 0, 1, 1)
        width, height = x2 - x1, y2 - y1
        shifts = random.uniform(-part, part, 4)
        box = (x1 + shifts[0] * width, y1 + shifts[1] * height, x2 + shifts[2] * width, y2 + shifts[3] * height)
        return Prompt(mask.frame, box=_clipped(box, mask))

    return prompt


def inside_point(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with one point well inside the target: a pixel at least 0.6 times as deep as the deepest."""
    inner = training_object(mask, 0).inner
    x, y = inner[int(random.integers(len(inner)))].tolist()
    return Prompt(mask.frame, points=((x, y),))


def random_point(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with one point on any pixel of the target."""
    rows, columns = np.nonzero(mask.to_dense())
    number = int(random.integers(len(rows)))
    return Prompt(mask.frame, points=((columns[number] + 0.5, rows[number] + 0.5),))


PROMPTINGS: dict[str, Prompting] = {
    "true box": true_box,
    "box jittered by 10 %": jittered_box(0.1),
    "box jittered by 20 %": jittered_box(0.2),
    "one point well inside": inside_point,
    "one point anywhere": random_point,
}


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What came of it, per object.

    Args:
        ious: (N,) true IoU in 0..1.
        expected: (N,) the segmenter's own estimate; NaN where it has none.
    """

    ious: NDArray[np.float64]
    expected: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean IoU."""
        return float(self.ious.mean()) if len(self.ious) else float("nan")


def score(segmenter: Segmenter, targets: Sequence[Target], prompting: Prompting, seed: int = 0) -> Scores:
    """Cut every target from a prompt made of its truth.

    Args:
        segmenter: any segmenter.
        targets: what to cut.
        prompting: how the prompt is made.
        seed: of the prompts; target number n gets the same prompt whatever the segmenter.
    """
    ious = np.zeros(len(targets))
    expected = np.full(len(targets), np.nan)
    by_sample: dict[str, list[int]] = {}
    for number, target in enumerate(targets):
        by_sample.setdefault(target.sample.id, []).append(number)
    for numbers in by_sample.values():
        sample = targets[numbers[0]].sample
        embedding = segmenter.encode(sample.image())
        given = [prompting(targets[number].mask, np.random.default_rng([seed, number])) for number in numbers]
        for number, mask in zip(numbers, segmenter.decode(embedding, Prompts(sample.frame, tuple(given))), strict=True):
            ious[number] = mask.iou(targets[number].mask)
            expected[number] = np.nan if mask.score is None else mask.score
    return Scores(ious, expected)


def _clipped(box: tuple[float, float, float, float], mask: Mask) -> Box:
    x1, y1 = max(0.0, box[0]), max(0.0, box[1])
    return x1, y1, max(x1 + 1, min(box[2], mask.width)), max(y1 + 1, min(box[3], mask.height))
