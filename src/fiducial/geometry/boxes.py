"""Boxes as arrays: float64 (..., 4) of x1, y1, x2, y2 in one frame, edges rather than last pixels: width is x2 - x1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry.frames import Frame

Boxes = NDArray[np.float64]


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


def area(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return (...,) areas; an inverted box has area 0."""
    given = as_boxes(boxes)
    sides = np.maximum(given[..., 2:] - given[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def clip(boxes: ArrayLike, frame: Frame) -> Boxes:
    """Clip (..., 4) boxes of a frame to its image, as :meth:`fiducial.geometry.Frame.clip_box` does one."""
    low, high = np.tile(np.array(frame.extents).T, 2)
    return np.asarray(np.clip(as_boxes(boxes), low, high))


def validate(boxes: ArrayLike) -> Boxes:
    """Return (N, 4) boxes as a fresh array, or raise GeometryError unless they are finite, x1 < x2 and y1 < y2."""
    given = as_boxes(boxes)
    if given.ndim != 2:
        raise GeometryError(f"boxes need shape (N, 4), got {given.shape}")
    if not np.isfinite(given).all():
        row = int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])
        raise GeometryError(f"box {row} holds a number that is not finite: {given[row].tolist()}")
    sound = (given[:, 0] < given[:, 2]) & (given[:, 1] < given[:, 3])
    if not sound.all():
        row = int(np.flatnonzero(~sound)[0])
        raise GeometryError(f"box {row} needs x1 < x2 and y1 < y2, got {given[row].tolist()}")
    return given.copy()


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the (N, M) IoU in 0..1 of (N, 4) and (M, 4) boxes of one frame; 0 where both are empty."""
    left, right = as_boxes(a), as_boxes(b)
    if left.ndim != 2 or right.ndim != 2:
        raise GeometryError(f"boxes need shape (N, 4), got {left.shape} and {right.shape}")
    left, right = left[:, None], right[None, :]
    low, high = np.maximum(left[..., :2], right[..., :2]), np.minimum(left[..., 2:], right[..., 2:])
    shared = area(np.concatenate([low, high], axis=-1))
    union = area(left) + area(right) - shared
    return np.minimum(np.divide(shared, union, out=np.zeros_like(union), where=union > 0), 1.0)


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
