"""Average precision of a run: COCO's, over the instances of its records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fiducial.errors import MissingExtraError
from fiducial.evaluation.records import Record
from fiducial.geometry import Box, Mask
from fiducial.metrics import InstanceSample, average_precision

NO_SCORES = "no prediction carries a score to rank it by"


@dataclass(frozen=True, slots=True)
class Precision:
    """COCO's numbers for a run, whatever its policy: every sample counts, at the size of its picture, of one class.

    Args:
        samples: records with a truth that can be compared.
        ranked_by: ``"prompt"`` (the prompter's scores) or ``"mask"`` (the segmenter's); "" where there is none.
        masks: the twelve numbers over masks, empty where there are none.
        boxes: the same over boxes.
        note: why there is none, or "".
    """

    samples: int = 0
    ranked_by: str = ""
    masks: dict[str, float | None] | None = None
    boxes: dict[str, float | None] | None = None
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "samples": self.samples,
            "ranked_by": self.ranked_by,
            "masks": self.masks,
            "boxes": self.boxes,
            "note": self.note,
        }


def precision_of(records: Iterable[Record]) -> Precision:
    """Compute average precision where predictions carry scores.

    Predictions are ranked by the prompter's scores where it gives any, else by the segmenter's. One without a score,
    while others have one, ranks last. Each sample is matched for itself: a prediction can only be right about what
    its own instruction names.

    Args:
        records: of a run, in the order of its dataset.
    """
    held = list(records)
    ranked_by = _ranking(held)
    if not ranked_by:
        return Precision(note=NO_SCORES)
    with_masks = [_masks(record, ranked_by) for record in held if record.truth is not None]
    with_boxes = [_boxes(record, ranked_by) for record in held]
    try:
        return Precision(
            samples=len(held),
            ranked_by=ranked_by,
            masks=average_precision(with_masks) if with_masks else None,
            boxes=average_precision(with_boxes, kind="bbox"),
        )
    except MissingExtraError as error:
        return Precision(samples=len(held), ranked_by=ranked_by, note=str(error))


def _ranking(records: Iterable[Record]) -> str:
    by_mask = False
    for record in records:
        if any(prompt["score"] is not None for prompt in record.prompts):
            return "prompt"
        by_mask = by_mask or any(score is not None for score in record.mask_scores)
    return "mask" if by_mask else ""


def _scores(record: Record, ranked_by: str) -> list[float]:
    if ranked_by == "mask":
        found = [*record.mask_scores, *[None] * (len(record.prompts) - len(record.mask_scores))]
    else:
        found = [prompt["score"] for prompt in record.prompts]
    return [0.0 if score is None else float(score) for score in found]


def _masks(record: Record, ranked_by: str) -> InstanceSample:
    scored = zip(record.masks, _scores(record, ranked_by), strict=False)
    return InstanceSample(
        truth=record.truth_masks or (),
        predictions=tuple(Mask.from_coco(code).with_score(score) for code, score in scored),
        ignore=record.ignore_mask,
    )


def _boxes(record: Record, ranked_by: str) -> InstanceSample:
    """Compare boxes: the dataset's with those that were prompted, or of the masks where a prompt has none."""
    true = record.truth_boxes
    found: list[tuple[Box, float]] = []
    for place, score in enumerate(_scores(record, ranked_by)):
        box = _box(record, place)
        if box is not None:
            found.append((box, score))
    size, masks = record.size, record.truth_masks or ()
    return InstanceSample(
        # As COCO does, the class of size is that of the mask where there is one.
        truth=masks if len(masks) == len(true) else tuple(Mask.from_box(box, *size) for box in true),
        predictions=tuple(Mask.from_box(box, *size).with_score(score) for box, score in found),
        truth_boxes=true,
        predicted_boxes=tuple(box for box, _ in found),
        ignore=record.ignore_mask,
    )


def _box(record: Record, place: int) -> Box | None:
    given = record.prompts[place]["box"]
    if given is not None:
        return given[0], given[1], given[2], given[3]
    return Mask.from_coco(record.masks[place]).box if place < len(record.masks) else None
