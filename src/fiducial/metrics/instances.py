"""Average precision over instances, as COCO defines it: matching on plain arrays, then the area under the curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Box, Mask, boxes
from fiducial.geometry.masks import mask_iou

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

ONE_CLASS = "object"
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's thresholds of IoU."""
_RECALLS = np.linspace(0, 1, 101)
_MAX_PREDICTIONS = 100
_SIZES = {"": (0.0, 1e10), "_small": (0.0, 32.0**2), "_medium": (32.0**2, 96.0**2), "_large": (96.0**2, 1e10)}
"""Areas in pixels, both ends included."""


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
        for masks, labels, given, what in (
            (self.truth, self.truth_labels, self.truth_boxes, "true instances"),
            (self.predictions, self.predicted_labels, self.predicted_boxes, "predictions"),
        ):
            if labels and len(labels) != len(masks):
                raise InputError(f"{len(masks)} {what} need as many labels, got {len(labels)}")
            if given and len(given) != len(masks):
                raise InputError(f"{len(masks)} {what} need as many boxes, got {len(given)}")
        every = (*self.truth, *self.predictions, *(() if self.ignore is None else (self.ignore,)))
        if len({(mask.height, mask.width) for mask in every}) > 1:
            raise InputError("the masks of one sample need to share a canvas")


def match(
    overlaps: Array, thresholds: Sequence[float] | Array, counted: Flags | None = None, reusable: Flags | None = None
) -> NDArray[np.int64]:
    """Match predictions with the truth, best first, each truth once (COCO's ``evaluateImg``).

    Args:
        overlaps: (K, N) IoU of K predictions, best first, with N true instances.
        thresholds: (T,) IoU from which a prediction is right.
        counted: (N,) which true instances count; the others are taken only where none that counts fits. None: all.
        reusable: (N,) which true instances any number of predictions may find (crowds). None: none.

    Returns:
        (T, K) index of the true instance that each prediction finds, or -1.
    """
    count = overlaps.shape[1]
    limits = np.minimum(np.asarray(thresholds), 1 - 1e-10)
    counted = np.ones(count, dtype=bool) if counted is None else counted
    reusable = np.zeros(count, dtype=bool) if reusable is None else reusable
    free = np.ones((len(limits), count), dtype=bool)
    found = np.full((len(limits), len(overlaps)), -1, dtype=np.int64)
    kinds = [kind for kind in (counted, ~counted) if kind.any()]
    for k, row in enumerate(overlaps):
        for kind in kinds:
            fitting = np.where(free & kind, row, -1.0)
            best = count - 1 - fitting[:, ::-1].argmax(axis=1)  # of equals COCO takes the last
            hit = np.flatnonzero((found[:, k] < 0) & (fitting.max(axis=1) >= limits))
            found[hit, k] = best[hit]
            free[hit, best[hit]] = reusable[best[hit]]
    return found


def precision_of_hits(scores: Array, hits: Flags, count: int) -> float | None:
    """Return average precision: the mean of the best precision at 101 recalls from 0 to 1.

    Args:
        scores: (K,) of the predictions that count; of equals the first ranks first.
        hits: (K,) whether each is right.
        count: number of true instances that count.

    Returns:
        0..1; None where there is nothing to find.
    """
    if not count:
        return None
    hits = hits[np.argsort(-scores, kind="mergesort")]
    right = np.cumsum(hits)
    precision = np.maximum.accumulate((right / np.arange(1, len(hits) + 1))[::-1])[::-1]
    reached = np.searchsorted(right / count, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[reached].mean())


def average_precision(
    samples: Iterable[InstanceSample], *, kind: Literal["segm", "bbox"] = "segm"
) -> dict[str, float | None]:
    """Return COCO's twelve numbers for instance masks or their boxes.

    Args:
        samples: one per picture and instruction; each is evaluated as a picture of its own, so that a prediction is
            only ever matched with what its own instruction names. Samples without instances count: what is predicted
            there is wrong.
        kind: compare masks (``"segm"``) or their boxes (``"bbox"``).

    Returns:
        ``ap`` (mean over IoU 0.5 to 0.95), ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large``, ``ar1``,
        ``ar10``, ``ar100``, ``ar_small``, ``ar_medium``, ``ar_large``; None where no true instance is of that kind.

    Raises:
        InputError: an unknown kind.
    """
    if kind not in ("segm", "bbox"):
        raise InputError(f"average precision is of 'segm' or 'bbox', got {kind!r}")
    by_class: dict[str, list[_Picture]] = {}
    for sample in samples:
        names = {*_labels(sample.truth_labels, sample.truth), *_labels(sample.predicted_labels, sample.predictions)}
        for name in names:
            by_class.setdefault(name, []).append(_picture(sample, name, kind))
    curves = {size: [_curve(by_class[name], area) for name in sorted(by_class)] for size, area in _SIZES.items()}
    precision = {size: _over_classes([one.precision for one in found if one]) for size, found in curves.items()}
    recall = {size: _over_classes([one.recall for one in found if one]) for size, found in curves.items()}
    few = {count: _over_classes([one.few[count] for one in curves[""] if one]) for count in (1, 10)}
    whole = precision[""]
    return {
        "ap": _mean(whole),
        "ap50": None if whole is None else float(whole[0]),
        "ap75": None if whole is None else float(whole[5]),
        **{f"ap{size}": _mean(precision[size]) for size in _SIZES if size},
        **{f"ar{count}": _mean(values) for count, values in few.items()},
        "ar100": _mean(recall[""]),
        **{f"ar{size}": _mean(recall[size]) for size in _SIZES if size},
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """One class in one picture: predictions best first, truth with the ignored region last."""

    overlaps: Array
    scores: Array
    areas: Array
    truth_areas: Array
    crowd: Flags


def _labels(given: Sequence[str], masks: Sequence[Mask]) -> Sequence[str]:
    return given or (ONE_CLASS,) * len(masks)


def _picture(sample: InstanceSample, name: str, kind: str) -> _Picture:
    true = [k for k, label in enumerate(_labels(sample.truth_labels, sample.truth)) if label == name]
    found = [k for k, label in enumerate(_labels(sample.predicted_labels, sample.predictions)) if label == name]
    scores = np.array([1.0 if (s := sample.predictions[k].score) is None else s for k in found], dtype=np.float64)
    best = np.argsort(-scores, kind="mergesort")[:_MAX_PREDICTIONS]
    found = [found[k] for k in best]
    truth, predicted = [sample.truth[k] for k in true], [sample.predictions[k] for k in found]
    true_boxes, boxed = _boxes(truth, sample.truth_boxes, true), _boxes(predicted, sample.predicted_boxes, found)
    overlaps = boxes.iou(boxed, true_boxes) if kind == "bbox" else mask_iou(predicted, truth)
    areas = [float(mask.area) for mask in truth]
    if sample.ignore:
        inside = [_part_inside(mask, box, sample.ignore, kind) for mask, box in zip(predicted, boxed, strict=True)]
        overlaps = np.concatenate([overlaps, np.array(inside, dtype=np.float64).reshape(-1, 1)], axis=1)
        areas.append(float(sample.ignore.area))
    crowd = np.arange(len(areas)) >= len(truth)
    return _Picture(overlaps, scores[best], boxes.area(boxed), np.array(areas, dtype=np.float64), crowd)


def _boxes(masks: Sequence[Mask], given: Sequence[Box], indices: Sequence[int]) -> Array:
    """Return (N, 4): the boxes that were given, or those of the masks."""
    rows = [given[k] if given else mask.box or (0.0,) * 4 for k, mask in zip(indices, masks, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _part_inside(mask: Mask, box: Array, ignore: Mask, kind: str) -> float:
    """Return which part of a prediction lies in the ignored region, or in its box."""
    if kind == "segm":
        return mask.intersection(ignore).area / mask.area if mask else 0.0
    around = np.array(ignore.box)
    sides = (np.minimum(box[2:], around[2:]) - np.maximum(box[:2], around[:2])).clip(min=0)
    area = float(boxes.area(box[None])[0])
    return float(sides.prod()) / area if area else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """One class: average precision and recall (T,) per threshold, and recall with few predictions a picture."""

    precision: Array
    recall: Array
    few: dict[int, Array]


def _curve(pictures: Sequence[_Picture], area: tuple[float, float]) -> _Curve | None:
    """Measure one class; None without anything to find of that area."""
    counted = [~one.crowd & _within(one.truth_areas, area) for one in pictures]
    count = sum(int(each.sum()) for each in counted)
    if not count:
        return None
    hits, used, ranks = [], [], []
    for one, kept in zip(pictures, counted, strict=True):
        partners = match(one.overlaps, THRESHOLDS, kept, one.crowd)
        right = (partners >= 0) & np.append(kept, False)[partners]
        hits.append(right)
        # What found something that does not count is neither right nor wrong, nor is a miss of another size.
        used.append(right | ((partners < 0) & _within(one.areas, area)))
        ranks.append(np.arange(len(one.scores)))
    scores, rank = np.concatenate([one.scores for one in pictures]), np.concatenate(ranks)
    found, keep = np.concatenate(hits, axis=1), np.concatenate(used, axis=1)
    precision = [precision_of_hits(scores[k], row[k], count) or 0.0 for row, k in zip(found, keep, strict=True)]
    few = {most: found[:, rank < most].sum(axis=1) / count for most in (1, 10)}
    return _Curve(np.array(precision), found.sum(axis=1) / count, few)


def _within(areas: Array, limits: tuple[float, float]) -> Flags:
    return np.asarray((areas >= limits[0]) & (areas <= limits[1]))


def _over_classes(values: Sequence[Array]) -> Array | None:
    return np.asarray(np.mean(values, axis=0)) if values else None


def _mean(values: Array | None) -> float | None:
    return None if values is None else float(values.mean())
