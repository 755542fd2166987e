"""From scores and boxes to detections: thresholds, suppression, the image's edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Frame, boxes
from fiducial.images import Image
from fiducial.prompters.detector.contract import Detection


def unit_of(image: Image, width: float, height: float) -> Frame:
    """Return the frame in which a canvas is 1 x 1 and the image fills its upper left corner.

    Args:
        image: the image, at its own size on the canvas.
        width: width of the canvas in pixels of the image.
        height: height of the canvas in pixels of the image.
    """
    return Frame(0.0, 0.0, image.width / width, image.height / height)


def pixel_boxes(centred: ArrayLike, frame: Frame, image: Image) -> boxes.Boxes:
    """Turn what a detector's box head writes into boxes of the image.

    Args:
        centred: (Q, 4) centre x, centre y, width, height in ``frame``.
        frame: where the image lies in the model's numbers.
        image: the image.

    Returns:
        (Q, 4) x1, y1, x2, y2 in pixels of the image, clipped to it; those outside it have no area.
    """
    corners = boxes.convert(centred, "cxcywh", "xyxy")
    return boxes.clip(frame.boxes_to(corners, image.frame), image.frame)


def select(
    scores: NDArray[np.float64],
    corners: boxes.Boxes,
    names: Sequence[str],
    *,
    threshold: float,
    suppress: float | None,
    what: str,
) -> list[Detection]:
    """Make detections of the scores that are high enough.

    Args:
        scores: (Q, N) in 0..1, one column for each name.
        corners: (Q, 4) x1, y1, x2, y2 in pixels of the image, inside it.
        names: the N names.
        threshold: least score.
        suppress: greatest IoU of two detections of one name, of which the worse goes; None keeps all.
        what: which model and image it is, for the message.

    Returns:
        The detections, name by name, best first within each; boxes without area are no detections.

    Raises:
        ModelError: a score or box is not a number.
    """
    if np.isnan(scores).any() or not np.isfinite(corners).all():
        raise ModelError(f"{what}: the detector returned numbers that are not finite: try dtype='float32'")
    solid = boxes.area(corners) > 0
    found: list[Detection] = []
    for name, column in zip(names, scores.T, strict=True):
        chosen = np.flatnonzero(solid & (column >= threshold))
        # IoU 1 is never exceeded, so that keeps all and only sorts.
        kept = chosen[boxes.nms(corners[chosen], column[chosen], 1.0 if suppress is None else suppress)]
        found += [Detection(_box(corners[place]), float(column[place]), name) for place in kept]
    return found


def best_first(detections: Iterable[Detection]) -> list[Detection]:
    """Sort by score, the best first; equals stay in order."""
    return sorted(detections, key=lambda detection: -detection.score)


def checked_fraction(value: float, what: str) -> float:
    """Return a number of 0..1.

    Raises:
        InputError: it is not.
    """
    if not 0 <= value <= 1:
        raise InputError(f"{what} lies in 0..1, got {value}")
    return float(value)


def _box(row: NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = row.tolist()
    return x1, y1, x2, y2
