"""Boundaries of masks: how far two outlines lie apart."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError, extra_needed
from fiducial.geometry import Mask
from fiducial.geometry import runs as _runs

Spacing = tuple[float, float]
Distances = NDArray[np.float64]


def boundary(mask: Mask) -> Mask:
    """Return the boundary pixels: those of the mask with one of their four neighbours outside it.

    What lies beyond the canvas counts as outside (as in Boundary IoU, Cheng et al. 2021).

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


def check_installed() -> None:
    """Refuse to begin what will measure outlines where SciPy is not installed; MissingExtraError."""
    with extra_needed("measuring outlines", "measure"):
        import scipy.spatial  # noqa: F401


def _distances(truth: Mask, prediction: Mask, spacing: Spacing) -> tuple[Distances, Distances]:
    """Measure from every boundary pixel of the truth, (N,), and of the prediction, (M,), to the other's nearest one."""
    check_installed()
    from scipy.spatial import cKDTree  # a tree of boundary pixels: its memory follows the outline, not the canvas

    one, two = (_centres(boundary(mask)) * np.array(spacing) for mask in (truth, prediction))
    return np.asarray(cKDTree(two).query(one)[0]), np.asarray(cKDTree(one).query(two)[0])


def default_tolerance(height: int, width: int) -> int:
    """Return 0.008 of the diagonal in whole pixels, rounded up (DAVIS, Perazzi et al. 2016)."""
    return math.ceil(0.008 * math.hypot(height, width))


def outline_measures(
    truth: Mask, prediction: Mask, tolerance: float | None = None, spacing: Spacing = (1.0, 1.0)
) -> tuple[float, float | None]:
    """Return the boundary F-score and the 95 % Hausdorff distance of two masks on one canvas.

    The F-score is the harmonic mean of boundary precision and recall: a boundary pixel is found when one of the other
    mask lies within the tolerance, centre to centre. The distance is the larger of the two directed ones, each the 95th
    percentile (linear between samples) over one boundary's pixels, as MONAI counts it; MedPy pools both directions.

    Args:
        truth: a mask.
        prediction: a mask on the same canvas.
        tolerance: in pixels; default: :func:`default_tolerance` of the canvas.
        spacing: height, width of a pixel; the distance has its unit.

    Returns:
        The F-score in 0..1, then the distance: 1 and 0 when both masks are empty, 0 and None when one is.

    Example:
        >>> outline_measures(Mask.from_box((0, 0, 2, 2), 9, 9), Mask.from_box((3, 0, 5, 2), 9, 9), 2, (1.0, 0.5))
        (0.5, 1.5)
    """
    truth.require_canvas(prediction)
    reach = default_tolerance(truth.height, truth.width) if tolerance is None else float(tolerance)
    if not reach >= 0:
        raise InputError(f"a boundary tolerance is 0 pixels or more, got {tolerance}")
    if not all(math.isfinite(side) and side > 0 for side in spacing):
        raise InputError(f"a pixel spacing needs two positive numbers (height, width), got {spacing}")
    if not truth or not prediction:
        agreed = not truth and not prediction
        return float(agreed), 0.0 if agreed else None
    far = _distances(truth, prediction, spacing)
    distance = max(float(np.percentile(each, 95)) for each in far)
    if spacing[0] == spacing[1]:
        reach = reach * spacing[0] * (1 + 1e-12)  # the distances are in the spacing's unit, and were rounded there
    else:
        far = _distances(truth, prediction, (1.0, 1.0))
    recall, precision = (int((each <= reach).sum()) / len(each) for each in far)
    return (2 * precision * recall / (precision + recall) if precision + recall else 0.0), distance


def _centres(mask: Mask) -> NDArray[np.float64]:
    """Return (N, 2) row, column of a mask's pixels."""
    column, top, bottom = _runs.columns(mask.runs.astype(np.int64), mask.height).T
    owner, row = _runs.expand(top, bottom)
    return np.stack([row, column[owner]], axis=1).astype(np.float64)
