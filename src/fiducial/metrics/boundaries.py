"""Boundaries of masks: how far two outlines lie apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask
from fiducial.geometry import runs as _runs

TOLERANCE_SHARE = 0.008
"""The tolerance of :func:`boundary_f` as a share of the picture's diagonal (DAVIS, Perazzi et al. 2016)."""

Spacing = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OutlineDistances:
    """How far each boundary pixel, (N,) and (M,), lies from the nearest of the other mask, in the spacing's unit."""

    from_truth: NDArray[np.float64]
    from_prediction: NDArray[np.float64]


def boundary(mask: Mask) -> Mask:
    """Return the boundary pixels: those of the mask with one of their four neighbours outside it.

    What lies beyond the canvas counts as outside, so a mask that is cut off by the picture's edge has a boundary there
    (as in Boundary IoU, Cheng et al. 2021). Found on runs; nothing becomes dense.

    Example:
        >>> boundary(Mask.from_box((0, 0, 4, 4), 6, 6)).area
        12
    """
    runs, total, height = mask.runs.astype(np.int64), mask.height * mask.width, mask.height
    pieces = _runs.columns(runs, height) + np.array([0, 1, -1])
    inside = _runs.from_columns(pieces[pieces[:, 1] < pieces[:, 2]], height)
    for step in (-height, height):  # one column to the left, one to the right
        inside = _runs.intersection(inside, _runs.normalise(np.clip(runs + step, 0, total)))
    return Mask(mask.height, mask.width, _runs.intersection(runs, _runs.complement(inside, total)))


def outline_distances(truth: Mask, prediction: Mask, spacing: Spacing = (1.0, 1.0)) -> OutlineDistances | None:
    """Measure from every boundary pixel to the nearest one of the other mask, centre to centre.

    Args:
        truth: a mask.
        prediction: a mask on the same canvas.
        spacing: height, width of a pixel, in the unit wanted (mm).

    Returns:
        The distances, or None where one of the masks is empty.
    """
    if (truth.height, truth.width) != (prediction.height, prediction.width):
        raise GeometryError(
            f"masks of {truth.height} x {truth.width} and {prediction.height} x {prediction.width} "
            "do not share a canvas"
        )
    if not all(math.isfinite(side) and side > 0 for side in spacing):
        raise InputError(f"a pixel spacing needs two positive numbers (height, width), got {spacing}")
    if not truth or not prediction:
        return None
    from scipy.spatial import cKDTree  # a tree of boundary pixels: its memory follows the outline, not the canvas

    one, two = (_centres(boundary(mask)) * np.array(spacing) for mask in (truth, prediction))
    return OutlineDistances(
        from_truth=np.asarray(cKDTree(two).query(one)[0], dtype=np.float64),
        from_prediction=np.asarray(cKDTree(one).query(two)[0], dtype=np.float64),
    )


def default_tolerance(height: int, width: int) -> int:
    """Return the tolerance used where none is given: 0.008 of the diagonal in whole pixels, rounded up (DAVIS)."""
    return math.ceil(TOLERANCE_SHARE * math.hypot(height, width))


def boundary_f(truth: Mask, prediction: Mask, tolerance: float | None = None) -> float:
    """Return the boundary F-score: the harmonic mean of boundary precision and recall.

    A boundary pixel is found when one of the other mask lies within the tolerance, centre to centre.

    Args:
        truth: a mask.
        prediction: a mask on the same canvas.
        tolerance: in pixels; default: :func:`default_tolerance` of the canvas.

    Returns:
        0..1; 1 when both masks are empty, 0 when one is.
    """
    return outline_measures(truth, prediction, tolerance)[0]


def hausdorff95(truth: Mask, prediction: Mask, spacing: Spacing = (1.0, 1.0)) -> float | None:
    """Return the 95 % Hausdorff distance of the two boundaries.

    The larger of the two directed distances, each the 95th percentile (linear between samples) of the distances from
    one boundary's pixels to the nearest pixel of the other, as MONAI counts it; MedPy pools both directions first.

    Args:
        truth: a mask.
        prediction: a mask on the same canvas.
        spacing: height, width of a pixel; the result has its unit.

    Returns:
        The distance; 0 when both masks are empty, None (there is none) when one is.

    Example:
        >>> hausdorff95(Mask.from_box((0, 0, 2, 2), 9, 9), Mask.from_box((3, 0, 5, 2), 9, 9), spacing=(1.0, 0.5))
        1.5
    """
    return outline_measures(truth, prediction, None, spacing)[1]


def outline_measures(
    truth: Mask, prediction: Mask, tolerance: float | None = None, spacing: Spacing = (1.0, 1.0)
) -> tuple[float, float | None]:
    """Return :func:`boundary_f` and :func:`hausdorff95` together; square pixels are measured once for both.

    Raises:
        GeometryError: the masks do not share a canvas.
        InputError: a negative tolerance, or a spacing that is not positive.
    """
    reach = default_tolerance(truth.height, truth.width) if tolerance is None else float(tolerance)
    if not reach >= 0:
        raise InputError(f"a boundary tolerance is 0 pixels or more, got {tolerance}")
    far = outline_distances(truth, prediction, spacing)
    if far is None:
        agreed = not truth and not prediction
        return float(agreed), 0.0 if agreed else None
    distance = max(float(np.percentile(each, 95)) for each in (far.from_truth, far.from_prediction))
    if spacing[0] == spacing[1]:
        reach = reach * spacing[0] * (1 + 1e-12)  # the distances are in the spacing's unit, and were rounded there
    else:
        far = outline_distances(truth, prediction) or far
    recall, precision = (int((each <= reach).sum()) / len(each) for each in (far.from_truth, far.from_prediction))
    return (2 * precision * recall / (precision + recall) if precision + recall else 0.0), distance


def _centres(mask: Mask) -> NDArray[np.float64]:
    """Return (N, 2) row, column of a mask's pixels."""
    column, top, bottom = _runs.columns(mask.runs.astype(np.int64), mask.height).T
    owner, row = _runs.expand(top, bottom)
    return np.stack([row, column[owner]], axis=1).astype(np.float64)
