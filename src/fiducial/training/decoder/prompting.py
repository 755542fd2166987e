"""Prompts made of true masks, as bad as those that a decoder will meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.geometry.prompts import Point
from fiducial.training.decoder.config import Prompting
from fiducial.training.segmenter.scoring import jittered_box, true_box

_TRIES = 20
_BESIDE = 0.25
"""How far beside a box negative points lie at most, as a part of its width or height."""


def draw_prompts(masks: Sequence[Mask], prompting: Prompting, random: np.random.Generator) -> Prompts:
    """Draw one prompt per mask, all with equally many points and all with or all without a box.

    Args:
        masks: at least one mask of one picture, none empty.
        prompting: which prompts, and how bad.
        random: the chance.
    """
    parts = np.array([prompting.box, prompting.box_points, prompting.points])
    mode = int(random.choice(3, p=parts / parts.sum()))
    count = 0 if mode == 0 else int(random.integers(1, prompting.most_points + 1))
    found = []
    for mask in masks:
        labels = tuple(int(place == 0 or random.random() >= prompting.negative) for place in range(count))
        points = tuple(draw_point(mask, random) if label else _beside(mask, random) for label in labels)
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
    place = int(random.integers(before[-1]))
    run = int(np.searchsorted(before, place, side="right"))
    # Runs count pixels down the columns.
    pixel = int(mask.runs[run, 1]) - (int(before[run]) - place)
    return pixel // mask.height + 0.5, pixel % mask.height + 0.5


def _beside(mask: Mask, random: np.random.Generator) -> Point:
    """Draw the centre of a pixel near a mask and not of it; of it, where chance finds none."""
    x1, y1, x2, y2 = mask.box or (0.0, 0.0, 1.0, 1.0)
    wide, high = _BESIDE * (x2 - x1), _BESIDE * (y2 - y1)
    point = draw_point(mask, random)
    for _ in range(_TRIES):
        x = min(max(random.uniform(x1 - wide, x2 + wide), 0.0), mask.width - 1.0)
        y = min(max(random.uniform(y1 - high, y2 + high), 0.0), mask.height - 1.0)
        near = (int(x) + 0.5, int(y) + 0.5)
        if not mask.contains(near):
            return near
    return point
