"""Two clusters of colours: k-means with k = 2, begun by KMeans++ (Arthur and Vassilvitskii 2007)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TwoClusters:
    """Where two-means ended.

    Args:
        second: (N,) bool, True where a point belongs to the second cluster; both clusters hold a point.
        separation: part of the points' variance that the two centres explain, 0..1. One round cloud split in half
            has about 0.64 along its only axis and less where it has several; two clouds far apart have nearly 1.
        inertia: sum of the squared distances to the nearer centre.
    """

    second: NDArray[np.bool_]
    separation: float
    inertia: float


def two_means(points: NDArray[np.float32], seed: int, *, restarts: int = 3, rounds: int = 50) -> TwoClusters | None:
    """Split points into two clusters.

    With two centres the nearer one is told by which side of a plane a point lies on, so a round costs one product
    of the points with a vector and one sum.

    Args:
        points: (N, C) float32.
        seed: of the draws; nothing global is touched.
        restarts: how often to begin anew; the least inertia wins, the earlier on a tie.
        rounds: most rounds per start.

    Returns:
        The clusters, or None when all points are the same.
    """
    centred = points - points.mean(axis=0)
    squares = np.einsum("nc,nc->n", centred, centred)
    total = float(squares.sum(dtype=np.float64))
    rng = np.random.default_rng(seed)
    best: tuple[float, NDArray[np.bool_]] | None = None
    for _ in range(restarts):
        centres = _plus_plus(centred, squares, rng)
        if centres is None:
            return None
        inertia, second = _settle(centred, total, centres, rounds)
        if best is None or inertia < best[0] * (1 - 1e-6):
            best = inertia, second
    if best is None:
        return None
    return TwoClusters(best[1], float(np.clip(1 - best[0] / total, 0, 1)), best[0])


def _plus_plus(
    points: NDArray[np.float32], squares: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Draw the first centre evenly and the second by its squared distance; None when every distance is 0."""
    first = points[rng.integers(len(points))]
    apart = np.maximum(squares - 2 * (points @ first) + first @ first, 0).astype(np.float64)
    apart[(points == first).all(axis=1)] = 0  # rounding must not put both centres on one colour
    reach = np.cumsum(apart)
    if reach[-1] <= 0:
        return None
    chosen = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
    return np.stack([first, points[min(chosen, len(points) - 1)]])


def _settle(
    points: NDArray[np.float32], total: float, centres: NDArray[np.float32], rounds: int
) -> tuple[float, NDArray[np.bool_]]:
    """Move the centres until no point changes sides; returns the inertia and the second cluster."""
    second = np.zeros(len(points), dtype=bool)
    inertia = total
    for _ in range(rounds):
        along = centres[1] - centres[0]
        found = points @ along > along @ (centres[0] + centres[1]) / 2
        count = int(np.count_nonzero(found))
        if not 0 < count < len(points) or np.array_equal(found, second):
            break
        second = found
        # The points' mean is 0, so the sum over one cluster is minus the sum over the other.
        moment = second.astype(np.float32) @ points
        centres = np.stack([-moment / (len(points) - count), moment / count])
        explained = float(moment @ moment) * (1 / count + 1 / (len(points) - count))
        inertia = max(total - explained, 0.0)
    return inertia, second
