"""Prompts made of true masks, as bad as those that a segmenter will meet, and how good its masks are from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Embedding, Segmenter
from fiducial.datasets import Sample
from fiducial.datasets.splits import longest_edge
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.geometry.prompts import Box, Point
from fiducial.images import Image
from fiducial.training.configs import DecoderPrompting
from fiducial.training.segmenter_data import training_object
from fiducial.training.sources import instances_of, subset

MakePrompt = Callable[[Mask, np.random.Generator], Prompt]
_TRIES = 20
_MARGIN = 0.25
"""How far beside a box negative points lie at most, as a part of its width or height."""


class _HasImage(Protocol):
    def image(self) -> Image: ...


P = TypeVar("P", bound=_HasImage)


# -- one prompt -----------------------------------------------------------------------------------


def true_box(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with the tight box of the true mask."""
    return Prompt(mask.frame, box=mask.box)


def jittered_box(part: float) -> MakePrompt:
    """Prompt with the tight box, each edge shifted evenly by up to a part of the box's width or height."""

    def prompt(mask: Mask, random: np.random.Generator) -> Prompt:
        x1, y1, x2, y2 = mask.box or (0, 0, 1, 1)
        width, height = x2 - x1, y2 - y1
        shifts = random.uniform(-part, part, 4)
        left, top = max(0.0, x1 + shifts[0] * width), max(0.0, y1 + shifts[1] * height)
        right, bottom = min(x2 + shifts[2] * width, mask.width), min(y2 + shifts[3] * height, mask.height)
        box: Box = (left, top, max(left + 1, right), max(top + 1, bottom))
        return Prompt(mask.frame, box=box)

    return prompt


def inside_point(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with one point well inside the target: a pixel at least 0.6 times as deep as the deepest."""
    inner = training_object(mask, 0).inner
    x, y = inner[int(random.integers(len(inner)))].tolist()
    return Prompt(mask.frame, points=((x, y),))


def random_point(mask: Mask, random: np.random.Generator) -> Prompt:
    """Prompt with one point on any pixel of the target."""
    rows, columns = np.nonzero(mask.to_dense())
    index = int(random.integers(len(rows)))
    return Prompt(mask.frame, points=((columns[index] + 0.5, rows[index] + 0.5),))


PROMPTINGS: dict[str, MakePrompt] = {
    "true box": true_box,
    "box jittered by 10 %": jittered_box(0.1),
    "box jittered by 20 %": jittered_box(0.2),
    "one point well inside": inside_point,
    "one point anywhere": random_point,
}


# -- the prompts of a picture ---------------------------------------------------------------------


def draw_prompts(masks: Sequence[Mask], prompting: DecoderPrompting, random: np.random.Generator) -> Prompts:
    """Draw one prompt per mask, all with equally many points and all with or all without a box.

    Args:
        masks: at least one mask of one picture, none empty.
        prompting: which prompts, and how bad.
        random: the chance.
    """
    parts = np.array([prompting.box, prompting.box_points, prompting.points])
    mode = int(random.choice(3, p=parts / parts.sum()))
    count = 0 if mode == 0 else int(random.integers(1, prompting.max_points + 1))
    found = []
    for mask in masks:
        labels = tuple(int(index == 0 or random.random() >= prompting.negative) for index in range(count))
        points = tuple(draw_point(mask, random) if label else _near(mask, random) for label in labels)
        labels = tuple(int(mask.contains(point)) for point in points)
        exact = random.random() < prompting.exact
        box = None
        if mode < 2:
            box = (true_box if exact else jittered_box(prompting.jitter))(mask, random).box
        found.append(Prompt(mask.frame, box=box, points=points, point_labels=labels))
    return Prompts(masks[0].frame, tuple(found))


def draw_point(mask: Mask, random: np.random.Generator) -> Point:
    """Draw the centre x, y of a pixel of a mask that is not empty, each pixel as likely as any other."""
    lengths = mask.runs[:, 1] - mask.runs[:, 0]
    before = np.cumsum(lengths, dtype=np.int64)
    drawn = int(random.integers(before[-1]))
    run = int(np.searchsorted(before, drawn, side="right"))
    # Runs count pixels down the columns.
    pixel = int(mask.runs[run, 1]) - (int(before[run]) - drawn)
    return pixel // mask.height + 0.5, pixel % mask.height + 0.5


def _near(mask: Mask, random: np.random.Generator) -> Point:
    """Draw the centre of a pixel near a mask and not of it; of it, where chance finds none."""
    x1, y1, x2, y2 = mask.box or (0.0, 0.0, 1.0, 1.0)
    wide, high = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    point = draw_point(mask, random)
    for _ in range(_TRIES):
        x = min(max(random.uniform(x1 - wide, x2 + wide), 0.0), mask.width - 1.0)
        y = min(max(random.uniform(y1 - high, y2 + high), 0.0), mask.height - 1.0)
        near = (int(x) + 0.5, int(y) + 0.5)
        if not mask.contains(near):
            return near
    return point


# -- scores ---------------------------------------------------------------------------------------


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


def targets_of(
    samples: Sequence[Sample], *, min_size: float, limit: int | None = None, seed: int = 0
) -> list[tuple[Sample, Mask]]:
    """List the objects of samples, or as many of them as the limit says, drawn by the seed.

    Args:
        samples: held-out samples.
        min_size: leave out objects with a longest edge below so many pixels.
        limit: largest number of objects; None takes all.
        seed: of the drawing.
    """
    found = [(one, mask) for one in samples for mask in instances_of(one) if longest_edge(mask) >= min_size]
    return subset(found, limit, seed)


def score(
    segmenter: Segmenter,
    targets: Sequence[tuple[P, Mask]],
    make_prompt: MakePrompt,
    seed: int = 0,
    encode: Callable[[P], Embedding] | None = None,
) -> Scores:
    """Cut every target from a prompt made of its truth.

    Args:
        segmenter: any segmenter.
        targets: what to cut: pictures, each with one true mask.
        make_prompt: how the prompt is made.
        seed: of the prompts; the target at an index gets the same prompt whatever the segmenter.
        encode: gives a picture's embedding; default: the segmenter.
    """
    ious = np.zeros(len(targets))
    expected = np.full(len(targets), np.nan)
    by_picture: dict[int, list[int]] = {}
    for index, (picture, _) in enumerate(targets):
        by_picture.setdefault(id(picture), []).append(index)
    for indices in by_picture.values():
        picture = targets[indices[0]][0]
        embedding = segmenter.encode(picture.image()) if encode is None else encode(picture)
        prompts = [make_prompt(targets[index][1], np.random.default_rng([seed, index])) for index in indices]
        masks = segmenter.decode(embedding, Prompts(prompts[0].frame, tuple(prompts)))
        for index, mask in zip(indices, masks, strict=True):
            ious[index] = mask.iou(targets[index][1])
            expected[index] = np.nan if mask.score is None else mask.score
    return Scores(ious, expected)
