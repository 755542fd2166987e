"""Average precision over instances, as COCO defines it, through faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fiducial.errors import InputError, MissingExtraError
from fiducial.geometry import Box, Mask

_NAMES = {
    "AP_all": "ap",
    "AP_50": "ap50",
    "AP_75": "ap75",
    "AP_small": "ap_small",
    "AP_medium": "ap_medium",
    "AP_large": "ap_large",
    "AR_all": "ar1",
    "AR_second": "ar10",
    "AR_third": "ar100",
    "AR_small": "ar_small",
    "AR_medium": "ar_medium",
    "AR_large": "ar_large",
}
ONE_CLASS = "object"


@dataclass(frozen=True, slots=True, eq=False)
class InstanceSample:
    """The instances of one picture and instruction, true and predicted.

    Args:
        truth: one mask per true instance; all masks here share one canvas.
        predictions: one mask per predicted instance. ``mask.score`` ranks it; one without a score counts as 1.
        truth_labels: one class per true instance, or none: then all are of one class.
        predicted_labels: one class per prediction, likewise.
        ignore: a region in which predictions of any class are neither right nor wrong (COCO's crowd).
        truth_boxes: x1, y1, x2, y2 of each true instance in pixels, or none: then the tight boxes of the masks.
        predicted_boxes: one per prediction, likewise.

    Raises:
        InputError: labels or boxes that do not fit, or masks of different sizes.
    """

    truth: tuple[Mask, ...]
    predictions: tuple[Mask, ...]
    truth_labels: tuple[str, ...] = ()
    predicted_labels: tuple[str, ...] = ()
    ignore: Mask | None = None
    truth_boxes: tuple[Box, ...] = ()
    predicted_boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for masks, labels, boxes, what in (
            (self.truth, self.truth_labels, self.truth_boxes, "true instances"),
            (self.predictions, self.predicted_labels, self.predicted_boxes, "predictions"),
        ):
            if labels and len(labels) != len(masks):
                raise InputError(f"{len(masks)} {what} need as many labels, got {len(labels)}")
            if boxes and len(boxes) != len(masks):
                raise InputError(f"{len(masks)} {what} need as many boxes, got {len(boxes)}")
        every = (*self.truth, *self.predictions, *(() if self.ignore is None else (self.ignore,)))
        if len({(mask.height, mask.width) for mask in every}) > 1:
            raise InputError("the masks of one sample need to share a canvas")


def average_precision(
    samples: Iterable[InstanceSample], *, kind: Literal["segm", "bbox"] = "segm"
) -> dict[str, float | None]:
    """Return COCO's twelve numbers for instance masks or their boxes.

    Args:
        samples: one per picture and instruction; each is evaluated as a picture of its own, so that a prediction is
            only ever matched with what its own instruction names. Samples without instances count: what is predicted
            there is wrong.
        kind: compare masks (``"segm"``) or their tight boxes (``"bbox"``).

    Returns:
        ``ap`` (mean over IoU 0.5 to 0.95), ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large``, ``ar1``,
        ``ar10``, ``ar100``, ``ar_small``, ``ar_medium``, ``ar_large``; None where no true instance is of that kind.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
        InputError: an unknown kind.
    """
    if kind not in ("segm", "bbox"):
        raise InputError(f"average precision is of 'segm' or 'bbox', got {kind!r}")
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError("average precision", "evaluate", str(error)) from error

    truth, predictions = coco_documents(list(samples))
    if not any(not each["iscrowd"] for each in truth["annotations"]):
        return dict.fromkeys(_NAMES.values())
    if not predictions:
        return _without_predictions(truth["annotations"])
    known = COCO(truth)
    evaluation = COCOeval_faster(known, known.loadRes(predictions), iouType=kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    found = evaluation.stats_as_dict
    return {ours: None if found[theirs] < 0 else float(found[theirs]) for theirs, ours in _NAMES.items()}


def coco_documents(samples: Sequence[InstanceSample]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write samples as COCO annotations and COCO results.

    Args:
        samples: the samples; number i becomes image i + 1.

    Returns:
        The annotation document, and the list of results.
    """
    names = sorted({name for each in samples for name in (*_labels(each, "truth"), *_labels(each, "predictions"))})
    category = {name: number for number, name in enumerate(names, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, each in enumerate(samples, start=1):
        every = (*each.truth, *each.predictions)
        height, width = (every[0].height, every[0].width) if every else (1, 1)
        images.append({"id": image, "height": height, "width": width, "file_name": f"{image}"})
        crowds = [] if not each.ignore else [(each.ignore, name, None, 1) for name in names]
        boxes = each.truth_boxes or (None,) * len(each.truth)
        true = zip(each.truth, _labels(each, "truth"), boxes, strict=True)
        for mask, name, box, crowd in (*((*one, 0) for one in true), *crowds):
            place = {"id": len(annotations) + 1, "iscrowd": crowd}
            annotations.append({**_entry(mask, box, image, category[name]), **place})
        boxes = each.predicted_boxes or (None,) * len(each.predictions)
        for mask, name, box in zip(each.predictions, _labels(each, "predictions"), boxes, strict=True):
            score = 1.0 if mask.score is None else mask.score
            results.append({**_entry(mask, box, image, category[name]), "score": score})
    categories = [{"id": number, "name": name} for name, number in category.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, results


def _labels(sample: InstanceSample, side: Literal["truth", "predictions"]) -> tuple[str, ...]:
    if side == "truth":
        return sample.truth_labels or (ONE_CLASS,) * len(sample.truth)
    return sample.predicted_labels or (ONE_CLASS,) * len(sample.predictions)


def _entry(mask: Mask, box: Box | None, image: int, category: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box or mask.box or (0.0, 0.0, 0.0, 0.0)
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": mask.to_coco(),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": mask.area,
    }


def _without_predictions(annotations: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """COCO's numbers when nothing was predicted at all: 0 wherever there is something to find."""
    areas = [each["area"] for each in annotations if not each["iscrowd"]]
    limits = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    report: dict[str, float | None] = {}
    for name in _NAMES.values():
        low, high = limits.get(name.partition("_")[2], (0, 1e10))
        report[name] = 0.0 if any(low <= area <= high for area in areas) else None
    return report
