"""Boxes of one sample: which are compared, how well they overlap, and what is said where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.geometry import Frame, Mask, Prompts, boxes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BoxOverlap:
    """Four measures of one pair of boxes; ciou <= diou <= iou and giou <= iou.

    GIoU in -1..1 is IoU less the empty share of the enclosing box (Rezatofighi et al. 2019). DIoU in -1..1 is IoU less
    (centre distance / enclosing diagonal)^2, CIoU in -1.5..1 is DIoU less alpha v, with v = (4 / pi^2) (atan(w/h) -
    atan(w'/h'))^2 and alpha = v / (1 - IoU + v) (Zheng et al. 2020).
    """

    iou: float
    giou: float
    diou: float
    ciou: float


AGREED = BoxOverlap(1.0, 1.0, 1.0, 1.0)
"""There is no target, and none was predicted."""
MISSED = BoxOverlap(0.0, -1.0, -1.0, -1.0)
"""One side has no box: as bad as a box infinitely far away, so that silence never beats a poor box."""


def box_array(given: ArrayLike | Prompts | None, frame: Frame | None) -> Array | None:
    """Return (N, 4) boxes x1, y1, x2, y2 in pixels, or None where none were given.

    Args:
        given: boxes as numbers, or prompts. Prompts without a box are left out; if that leaves none of several, no
            boxes were given.
        frame: the pixel frame that prompts need to be in, where it is known.
    """
    if given is None:
        return None
    if isinstance(given, Prompts):
        if frame is not None:
            frame.require(given.frame, "the boxes")
        rows = given.boxes
        kept = rows[~np.isnan(rows).any(axis=1)]
        return kept if len(kept) or not len(rows) else None
    return boxes.validate(boxes.as_boxes(given).reshape(-1, 4))


def mask_boxes(mask: Mask | None) -> Array:
    """Return the tight box around all of a mask's pixels as (1, 4), or (0, 4) where there is none."""
    tight = None if mask is None else mask.box
    return np.array([] if tight is None else [tight], dtype=np.float64).reshape(-1, 4)


def enclosing(given: Array) -> Array:
    """Return the box around all (N, 4) boxes as (1, 4), or (0, 4) where there is none."""
    if not len(given):
        return given
    return np.concatenate([given[:, :2].min(axis=0), given[:, 2:].max(axis=0)])[None]


def overlap(truth: Array, prediction: Array, *, any_box: bool = False, agreed: bool = True) -> BoxOverlap:
    """Compare predicted boxes with true ones.

    Args:
        truth: (N, 4) in pixels; the box around all of them is what counts.
        prediction: (M, 4) x1, y1, x2, y2.
        any_box: take the predicted box, single or enclosing, with the highest IoU (VisionReasoner); False takes the
            enclosing one.
        agreed: whether none on both sides is right; False calls it missed.
    """
    if not len(truth) or not len(prediction):
        return AGREED if agreed and len(truth) == len(prediction) else MISSED
    target, candidate = enclosing(truth)[0], enclosing(prediction)[0]
    if any_box:
        candidates = np.concatenate([candidate[None], prediction])
        candidate = candidates[int(boxes.iou(candidates, target[None])[:, 0].argmax())]
    return pair_overlap(target.tolist(), candidate.tolist())


def pair_overlap(one: Sequence[float], other: Sequence[float]) -> BoxOverlap:
    """Measure one pair of boxes x1, y1, x2, y2; arrays would take fifty times as long."""
    (a1, b1, a2, b2), (c1, d1, c2, d2) = one, other
    shared = max(min(a2, c2) - max(a1, c1), 0.0) * max(min(b2, d2) - max(b1, d1), 0.0)
    union = (a2 - a1) * (b2 - b1) + (c2 - c1) * (d2 - d1) - shared
    wide, high = max(a2, c2) - min(a1, c1), max(b2, d2) - min(b1, d1)
    hull, diagonal = wide * high, wide**2 + high**2
    iou = min(shared / union, 1.0) if union > 0 else 0.0
    giou = iou - max((hull - union) / hull, 0.0) if hull > 0 else iou
    gap = ((a1 + a2 - c1 - c2) ** 2 + (b1 + b2 - d1 - d2) ** 2) / 4
    diou = iou - gap / diagonal if diagonal > 0 else iou
    v = 4 / math.pi**2 * (math.atan2(a2 - a1, b2 - b1) - math.atan2(c2 - c1, d2 - d1)) ** 2
    return BoxOverlap(iou, giou, diou, diou - v * v / (1 - iou + v) if v > 0 else diou)


def last_pixel_box(mask: Mask) -> Array:
    """Return the tight box whose far edge is the last pixel's number, (1, 4); four zeros for an empty mask (SJTU)."""
    tight = mask.box
    return np.array([(0.0,) * 4 if tight is None else (tight[0], tight[1], tight[2] - 1, tight[3] - 1)])


def last_pixel_boxes(mask: Mask | None) -> Array:
    """Return the box of :func:`last_pixel_box`, (1, 4), or (0, 4) for an empty mask or none (VisionReasoner)."""
    return last_pixel_box(mask) if mask else np.zeros((0, 4))


def last_pixel_overlap(truth: Mask, prediction: Mask) -> BoxOverlap:
    """Compare two masks by their last-pixel boxes, as SJTU's GIoU does; two boxes without area get 0."""
    (one,), (two,) = last_pixel_box(truth).tolist(), last_pixel_box(prediction).tolist()
    found = pair_overlap(one, two)
    flat = all((x2 - x1) * (y2 - y1) == 0 for x1, y1, x2, y2 in (one, two))
    return replace(found, giou=0.0) if flat else found


def mixed_ciou(truth: Mask, prediction: Mask, iou: float) -> float:
    """Return SJTU's CIoU: the *mask's* IoU less the penalties of CIoU between the last-pixel boxes.

    In alpha (see :class:`BoxOverlap`) IoU is the mask's too. A box without height gives 0.
    """
    tiny = 1e-7
    (one,), (two,) = last_pixel_box(truth), last_pixel_box(prediction)
    if one[3] - one[1] <= 0 or two[3] - two[1] <= 0:
        return 0.0
    span = np.maximum(one[2:], two[2:]) - np.minimum(one[:2], two[:2])
    gap = (one[:2] + one[2:] - two[:2] - two[2:]) / 2
    shapes = [math.atan(max(box[2] - box[0], tiny) / max(box[3] - box[1], tiny)) for box in (one, two)]
    v = 4 / math.pi**2 * (shapes[1] - shapes[0]) ** 2
    alpha = v / (1 - iou + v + tiny)
    return float(iou - (gap**2).sum() / ((span**2).sum() + tiny) - alpha * v)
