"""Boxes as arrays: formats, checks, overlap measures, suppression.

Boxes are float64 arrays (..., 4) of x1, y1, x2, y2 in continuous coordinates of one frame: x2 and y2
are edges, not the last pixel, so width is x2 - x1 with no "+ 1".

The overlap measures are the standard ones: IoU; GIoU (Rezatofighi et al. 2019); DIoU and CIoU
(Zheng et al. 2020). For every pair CIoU <= DIoU <= IoU and GIoU <= IoU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry.frames import Frame

Boxes = NDArray[np.float64]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx"]
Degenerate = Literal["error", "drop", "keep"]

_TO_XYXY: dict[str, Callable[[Boxes], Boxes]] = {
    "xyxy": lambda b: b.copy(),
    "xywh": lambda b: np.concatenate([b[..., :2], b[..., :2] + b[..., 2:]], axis=-1),
    "cxcywh": lambda b: np.concatenate([b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2], axis=-1),
    "yxyx": lambda b: b[..., [1, 0, 3, 2]],
}
_FROM_XYXY: dict[str, Callable[[Boxes], Boxes]] = {
    "xyxy": lambda b: b.copy(),
    "xywh": lambda b: np.concatenate([b[..., :2], b[..., 2:] - b[..., :2]], axis=-1),
    "cxcywh": lambda b: np.concatenate([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], axis=-1),
    "yxyx": lambda b: b[..., [1, 0, 3, 2]],
}


def as_boxes(boxes: ArrayLike) -> Boxes:
    """Return boxes as a float64 array (..., 4), or raise GeometryError."""
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"boxes need numbers, got {boxes!r}") from None
    if array.size == 0:
        return array.reshape(-1, 4) if array.ndim < 2 else array
    if array.shape[-1:] != (4,):
        raise GeometryError(f"boxes need shape (..., 4), got {array.shape}")
    return array


def convert(boxes: ArrayLike, source: BoxFormat, target: BoxFormat) -> Boxes:
    """Rewrite boxes from one format to another; the frame stays.

    Formats are ``xyxy`` corners, ``xywh`` corner and size (COCO), ``cxcywh`` centre and size, and ``yxyx``.
    """
    for name in (source, target):
        if name not in _TO_XYXY:
            raise GeometryError(f"unknown box format {name!r}: known: {', '.join(_TO_XYXY)}")
    return _FROM_XYXY[target](_TO_XYXY[source](as_boxes(boxes)))


def area(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return (...,) areas; an inverted box has area 0."""
    given = as_boxes(boxes)
    sides = np.maximum(given[..., 2:] - given[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def clip(boxes: ArrayLike, frame: Frame) -> Boxes:
    """Clip (..., 4) boxes of a frame to its image, as :meth:`fiducial.geometry.Frame.clip_box` does one."""
    low, high = np.tile(np.array(frame.extents).T, 2)
    return np.asarray(np.clip(as_boxes(boxes), low, high))


def validate(boxes: ArrayLike, *, degenerate: Degenerate = "error") -> Boxes:
    """Check (N, 4) boxes: finite, with x1 < x2 and y1 < y2.

    Args:
        boxes: (N, 4).
        degenerate: what to do with a box of no extent or with swapped corners: ``error``, ``drop``
            it, or ``keep`` it (then only infinite and missing numbers are refused).

    Returns:
        (M, 4) float64, M <= N.

    Raises:
        GeometryError: a number is not finite, or a box is degenerate under ``error``.
    """
    given = as_boxes(boxes)
    if given.ndim != 2:
        raise GeometryError(f"boxes need shape (N, 4), got {given.shape}")
    if not np.isfinite(given).all():
        row = int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])
        raise GeometryError(f"box {row} holds a number that is not finite: {given[row].tolist()}")
    sound = (given[:, 0] < given[:, 2]) & (given[:, 1] < given[:, 3])
    if degenerate == "error" and not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise GeometryError(f"box {row} needs x1 < x2 and y1 < y2, got {given[row].tolist()}")
    return given[sound].copy() if degenerate == "drop" else given.copy()


def iou(a: ArrayLike, b: ArrayLike, *, pairwise: bool = True) -> NDArray[np.float64]:
    """Intersection over union in 0..1 of (N, 4) and (M, 4) boxes of one frame; 0 where both are empty.

    The result is (N, M), every box of ``a`` with every box of ``b``; (N,) row by row where not ``pairwise``.
    """
    return _overlap(*_paired(a, b, pairwise))[0]


def giou(a: ArrayLike, b: ArrayLike, *, pairwise: bool = True) -> NDArray[np.float64]:
    """Generalised IoU: IoU minus the empty share of the enclosing box, in -1..1; arguments as :func:`iou`."""
    left, right = _paired(a, b, pairwise)
    overlap, union = _overlap(left, right)
    span = np.maximum(left[..., 2:], right[..., 2:]) - np.minimum(left[..., :2], right[..., :2])
    enclosing = span[..., 0] * span[..., 1]
    return np.asarray(overlap - np.maximum(_ratio(enclosing - union, enclosing), 0))


def diou(a: ArrayLike, b: ArrayLike, *, pairwise: bool = True) -> NDArray[np.float64]:
    """Distance IoU: IoU minus (centre distance / enclosing diagonal) squared, in -1..1; arguments as :func:`iou`."""
    left, right = _paired(a, b, pairwise)
    return np.asarray(_overlap(left, right)[0] - _centre_penalty(left, right))


def ciou(a: ArrayLike, b: ArrayLike, *, pairwise: bool = True) -> NDArray[np.float64]:
    """Complete IoU: DIoU minus alpha v, the disagreement of aspect ratios; arguments as :func:`iou`.

    v = (4 / pi^2) (atan(w / h) - atan(w' / h'))^2 and alpha = v / (1 - IoU + v).
    """
    left, right = _paired(a, b, pairwise)
    overlap, _ = _overlap(left, right)
    angles = [np.arctan2(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]) for box in (left, right)]
    v = 4 / np.pi**2 * (angles[0] - angles[1]) ** 2
    alpha = _ratio(v, 1 - overlap + v)
    return np.asarray(overlap - _centre_penalty(left, right) - alpha * v)


def nms(boxes: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> NDArray[np.int64]:
    """Suppress those of (N, 4) boxes that overlap a better one by more than ``threshold`` IoU.

    Returns:
        Indices of the kept boxes, best first; of (N,) equal scores the earlier wins.
    """
    given = as_boxes(boxes)
    rank = np.asarray(scores, dtype=np.float64)
    if rank.shape != given.shape[:1]:
        raise GeometryError(f"{len(given)} boxes need as many scores, got shape {rank.shape}")
    waiting = np.argsort(-rank, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = waiting[iou(given[best : best + 1], given[waiting])[0] <= threshold]
    return np.array(kept, dtype=np.int64)


def nms_by_area(boxes: ArrayLike, threshold: float = 0.5) -> NDArray[np.int64]:
    """Suppress boxes that overlap a larger one: :func:`nms` with the area as score (Think2Seg-RS)."""
    return nms(boxes, area(boxes), threshold)


def _paired(a: ArrayLike, b: ArrayLike, pairwise: bool) -> tuple[Boxes, Boxes]:
    left, right = as_boxes(a), as_boxes(b)
    if left.ndim != 2 or right.ndim != 2:
        raise GeometryError(f"boxes need shape (N, 4), got {left.shape} and {right.shape}")
    if pairwise:
        return left[:, None], right[None, :]
    if len(left) != len(right):
        raise GeometryError(f"row by row needs as many boxes on both sides, got {len(left)} and {len(right)}")
    return left, right


def _overlap(left: Boxes, right: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shared = area(
        np.concatenate([np.maximum(left[..., :2], right[..., :2]), np.minimum(left[..., 2:], right[..., 2:])], axis=-1)
    )
    union = area(left) + area(right) - shared
    return np.minimum(_ratio(shared, union), 1.0), union


def _centre_penalty(left: Boxes, right: Boxes) -> NDArray[np.float64]:
    gap = (left[..., :2] + left[..., 2:] - right[..., :2] - right[..., 2:]) / 2
    span = np.maximum(left[..., 2:], right[..., 2:]) - np.minimum(left[..., :2], right[..., :2])
    return _ratio((gap**2).sum(-1), (span**2).sum(-1))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)
