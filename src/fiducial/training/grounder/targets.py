"""Targets of a crop: heat maps and boxes in the manner of TTFNet (Liu et al., 2020, section 3).

A thing is an elliptic Gaussian about the place of its centre, as wide as 0.54 of its box; every place under it learns
the whole box, weighted by the Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Box
from fiducial.prompters.grounder.network import STRIDE

NO_LOSS = -1.0
"""What a heat map holds where nothing is to be learned."""
_WIDTH = 0.54
"""Part of a box that its Gaussian covers along each axis."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing as a crop shows it.

    Args:
        name: its place in the vocabulary, or None for every name.
        box: xyxy in pixels of the crop, inside it.
        learned: False: nothing is learned where it lies.
    """

    name: int | None
    box: Box
    learned: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the network is to say of a crop.

    Args:
        heat: (N, h, w) in 0..1, 1 at the place of a thing's centre; :data:`NO_LOSS` where nothing is to be learned.
        boxes: (4, h, w) xyxy in pixels of the crop.
        weight: (h, w) how much each place's box counts; the places of one thing sum to 1, unless a smaller thing lies
            over them.
    """

    heat: Array
    boxes: Array
    weight: Array


def targets_of(things: Sequence[Seen], counted: NDArray[np.bool_], size: int) -> Targets:
    """Make the targets of a crop.

    Args:
        things: what it shows.
        counted: (N,) the names that are learned in this crop.
        size: edge of the crop in pixels.
    """
    cells = size // STRIDE
    heat = np.zeros((len(counted), cells, cells), np.float32)
    boxes = np.zeros((4, cells, cells), np.float32)
    weight = np.zeros((cells, cells), np.float32)
    for thing in things:
        if not thing.learned:
            x1, y1 = (int(edge // STRIDE) for edge in thing.box[:2])
            x2, y2 = (int(-(-edge // STRIDE)) for edge in thing.box[2:])
            heat[slice(None) if thing.name is None else thing.name, y1:y2, x1:x2] = NO_LOSS
    # The smaller come later: they lie over the larger.
    for thing in sorted((one for one in things if one.learned), key=lambda one: -_area(one.box)):
        rows, columns, bump = _gaussian(thing.box, cells)
        part = heat[thing.name, rows, columns]
        np.maximum(part, np.where(bump > 0, bump, NO_LOSS), out=part)
        under = bump > 0
        boxes[:, rows, columns][:, under] = np.array(thing.box, np.float32)[:, None]
        weight[rows, columns][under] = bump[under] / bump.sum()
    heat[~counted] = NO_LOSS
    return Targets(heat, boxes, weight)


def _gaussian(box: Box, cells: int) -> tuple[slice, slice, Array]:
    """Return the rows and columns that a thing's Gaussian covers, and its values; 0 outside the ellipse."""
    x1, y1, x2, y2 = (edge / STRIDE for edge in box)
    column, row = (min(cells - 1, int(middle)) for middle in ((x1 + x2) / 2, (y1 + y2) / 2))
    reach_x, reach_y = (max(1, int(side / 2 * _WIDTH)) for side in (x2 - x1, y2 - y1))
    rows = np.arange(max(0, row - reach_y), min(cells, row + reach_y + 1))
    columns = np.arange(max(0, column - reach_x), min(cells, column + reach_x + 1))
    spread_x, spread_y = ((2 * reach + 1) / 6 for reach in (reach_x, reach_y))
    down, across = ((rows - row) / spread_y) ** 2, ((columns - column) / spread_x) ** 2
    bump = np.exp(-(down[:, None] + across[None, :]) / 2)
    bump[bump < 0.01] = 0
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1), np.asarray(bump, np.float32)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
