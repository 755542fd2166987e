"""Prompts made of true masks, as bad as those that a segmenter will meet, and how good its masks are from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Embedding, Segmenter
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.geometry.prompts import Box, Point
from fiducial.training.configs import DecoderPrompting
from fiducial.training.segmenter_data import training_object

MakePrompt = Callable[[Mask, np.random.Generator], Prompt]
_TRIES = 20
_MARGIN = 0.25
"""How far beside a box negative points lie at most, as a part of its width or height."""
P = TypeVar("P")


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


# -- the prompts of a picture ---------------------------------------------------------------------


def draw_prompts(masks: Sequence[Mask], prompting: DecoderPrompting, random: np.random.Generator) -> Prompts:
    """Draw one prompt for each of a picture's masks, all with equally many points and all with or all without a box."""
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


def ious_of(
    targets: Sequence[tuple[P, Mask]],
    segmenter: Segmenter,
    encode: Callable[[P], Embedding],
    make_prompt: MakePrompt,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Cut every target from a prompt made of its truth, and return the true IoU (N,) in 0..1.

    Targets are pictures, each with one true mask; ``encode`` gives a picture's embedding. The target at an index gets
    the same prompt of the same seed whatever the segmenter.
    """
    ious = np.zeros(len(targets))
    by_picture: dict[int, list[int]] = {}
    for index, (picture, _) in enumerate(targets):
        by_picture.setdefault(id(picture), []).append(index)
    for indices in by_picture.values():
        prompts = [make_prompt(targets[index][1], np.random.default_rng([seed, index])) for index in indices]
        masks = segmenter.decode(encode(targets[indices[0]][0]), Prompts(prompts[0].frame, tuple(prompts)))
        ious[indices] = [mask.iou(targets[index][1]) for index, mask in zip(indices, masks, strict=True)]
    return ious
