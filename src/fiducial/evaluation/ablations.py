"""Ablations of the segment side: what a foreground point and a boundary cut are worth, object by object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fiducial.errors import InputError
from fiducial.evaluation.jobs import Job
from fiducial.evaluation.prompting import Place, TruthPrompts
from fiducial.evaluation.studies import Variant
from fiducial.recipes import PartSpec

PUBLISHED_CFPG = {"reach": 2.0}
"""Options of CFPG as it was published: it never abstains."""
PUBLISHED_MBO = {"min_area": 1, "min_gain": -1.0, "max_score": 1.0}
"""Options of MBO as it was published: it never abstains."""
_TRUE_POINTS: tuple[tuple[str, Place], ...] = (
    ("box + true centroid", "centroid"),
    ("box + deepest point", "deepest"),
    ("box + random inside point", "random"),
)


def cfpg_variants(job: Job, jitter: float = 0.0, seed: int = 0) -> list[Variant]:
    """Vary the point that is given beside the true box; the box alone comes first.

    Args:
        job: the segmenter and the data; best one sample per object (``objects:...``).
        jitter: of the boxes, as :class:`TruthPrompts` takes it. Every variant gets the same boxes.
        seed: of the draws.
    """
    told = TruthPrompts(jitter=jitter, seed=seed)
    box = replace(job, source=told)
    pointed: list[tuple[str, dict[str, Any]]] = [
        ("box + CFPG point", {}),
        ("box + CFPG point as published", PUBLISHED_CFPG),
        ("CFPG point as published, alone", {**PUBLISHED_CFPG, "keep_box": False}),
    ]
    return [
        Variant("box", _refined(box)),
        *(Variant(name, _refined(box, prompt=("cfpg", options))) for name, options in pointed),
        *(Variant(name, _refined(replace(job, source=replace(told, points=1, at=at)))) for name, at in _TRUE_POINTS),
    ]


def mbo_variants(job: Job, jitter: float = 0.0, seed: int = 0) -> list[Variant]:
    """Vary what is done to the masks of a segmenter: nothing, MBO, MBO as published.

    Args:
        job: the segmenter (``truth`` for the true masks themselves) and the data.
        jitter: of the true boxes that it cuts from.
        seed: of the draws.
    """
    box = replace(job, source=TruthPrompts(jitter=jitter, seed=seed))
    return [
        Variant("as cut", _refined(box)),
        Variant("MBO", _refined(box, mask=("mbo", {}))),
        Variant("MBO as published", _refined(box, mask=("mbo", PUBLISHED_MBO))),
    ]


def parse_jitter(values: Sequence[str]) -> float:
    """Read the one value that these studies take: the jitter of the boxes.

    Raises:
        InputError: several values, or no number.
    """
    try:
        (jitter,) = [float(value) for value in values] or [0.0]
    except ValueError:
        raise InputError(f"this study takes one value, the jitter of the boxes such as 0.1, got {values}") from None
    return jitter


def _refined(
    job: Job, *, prompt: tuple[str, dict[str, Any]] | None = None, mask: tuple[str, dict[str, Any]] | None = None
) -> Job:
    """Return the job with these refiners and no others."""
    recipe = replace(
        job.recipe,
        prompt_refiners=() if prompt is None else (PartSpec("prompt_refiner", prompt[0], options=prompt[1]),),
        mask_refiners=() if mask is None else (PartSpec("mask_refiner", mask[0], options=mask[1]),),
    )
    return replace(job, recipe=recipe)
