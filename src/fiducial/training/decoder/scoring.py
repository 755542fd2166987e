"""How good a decoder is on the held-out part, from embeddings that are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fiducial.geometry import Mask, Prompts
from fiducial.training.decoder.config import DecoderConfig
from fiducial.training.decoder.embeddings import Embeddings
from fiducial.training.decoder.pictures import Picture
from fiducial.training.segmenter.scoring import PROMPTINGS, Prompting, jittered_box


def prompting_of(config: DecoderConfig) -> Prompting:
    """Return how held-out targets are prompted."""
    known = {
        "box": PROMPTINGS["true box"],
        "jittered_box": jittered_box(config.prompts.jitter),
        "point": PROMPTINGS["one point well inside"],
    }
    return known[config.score_prompt]


def mean_iou(embeddings: Embeddings, targets: Sequence[tuple[Picture, Mask]], prompting: Prompting, seed: int) -> float:
    """Cut every target from a prompt made of its truth, and return the mean IoU in 0..1.

    Args:
        embeddings: the pictures' embeddings, with the segmenter that decodes them.
        targets: at least one target, each with its picture.
        prompting: how the prompt is made.
        seed: of the prompts; target number n gets the same prompt at every look.
    """
    by_picture: dict[Picture, list[int]] = {}
    for number, (picture, _) in enumerate(targets):
        by_picture.setdefault(picture, []).append(number)
    ious = np.zeros(len(targets))
    for picture, numbers in by_picture.items():
        given = tuple(prompting(targets[number][1], np.random.default_rng([seed, number])) for number in numbers)
        found = embeddings.segmenter.decode(embeddings[picture], Prompts(given[0].frame, given))
        ious[numbers] = [mask.iou(targets[number][1]) for number, mask in zip(numbers, found, strict=True)]
    return float(ious.mean())
