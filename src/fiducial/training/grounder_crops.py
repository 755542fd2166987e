"""Training crops of the grounder: a picture through a random rotation, mirroring and zoom, and what is learned of it.

The names of the vocabulary carry no left and no right, so mirroring keeps them true; such words are the resolver's.
Targets are heat maps and boxes in the manner of TTFNet (Liu et al., 2020, section 3): a thing is an elliptic Gaussian
about the place of its centre, as wide as 0.54 of its box; every place under it learns the whole box, weighted by the
Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Box
from fiducial.prompters.grounder.weights import STRIDE, bump_reach

IGNORED = ""
"""The name of things that are neither learned nor taken for background."""
GREY = 114
"""What lies outside the picture."""
_JITTER = 0.35
"""How far from the middle of a crop the thing lies that it was made for, as a part of the crop's edge."""
_OUTSIDE = 0.3
"""How much of half a crop may lie outside the picture."""
NO_LOSS = -1.0
"""What a heat map holds where nothing is to be learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing in a picture."""

    name: str  # as the vocabulary calls it, or IGNORED
    hull: NDArray[np.float64]  # (K, 2) corners x, y of its convex hull, in pixels of the picture

    @property
    def box(self) -> Box:
        """The tight box, xyxy in pixels of the picture."""
        (x1, y1), (x2, y2) = self.hull.min(axis=0).tolist(), self.hull.max(axis=0).tolist()
        return x1, y1, x2, y2


# -- views ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square window on a picture.

    A place p of the window (pixels 0..size) shows the place ``matrix @ (p - size / 2) + centre`` of the picture.
    """

    matrix: NDArray[np.float64]  # (2, 2) rotation, mirroring and scale
    centre: NDArray[np.float64]  # (2,) x, y in pixels of the picture
    size: int  # edge of the window in pixels

    @property
    def step(self) -> float:
        """Pixels of the picture per pixel of the window."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))

    def to_window(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (K, 2) places of the picture into places of the window."""
        return np.asarray((places - self.centre) @ np.linalg.inv(self.matrix).T + self.size / 2)

    def pixels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (size, size, 3) of a picture (H, W, 3), grey outside it; what is seen small is averaged before."""
        half = self.size / 2
        corners = np.array([(-half, -half), (half, -half), (-half, half), (half, half)]) @ self.matrix.T + self.centre
        height, width = picture.shape[:2]
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int) - 4, 0, (width - 1, height - 1))
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 4, (left + 1, top + 1), (width, height))
        part = picture[top:bottom, left:right]
        factor = max(1, int(self.step + 0.25))
        shrunk = (max(1, round(part.shape[1] / factor)), max(1, round(part.shape[0] / factor)))
        fx, fy = part.shape[1] / shrunk[0], part.shape[0] / shrunk[1]
        if factor > 1:
            part = np.asarray(cv2.resize(part, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
        # From the middle of a pixel here to the middle of a pixel there.
        origin = self.centre + self.matrix @ np.full(2, 0.5 - half) - (left, top)
        matrix = np.hstack([self.matrix, origin[:, None]]) / [[fx], [fy]]
        matrix[:, 2] -= 0.5
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(part, matrix, (self.size, self.size), flags=how, borderValue=(GREY, GREY, GREY))
        return np.asarray(seen, np.uint8)

    def shown(self, hull: NDArray[np.float64]) -> tuple[Box | None, float]:
        """Say what the window shows of a convex hull (K, 2) in pixels of the picture.

        Returns:
            The tight box of the part inside the window, in pixels of the window, or None; and that part's share of
            the hull's area, in 0..1.
        """
        placed = self.to_window(hull).astype(np.float32)
        low, high = placed.min(axis=0), placed.max(axis=0)
        if (low >= 0).all() and (high <= self.size).all():
            return (float(low[0]), float(low[1]), float(high[0]), float(high[1])), 1.0
        if (high <= 0).any() or (low >= self.size).any():
            return None, 0.0
        window = np.array([(0, 0), (self.size, 0), (self.size, self.size), (0, self.size)], np.float32)
        area, corners = cv2.intersectConvexConvex(cv2.convexHull(placed), window)
        if area <= 0 or corners is None:
            return None, 0.0
        (x1, y1), (x2, y2) = corners[:, 0].min(axis=0).tolist(), corners[:, 0].max(axis=0).tolist()
        whole = float(cv2.contourArea(cv2.convexHull(placed)))
        limit = float(self.size)
        box = (max(0.0, x1), max(0.0, y1), min(limit, x2), min(limit, y2))
        return box, min(1.0, float(area) / max(whole, 1e-6))


def draw_view(
    shape: Sequence[int],
    thing: Thing | None,
    size: int,
    scale: tuple[float, float],
    rotation: float,
    random: np.random.Generator,
) -> View:
    """Draw a window.

    Args:
        shape: height, width, ... of the picture.
        thing: what the window is to show, somewhere; None: any place.
        size: edge of the window in pixels.
        scale: lowest and highest pixels of the window per pixel of the picture; drawn evenly in their logarithm.
        rotation: largest one either way, in degrees.
        random: where chance comes from.
    """
    drawn = math.exp(random.uniform(math.log(scale[0]), math.log(scale[1])))
    angle = math.radians(random.uniform(-rotation, rotation))
    cosine, sine = math.cos(angle), math.sin(angle)
    mirror = -1.0 if random.random() < 0.5 else 1.0
    matrix = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror, 1.0]) / drawn
    seen = size / drawn
    extent = np.array([shape[1], shape[0]], dtype=np.float64)
    # Little of the window lies outside the picture; where it is larger than the picture, their middles agree.
    margin = np.minimum(extent / 2, seen / 2 * (1 - _OUTSIDE))
    if thing is None:
        centre = random.uniform(margin, extent - margin)
    else:
        x1, y1, x2, y2 = thing.box
        jitter = random.uniform(-_JITTER, _JITTER, 2) * seen
        centre = np.clip(np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + jitter, margin, extent - margin)
    return View(matrix, centre, size)


# -- targets --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing as a crop shows it."""

    name: int | None  # its index in the vocabulary, or None for every name
    box: Box  # xyxy in pixels of the crop, inside it
    learned: bool = True  # False: nothing is learned where it lies


class Targets(NamedTuple):
    """What the network is to say of a crop.

    Args:
        heat: (N, h, w) in 0..1, 1 at the place of a thing's centre; :data:`NO_LOSS` where nothing is to be learned.
        boxes: (4, h, w) xyxy in pixels of the crop.
        weight: (h, w) how much each place's box counts; the places of one thing sum to 1, unless a smaller thing lies
            over them.
    """

    heat: NDArray[np.float32]
    boxes: NDArray[np.float32]
    weight: NDArray[np.float32]


def targets_of(things: Sequence[Seen], counted: NDArray[np.bool_], size: int) -> Targets:
    """Make the targets of a crop with an edge of ``size`` pixels; ``counted`` (N,) are the names that it teaches."""
    cells = size // STRIDE
    heat = np.zeros((len(counted), cells, cells), np.float32)
    boxes = np.zeros((4, cells, cells), np.float32)
    weight = np.zeros((cells, cells), np.float32)
    for thing in things:
        if not thing.learned:
            x1, y1 = (int(edge // STRIDE) for edge in thing.box[:2])
            x2, y2 = (int(-(-edge // STRIDE)) for edge in thing.box[2:])
            heat[slice(None) if thing.name is None else thing.name, y1:y2, x1:x2] = NO_LOSS
    learned = [one for one in things if one.learned]
    # The smaller come later: they lie over the larger.
    for thing in sorted(learned, key=lambda one: -(one.box[2] - one.box[0]) * (one.box[3] - one.box[1])):
        rows, columns, bump = _gaussian(thing.box, cells)
        part = heat[thing.name, rows, columns]
        np.maximum(part, np.where(bump > 0, bump, NO_LOSS), out=part)
        under = bump > 0
        boxes[:, rows, columns][:, under] = np.array(thing.box, np.float32)[:, None]
        weight[rows, columns][under] = bump[under] / bump.sum()
    heat[~counted] = NO_LOSS
    return Targets(heat, boxes, weight)


def _gaussian(box: Box, cells: int) -> tuple[slice, slice, NDArray[np.float32]]:
    """Return the rows and columns that a thing's Gaussian covers, and its values; 0 outside the ellipse."""
    x1, y1, x2, y2 = (edge / STRIDE for edge in box)
    column, row = (min(cells - 1, int(middle)) for middle in ((x1 + x2) / 2, (y1 + y2) / 2))
    reach_x, reach_y = bump_reach(box[2] - box[0]), bump_reach(box[3] - box[1])
    rows = np.arange(max(0, row - reach_y), min(cells, row + reach_y + 1))
    columns = np.arange(max(0, column - reach_x), min(cells, column + reach_x + 1))
    spread_x, spread_y = ((2 * reach + 1) / 6 for reach in (reach_x, reach_y))
    down, across = ((rows - row) / spread_y) ** 2, ((columns - column) / spread_x) ** 2
    bump = np.exp(-(down[:, None] + across[None, :]) / 2)
    bump[bump < 0.01] = 0
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1), np.asarray(bump, np.float32)
