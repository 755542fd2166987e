"""The energy that GrabCut lowers: how unlikely the colours are, plus what an edge between the two sides costs.

Rother, Kolmogorov and Blake, "GrabCut" (SIGGRAPH 2004), with the choices of OpenCV's implementation, so that its cuts
never raise this number under the same colour models:

- a pixel of colour z on side a pays ``-log sum_k w_k det(S_k)^(-1/2) exp(-(z - m_k)' S_k^(-1) (z - m_k) / 2)`` over the
  five Gaussians of that side (the constant of the normal distribution is left out);
- two of the eight-connected neighbours p and q on different sides pay
  ``gamma / |p - q| * exp(-beta |z_p - z_q|^2)`` with gamma = 50 and beta = 1 / (2 mean |z_p - z_q|^2) over all
  neighbours of the crop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAMMA = 50.0
COMPONENTS = 5
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows down and columns right to one of every pair of neighbours."""

Colours = NDArray[np.float64]


def unlikelihood(model: NDArray[np.float64], colours: Colours) -> NDArray[np.float64]:
    """Return the negative logarithm of the mixture at each colour.

    Args:
        model: OpenCV's (1, 65) model: five weights, five means of three, five covariances of nine.
        colours: (N, 3) float64 in the channel order that the model was made with, 0..255.

    Returns:
        (N,) float64.
    """
    numbers = model.ravel()
    weights = numbers[:COMPONENTS]
    means = numbers[COMPONENTS : 4 * COMPONENTS].reshape(-1, 3)
    covariances = numbers[4 * COMPONENTS :].reshape(-1, 3, 3)
    logs = np.full((COMPONENTS, len(colours)), -np.inf)
    for k in np.flatnonzero(weights > 0):
        offset = colours - means[k]
        distance = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(covariances[k]), offset)
        logs[k] = math.log(weights[k]) - math.log(np.linalg.det(covariances[k])) / 2 - distance / 2
    highest = logs.max(axis=0)
    return np.asarray(-(highest + np.log(np.exp(logs - highest).sum(axis=0))))


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """How much the colours of neighbours differ, measured once for any number of edges.

    Args:
        squares: per kind of neighbour, in the order of the offsets, (h', w') float64 |z_p - z_q|^2.
        beta: one over twice their mean; 0 where there is one colour.
        shape: height and width of the picture.
    """

    squares: tuple[NDArray[np.float64], ...]
    beta: float
    shape: tuple[int, int]

    @classmethod
    def of(cls, colours: Colours) -> Neighbours:
        """Measure the neighbours of (h, w, 3) float64 colours, 0..255."""
        height, width = colours.shape[:2]
        differences = (colours[one] - colours[other] for _, one, other in _pairs((height, width)))
        squares = tuple(np.einsum("ijc,ijc->ij", apart, apart) for apart in differences)
        total, count = sum(float(one.sum()) for one in squares), sum(one.size for one in squares)
        return cls(squares, count / (2 * total) if total > 0 else 0.0, (height, width))

    def along(
        self, target: NDArray[np.bool_], among: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[float, NDArray[np.float64]]]:
        """Give, per kind of neighbour, its distance and ``exp(-beta |z_p - z_q|^2)`` where the edge parts the two.

        Args:
            target: (h, w) bool, whose edge it is.
            among: (h, w) bool, only pairs of which one is marked; None: all.
        """
        for squares, ((row, column), one, other) in zip(self.squares, _pairs(self.shape), strict=True):
            cut = target[one] != target[other]
            if among is not None:
                cut &= among[one] | among[other]
            yield math.hypot(row, column), np.exp(-self.beta * squares[cut])


def energy(
    colours: Colours,
    neighbours: Neighbours,
    target: NDArray[np.bool_],
    band: NDArray[np.bool_],
    background: NDArray[np.float64],
    foreground: NDArray[np.float64],
) -> float:
    """Return the part of the energy that the pixels of a band can change.

    Args:
        colours: (h, w, 3) float64, 0..255.
        neighbours: those of the colours.
        target: (h, w) bool, the side of each pixel.
        band: (h, w) bool, the pixels that are free; what the others cost among themselves is left out.
        background: OpenCV's model of the pixels beside the target.
        foreground: OpenCV's model of the target.
    """
    data = sum(
        float(unlikelihood(model, colours[band & side]).sum())
        for model, side in ((foreground, target), (background, ~target))
    )
    return data + sum(GAMMA / far * float(likeness.sum()) for far, likeness in neighbours.along(target, band))


def edge_contrast(neighbours: Neighbours, target: NDArray[np.bool_]) -> float:
    """Return how strong the colours change along the edge of a target: 0 on flat colour, towards 1 on strong edges.

    It is one minus the mean of ``exp(-beta |z_p - z_q|^2)`` over the neighbours that the edge parts, those at a
    corner counted less by their distance; 0 where there is no edge.
    """
    total, weight = 0.0, 0.0
    for far, likeness in neighbours.along(target):
        total, weight = total + float(likeness.sum()) / far, weight + likeness.size / far
    return 1 - total / weight if weight else 0.0


_Slices = tuple[slice, slice]


def _pairs(shape: tuple[int, int]) -> Iterator[tuple[tuple[int, int], _Slices, _Slices]]:
    """Give the offset of each kind of neighbour and the slices of its two ends."""
    height, width = shape
    for row, column in _NEIGHBOURS:
        one = slice(0, height - row), slice(max(0, -column), width - max(0, column))
        yield (row, column), one, (slice(row, height), slice(one[1].start + column, one[1].stop + column))
