"""The patient's sides: where the midline lies, on which side a thing is, and choosing among things by their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.volumes.affines import LETTERS
from fiducial.volumes.directions import Order, Question
from fiducial.volumes.linking import Thing
from fiducial.volumes.regions import Region
from fiducial.volumes.volume import Volume

_TISSUE_HU = -300.0  # less is air, lung or cushion
_ACROSS = 0.25  # of a thing's width, by which its centre is off the midline when it lies mostly on one side
_FILL = 0.1
_STEPS = 96  # voxels along each axis that are looked at


@dataclass(frozen=True, slots=True)
class Middle:
    """The middle of what was scanned of the body: RAS+ mm, and how it was found."""

    mm: tuple[float, float, float]
    how: str


def find_midline(volume: Volume) -> Middle:
    """Find the middle of the scanned body: the mean place of its voxels.

    No header says where the patient's midline is; the scanner's zero need not be it. So the middle of what is not air
    stands for it, which is off where only one side was scanned.
    """
    steps = tuple(max(1, size // _STEPS) for size in volume.shape)
    values = volume.array[:: steps[0], :: steps[1], :: steps[2]].astype(np.float64)
    fill = float(volume.array[0, 0, 0])
    if volume.modality == "CT":
        body, how = values > _TISSUE_HU, "the middle of what is denser than air"
    elif (values == fill).mean() > _FILL:
        body, how = values != fill, "the middle of what is not the fill around the body"
    else:
        low, high = np.nanpercentile(values, (1, 99))
        body, how = values > low + 0.15 * (high - low), "the middle of what is brighter than air"
    body &= np.isfinite(values)
    places = np.argwhere(body) if body.any() else np.argwhere(np.ones(values.shape, bool))
    middle = volume.affine[:3, :3] @ (places.mean(axis=0) * steps) + volume.affine[:3, 3]
    x, y, z = (float(value) for value in middle)
    return Middle((x, y, z), how)


def side_of(region: Region, midline: float) -> str:
    """Say on which side of the patient a region lies.

    Args:
        region: what is asked about.
        midline: mm along the patient's right.

    Returns:
        ``right`` or ``left`` where all of it does, ``mostly right`` or ``mostly left`` where its centre is off the
        midline by a quarter of its width, else ``midline``.
    """
    if region.low[0] >= midline:
        return "right"
    if region.high[0] <= midline:
        return "left"
    off = region.centroid[0] - midline
    if abs(off) < _ACROSS * region.extent[0]:
        return "midline"
    return "mostly right" if off > 0 else "mostly left"


def choose(
    things: Sequence[Thing], regions: Mapping[int, Region], question: Question, volume: Volume, middle: Middle
) -> list[Thing]:
    """Keep the things that lie on the sides asked for, then those that come first in the orders asked for.

    Args:
        things: labelled from 1 in this order.
        regions: of these labels; a thing that others cover wholly has none.
        question: sides and orders.
        volume: what was scanned.
        middle: of the body.
    """
    kept = [(thing, regions[number]) for number, thing in enumerate(things, start=1) if number in regions]
    for letter in question.sides:
        axis, sign = _axis(letter)
        kept = [(t, r) for t, r in kept if sign * (r.centroid[axis] - middle.mm[axis]) > 0]
    for order in question.orders:
        kept = sorted(kept, key=lambda pair: _rank(order, pair[1], middle))[: order.count]
    return [thing for thing, _ in kept]


def _rank(order: Order, region: Region, middle: Middle) -> float:
    if order.towards in ("medial", "lateral"):
        off = abs(region.centroid[0] - middle.mm[0])
        return off if order.towards == "medial" else -off
    if order.towards in ("largest", "smallest"):
        return -region.volume_ml if order.towards == "largest" else region.volume_ml
    axis, sign = _axis(order.towards)
    return -sign * region.centroid[axis]


def _axis(letter: str) -> tuple[int, int]:
    axis = next(number for number, pair in enumerate(LETTERS) if letter in pair)
    return axis, 1 if letter == LETTERS[axis][1] else -1
