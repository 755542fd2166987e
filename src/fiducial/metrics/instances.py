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

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's thresholds of IoU."""
_RECALLS = np.linspace(0, 1, 101)
_MAX_PREDICTIONS = 100
_FEW = (1, 10)
_SIZES = {"": (0.0, 1e10), "_small": (0.0, 32.0**2), "_medium": (32.0**2, 96.0**2), "_large": (96.0**2, 1e10)}
"""Areas in pixels, both ends included."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceSample:
    """The instances of one picture and instruction, true and predicted.

    Args:
        truth: one mask per true instance; all masks here share one canvas.
        predictions: one mask per predicted instance. ``mask.score`` ranks it; one without a score counts as 1.
        ignore: a region in which predictions are neither right nor wrong (COCO's crowd).
        truth_boxes: x1, y1, x2, y2 of each true instance in pixels, or none: then the tight boxes of the masks.
        predicted_boxes: one per prediction, in the same form.
    """

    truth: tuple[Mask, ...]
    predictions: tuple[Mask, ...]
    ignore: Mask | None = None
    truth_boxes: tuple[Box, ...] = ()
    predicted_boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        for masks, given, what in (
            (self.truth, self.truth_boxes, "true instances"),
            (self.predictions, self.predicted_boxes, "predictions"),
        ):
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
    """Return COCO's twelve numbers for instance masks or their boxes, all of one class.

    Args:
        samples: one per picture and instruction; each is evaluated as a picture of its own, so that a prediction is
            only ever matched with what its own instruction names. Samples without instances count: what is predicted
            there is wrong.
        kind: compare masks (``"segm"``) or their boxes (``"bbox"``).

    Returns:
        ``ap`` (mean over IoU 0.5 to 0.95), ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large``, ``ar1``,
        ``ar10``, ``ar100``, ``ar_small``, ``ar_medium``, ``ar_large``; None where no true instance is of that kind.
    """
    pictures = [_picture(sample, kind) for sample in samples]
    curves = {size: _curve(pictures, area) for size, area in _SIZES.items()}
    precision = {size: curve[0] for size, curve in curves.items()}
    recall = {size: curve[1] for size, curve in curves.items()}
    whole, few = precision[""], curves[""][2]
    return {
        "ap": _mean(whole),
        "ap50": float(whole[0]) if len(whole) else None,
        "ap75": float(whole[5]) if len(whole) else None,
        **{f"ap{size}": _mean(precision[size]) for size in _SIZES if size},
        **{f"ar{count}": _mean(values) for count, values in zip(_FEW, few, strict=True)},
        "ar100": _mean(recall[""]),
        **{f"ar{size}": _mean(recall[size]) for size in _SIZES if size},
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What is compared in one picture: predictions best first, truth with the ignored region last."""

    overlaps: Array
    scores: Array
    areas: Array
    truth_areas: Array
    crowd: Flags


def _picture(sample: InstanceSample, kind: str) -> _Picture:
    scores = np.array([1.0 if mask.score is None else mask.score for mask in sample.predictions], dtype=np.float64)
    best = np.argsort(-scores, kind="mergesort")[:_MAX_PREDICTIONS]
    truth, predicted = sample.truth, [sample.predictions[k] for k in best]
    true_boxes, boxed = _boxes(truth, sample.truth_boxes), _boxes(sample.predictions, sample.predicted_boxes)[best]
    overlaps = boxes.iou(boxed, true_boxes) if kind == "bbox" else mask_iou(predicted, truth)
    areas = [float(mask.area) for mask in truth]
    if sample.ignore:
        inside = [_part_inside(mask, box, sample.ignore, kind) for mask, box in zip(predicted, boxed, strict=True)]
        overlaps = np.concatenate([overlaps, np.array(inside, dtype=np.float64).reshape(-1, 1)], axis=1)
        areas.append(float(sample.ignore.area))
    crowd = np.arange(len(areas)) >= len(truth)
    return _Picture(overlaps, scores[best], boxes.area(boxed), np.array(areas, dtype=np.float64), crowd)


def _boxes(masks: Sequence[Mask], given: Sequence[Box]) -> Array:
    """Return (N, 4): the boxes that were given, or those of the masks."""
    return np.array(given or [mask.box or (0.0,) * 4 for mask in masks], dtype=np.float64).reshape(-1, 4)


def _part_inside(mask: Mask, box: Array, ignore: Mask, kind: str) -> float:
    """Return which part of a prediction lies in the ignored region, or in its box."""
    if kind == "segm":
        return mask.intersection(ignore).area / mask.area if mask else 0.0
    around = np.array(ignore.box)
    sides = (np.minimum(box[2:], around[2:]) - np.maximum(box[:2], around[:2])).clip(min=0)
    area = float(boxes.area(box[None])[0])
    return float(sides.prod()) / area if area else 0.0


def _curve(pictures: Sequence[_Picture], area: tuple[float, float]) -> tuple[Array, Array, list[Array]]:
    """Return average precision (T,) per threshold, recall (T,), and recall with few predictions a picture.

    All are empty without anything to find of that area.
    """
    counted = [~one.crowd & _within(one.truth_areas, area) for one in pictures]
    count = sum(int(each.sum()) for each in counted)
    if not count:
        return np.zeros(0), np.zeros(0), [np.zeros(0)] * len(_FEW)
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
    few = [found[:, rank < most].sum(axis=1) / count for most in _FEW]
    return np.array(precision), found.sum(axis=1) / count, few


def _within(areas: Array, limits: tuple[float, float]) -> Flags:
    return np.asarray((areas >= limits[0]) & (areas <= limits[1]))


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
