"""A result as strict JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.geometry import Prompt
    from fiducial.results.segmentation import Segmentation

COORDINATE_DIGITS = 3
SCORE_DIGITS = 4
SECOND_DIGITS = 4


def record(segmentation: Segmentation) -> dict[str, Any]:
    """Return the plain values of a result; see :meth:`fiducial.results.Segmentation.as_json`."""
    from fiducial.results.segmentation import STAGES

    result, answer = segmentation, segmentation.answer
    return {
        "image": result.image.name,
        "width": result.image.width,
        "height": result.image.height,
        "instruction": result.instruction,
        "recipe": result.recipe,
        "outcome": result.outcome.value,
        "thinking": answer.thinking,
        "text": answer.text,
        "prompts": [_prompt(prompt) for prompt in result.prompts],
        "masks": [mask.to_coco() for mask in result.masks],
        "scores": [rounded(score, SCORE_DIGITS) for score in result.scores],
        "repairs": [*answer.repairs],
        "refinements": [[step.as_json() for step in steps] for steps in result.refinements],
        "seconds": {stage: rounded(result.seconds.get(stage), SECOND_DIGITS) for stage in STAGES},
    }


def write(segmentation: Segmentation, folder: Path) -> bytes:
    """Return the record as indented UTF-8."""
    return dump(record(segmentation))


def dump(values: Any) -> bytes:
    """Write plain values as strict, indented JSON in UTF-8.

    Letters that UTF-8 cannot hold (halves of pairs, from broken file names or replies) are written as escapes.
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2)
    return (text + "\n").encode("utf-8", "backslashreplace")


def rounded(value: float | None, digits: int) -> float | None:
    """Round a number for JSON; None stays None, and so does what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # no negative zero


def _prompt(prompt: Prompt) -> dict[str, Any]:
    return {
        "label": prompt.label,
        "score": rounded(prompt.score, SCORE_DIGITS),
        "box": None if prompt.box is None else [rounded(value, COORDINATE_DIGITS) for value in prompt.box],
        "points": [[rounded(value, COORDINATE_DIGITS) for value in point] for point in prompt.points],
        "point_labels": [*prompt.labels],
    }
