"""Scoring predictions that were made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.errors import GeometryError, InputError
from fiducial.evaluation.predictions import Entry, Side, listed, read_side
from fiducial.geometry import Box, Mask
from fiducial.language import Outcome
from fiducial.metrics import Policy, SampleScore, Totals, policy, score_sample
from fiducial.metrics.boundaries import Spacing
from fiducial.results import write_atomically

_MISSING = Entry(None, outcome=Outcome.FAILED)


@dataclass(frozen=True)
class Scores:
    """How predictions fared.

    Args:
        policy: by which they were counted.
        samples: the score of each sample of the truth, by its name.
    """

    policy: Policy
    samples: dict[str, SampleScore]

    def as_json(self) -> dict[str, Any]:
        """Return policy, counts, statistics and outcomes as plain values."""
        totals = Totals(self.policy).extend(self.samples.values())
        return {"policy": self.policy.name, **totals.report(), "outcomes": totals.outcomes}

    def write(self, path: Path) -> Path:
        """Write one JSON line per sample."""
        lines = (json.dumps({"id": name, **score.as_json()}) for name, score in self.samples.items())
        return write_atomically(path, "".join(f"{line}\n" for line in lines))


def score_predictions(
    predictions: str | Path,
    truth: str | Path,
    policy_name: str = "fiducial",
    *,
    boundaries: bool = False,
    spacing: Spacing = (1.0, 1.0),
) -> Scores:
    """Score predictions against the truth.

    Both are COCO JSON or folders of mask pictures. Annotations are united per ``instruction_id`` where they have one,
    else per ``image_id``; masks in folders meet by file name. A sample of the truth without an annotation has no
    target. Of the predictions, a sample that is not there at all is missing (outcome ``failed``); one that is listed
    without an annotation, or whose mask has no pixel, says that there is no target; an annotation may say otherwise
    under ``outcome``.

    Args:
        predictions: what was predicted.
        truth: what is true.
        policy_name: how to count.
        boundaries: also measure boundary F-score and Hausdorff 95.
        spacing: height, width of a pixel of every picture; Hausdorff 95 has its unit (default: pixels).

    Raises:
        InputError: files that cannot be read, predictions for samples that the truth does not have (the message names
            them), or masks that do not fit each other.
        UnknownNameError: no such policy.
    """
    rules = policy(policy_name)
    true = read_side(truth)
    if not true.entries:
        raise InputError(f"{truth}: holds no sample")
    predicted = read_side(predictions, true.sizes)
    _check_known(predictions, predicted, truth, true)
    samples = {
        name: _score(rules, name, entry, predicted.entries.get(name, _MISSING), spacing if boundaries else None)
        for name, entry in true.entries.items()
    }
    return Scores(rules, samples)


def _check_known(predictions: str | Path, predicted: Side, truth: str | Path, true: Side) -> None:
    extra = sorted(set(predicted.entries) - set(true.entries))
    if extra:
        by = f" ({predicted.by} there, {true.by} here)" if predicted.by != true.by else ""
        raise InputError(
            f"{predictions}: {len(extra)} of {len(predicted.entries)} samples are not in {truth}{by}: {listed(extra)}"
        )


def _score(rules: Policy, name: str, true: Entry, predicted: Entry, spacing: Spacing | None) -> SampleScore:
    outcome = predicted.outcome or _implied(predicted)
    usable = outcome in (Outcome.FOUND, Outcome.TRUNCATED)
    if not usable and (predicted.mask or predicted.boxes):
        raise InputError(f"sample {name}: its outcome is {outcome.value}, but something is predicted")
    try:
        return score_sample(
            rules,
            _true_mask(name, true),
            predicted.mask,
            outcome,
            ignore=true.ignore,
            truth_boxes=_boxes(true.masks) or true.boxes,
            predicted_boxes=(_boxes(predicted.masks) or predicted.boxes or None) if usable else None,
            boundaries=spacing is not None,
            spacing=spacing or (1.0, 1.0),
        )
    except GeometryError as error:
        raise InputError(f"sample {name}: {error}") from None


def _implied(predicted: Entry) -> Outcome:
    return Outcome.FOUND if predicted.mask or predicted.boxes else Outcome.NO_TARGET


def _true_mask(name: str, true: Entry) -> Mask | None:
    """Return the true mask; an empty one where there is no target, None where only boxes are known."""
    if true.mask is not None or true.boxes:
        return true.mask
    if true.size is None:
        raise InputError(f"sample {name}: the truth tells neither a target nor the size of its picture")
    return Mask.empty(*true.size)


def _boxes(masks: Iterable[Mask]) -> tuple[Box, ...]:
    return tuple(mask.box for mask in masks if mask.box is not None)
