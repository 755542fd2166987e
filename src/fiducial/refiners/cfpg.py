"""CFPG, the clustering-based foreground point: one positive point for the segmenter, found in the box.

As in PSLG-SAM's second stage: cut the box out, split its colours into two clusters by KMeans++, separate touching
regions by a distance transform and a watershed, and take the most convex one: things are more convex than their ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Refinement
from fiducial.geometry import Point, Prompts
from fiducial.images import Image
from fiducial.images.watershed import watershed
from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import point as draw_point
from fiducial.overlays.drawing import tint
from fiducial.overlays.text import stamp, text_coverage
from fiducial.refiners.configs import ColourSpace, ForegroundPoint
from fiducial.refiners.crops import (
    AFTER,
    BEFORE,
    Crop,
    Pixels,
    Window,
    cut_crop,
    draw_edge,
    enlarged,
    off_centre,
    pixels_in,
    stretched,
)

NAME = ForegroundPoint.name
RESTARTS = 4
"""How often KMeans++ begins anew."""
MIN_EDGE = 6
"""Boxes with an edge of fewer pixels hold too little to cluster."""
_CLUSTER_COLOURS: tuple[Colour, Colour] = ((40, 90, 200), (250, 170, 40))

Figures = dict[str, float | int | str]
Drawn = Mapping[str, Pixels]


def add_points(
    options: ForegroundPoint, image: Image, prompts: Prompts, pictures: bool
) -> tuple[Prompts, tuple[Refinement, ...]]:
    """Find a point for each prompt; see :meth:`ForegroundPoint.report`."""
    image.frame.require(prompts.frame, "the prompts")
    found: dict[Window, tuple[Refinement, Point | None]] = {}
    refined, reports = [], []
    for prompt in prompts:
        window = None if prompt.box is None else pixels_in(prompt.box, image)
        if window is None:
            report, point = _nothing("no box to look in" if prompt.box is None else "the box lies outside the image")
        else:
            if window not in found:
                found[window] = _find(options, image, window, pictures)
            report, point = found[window]
        if point is not None:
            prompt = prompt.with_points([point])
            prompt = prompt if options.keep_box else replace(prompt, box=None)
        refined.append(prompt)
        reports.append(report)
    return Prompts(prompts.frame, tuple(refined)), tuple(reports)


def _find(options: ForegroundPoint, image: Image, window: Window, pictures: bool) -> tuple[Refinement, Point | None]:
    """Return what to tell of a box, and its point, if any."""
    if min(window[2:]) < MIN_EDGE:
        return _nothing(f"the box is only {window[2]} x {window[3]} pixels")
    crop = cut_crop(image, window, options.working_size)
    clusters = two_means(colours_of(crop.pixels, options.colour_space), options.seed)
    if clusters is None:
        return _nothing("the crop has one colour")
    second, separation = clusters[0].reshape(crop.shape), clusters[1]
    labels, depth = split_regions(second, options.marker_threshold)
    regions = measure_regions(labels, depth, options.min_area * labels.size)
    figures: Figures = {"separation": round(separation, 4), "regions": len(regions)}
    best = min(regions, key=lambda region: _rank(region, crop), default=None)
    drawn: Drawn = {}
    if pictures:
        drawn = point_pictures(crop, second, labels, regions, best, options.reach)
    if best is None:
        return _nothing(f"no region covers {options.min_area:.0%} of the box", figures, drawn)
    point, share, off = crop.to_image(best.point), best.area / labels.size, off_centre(best.point, crop)
    measured = {"x": round(point[0], 3), "y": round(point[1], 3), "convexity": round(best.convexity, 4)}
    figures = {**measured, "area": round(share, 4), "off_centre": round(off, 4), **figures}
    region = f"region of convexity {best.convexity:.2f}, {share:.0%} of the box"
    if off > options.reach:
        reason = f"the best lies off the middle ({off:.2f}, {options.reach:g} is the reach; {region})"
        return _nothing(reason, figures, drawn)
    moved = best.point != best.centroid
    where = "deepest inside, since its centroid lies beside it" if moved else "at its centroid"
    return Refinement(NAME, True, f"point {where}: {region}", figures, drawn), point


def _rank(region: Region, crop: Crop) -> tuple[float, int, float, int]:
    """Order regions: the most convex first, then the largest, then the nearest to the centre."""
    x, y = region.centroid
    off = math.hypot(x - crop.shape[1] / 2, y - crop.shape[0] / 2)
    return -round(region.convexity, 6), -region.area, round(off, 6), region.label


def _nothing(reason: str, figures: Figures | None = None, drawn: Drawn | None = None) -> tuple[Refinement, None]:
    return Refinement(NAME, False, f"no point: {reason}", figures or {}, drawn or {}), None


# -- two clusters of colours ---------------------------------------------------------------------


def colours_of(pixels: NDArray[np.uint8], space: ColourSpace) -> NDArray[np.float32]:
    """Return the colours of (h, w, 3) uint8 RGB pixels as points whose distances can be compared.

    Returns:
        (h * w, C) float32, row by row. ``rgb``, ``ycrcb`` and ``grey`` in 0..1; ``lab`` and ``luv`` in their own
        units over 100; ``hsv`` as the points (s cos h, s sin h, v) of a cylinder, because a hue is an angle
        and reds lie on both of its ends.
    """
    unit = pixels.astype(np.float32) / np.float32(255)
    if space == "rgb":
        return unit.reshape(-1, 3)
    if space in ("lab", "luv"):
        code = cv2.COLOR_RGB2LAB if space == "lab" else cv2.COLOR_RGB2LUV
        return np.asarray(cv2.cvtColor(unit, code) / np.float32(100), dtype=np.float32).reshape(-1, 3)
    if space == "hsv":
        hue, saturation, value = cv2.cvtColor(unit, cv2.COLOR_RGB2HSV).reshape(-1, 3).T
        angle = np.deg2rad(hue)
        return np.stack([saturation * np.cos(angle), saturation * np.sin(angle), value], axis=1).astype(np.float32)
    code = cv2.COLOR_RGB2YCrCb if space == "ycrcb" else cv2.COLOR_RGB2GRAY
    return np.asarray(cv2.cvtColor(unit, code), dtype=np.float32).reshape(pixels.shape[0] * pixels.shape[1], -1)


def two_means(
    points: NDArray[np.float32], seed: int, *, restarts: int = RESTARTS, rounds: int = 50
) -> tuple[NDArray[np.bool_], float] | None:
    """Split (N, C) float32 points into two clusters: k-means, begun by KMeans++ (Arthur and Vassilvitskii 2007).

    With two centres the nearer one is told by which side of a plane a point lies on, so a round costs one product
    of the points with a vector and one sum. Of several starts the smallest inertia wins, the earlier on a tie:
    ``restarts`` of KMeans++, and one per principal axis, the best cut across it, as chance alone may miss a good
    split for long.

    Returns:
        (N,) bool, True where a point belongs to the second cluster (both hold one), and the separation: the part of the
        points' variance that the two centres explain, 0..1. One round cloud split in half has about 0.64 along its only
        axis and less where it has several; two clouds far apart have nearly 1. None when all points are the same.
    """
    centred = points - points.mean(axis=0)
    squares = np.einsum("nc,nc->n", centred, centred)
    total = float(squares.sum(dtype=np.float64))
    rng = np.random.default_rng(seed)
    best: tuple[float, NDArray[np.bool_]] | None = None
    drawn = (_plus_plus(centred, squares, rng) for _ in range(restarts))
    for centres in chain(drawn, _axis_cuts(centred)):
        if centres is None:
            return None
        inertia, second = _settle(centred, total, centres, rounds)
        if best is None or inertia < best[0] * (1 - 1e-6):
            best = inertia, second
    return None if best is None else (best[1], float(np.clip(1 - best[0] / total, 0, 1)))


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


def _axis_cuts(points: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Cut centred points across each principal axis where the variance along it falls most; gives both means."""
    _, axes = np.linalg.eigh(points.T.astype(np.float64) @ points)
    for axis in axes.T.astype(np.float32)[::-1]:
        order = np.argsort(points @ axis, kind="stable")
        sums = np.cumsum(points[order].astype(np.float64), axis=0)
        count = np.arange(1, len(points))
        below = sums[:-1]
        explained = (below**2).sum(axis=1) * (1 / count + 1 / (len(points) - count))
        cut = int(np.argmax(explained))
        moment = below[cut]
        yield np.stack([moment / count[cut], -moment / (len(points) - count[cut])]).astype(np.float32)


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


# -- regions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region."""

    label: int  # its number in the map of regions
    area: int  # pixels
    convexity: float  # area over that of the convex hull of its pixels' corners, in 0..1; a rectangle has exactly 1
    centroid: Point  # mean x, y of its pixels' centres
    point: Point  # the centroid when it lies on the region, else the place deepest inside


def split_regions(second: NDArray[np.bool_], marker_threshold: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Split both sides of a (h, w) cut, False and True, into regions.

    For each side: the distance to the nearest pixel of the other side or to the crop's border; as markers the
    parts of each connected piece where that distance reaches ``marker_threshold`` of the piece's greatest; a
    watershed of the negated distance from them. Neighbours share an edge, not only a corner.

    Returns:
        (h, w) numbers from 1 on, the first side's regions before the second's, and (h, w) distances.
    """
    labels = np.zeros(second.shape, dtype=np.int32)
    depth = np.zeros(second.shape, dtype=np.float32)
    for side in (~second, second):
        padded = np.pad(side.astype(np.uint8), 1)
        reach = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)
        count, found_pieces = cv2.connectedComponents(side.astype(np.uint8), connectivity=4)
        pieces = np.asarray(found_pieces, np.int32)
        deepest = np.zeros(count, np.float32)
        np.maximum.at(deepest, pieces, reach)
        markers = side & (reach >= marker_threshold * deepest[pieces])
        _, numbered = cv2.connectedComponents(markers.astype(np.uint8), connectivity=4)
        found = watershed(-reach, np.asarray(numbered, np.int32), side)
        labels[side] = found[side] + labels.max()
        depth[side] = reach[side]
    return labels, depth


def measure_regions(labels: NDArray[np.int32], depth: NDArray[np.float32], min_area: float) -> list[Region]:
    """Measure the regions of at least ``min_area`` pixels, in the order of their numbers."""
    numbers = np.flatnonzero(np.bincount(labels.ravel()) >= min_area).tolist()
    return [_measure(number, labels, depth) for number in numbers if number > 0]


def hull_area(inside: NDArray[np.bool_]) -> float:
    """Area of the convex hull of the corners of a piece's (h, w) pixels; every row holds one."""
    rows = np.arange(inside.shape[0])
    left, right = inside.argmax(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    corners = [np.stack([x, rows + down], axis=1) for x in (left, right) for down in (0, 1)]
    return float(cv2.contourArea(cv2.convexHull(np.concatenate(corners).astype(np.int32))))


def _measure(number: int, labels: NDArray[np.int32], depth: NDArray[np.float32]) -> Region:
    left, top, width, height = cv2.boundingRect((labels == number).astype(np.uint8))
    piece = slice(top, top + height), slice(left, left + width)
    inside = labels[piece] == number
    row, column = np.nonzero(inside)
    x, y = float(column.mean()) + 0.5, float(row.mean()) + 0.5
    centroid = point = x + left, y + top
    if not inside[int(y), int(x)]:
        reach = depth[piece][row, column]
        deep = np.flatnonzero(reach >= reach.max())
        near = deep[np.argmin((column[deep] + 0.5 - x) ** 2 + (row[deep] + 0.5 - y) ** 2)]
        point = float(column[near]) + 0.5 + left, float(row[near]) + 0.5 + top
    return Region(number, len(row), len(row) / hull_area(inside), centroid, point)


# -- pictures ------------------------------------------------------------------------------------


def point_pictures(
    crop: Crop,
    second: NDArray[np.bool_],
    labels: NDArray[np.int32],
    regions: Sequence[Region],
    best: Region | None,
    reach: float,
) -> dict[str, Pixels]:
    """Draw the way to a foreground point: crop, clusters, regions with their convexity, point.

    Regions that do not qualify are left grey; ``reach`` is drawn as an ellipse, and a point beyond it crossed out.
    """
    plain = enlarged(crop.pixels)
    size = plain.shape[:2]
    clusters = enlarged(np.where(second[..., None], _CLUSTER_COLOURS[1], _CLUSTER_COLOURS[0]).astype(np.uint8))
    mixed = np.asarray(cv2.addWeighted(plain, 0.35, clusters, 0.65, 0), dtype=np.uint8)
    pictures = {"crop": plain, "clusters": mixed, "regions": _regions(plain, labels, regions)}
    if best is not None:
        shown = plain.copy()
        near = off_centre(best.point, crop) <= reach
        colour = AFTER if near else BEFORE
        draw_edge(shown, stretched(labels == best.label, size), colour)
        if reach < math.sqrt(2):  # the corners
            middle, axes = (size[1] // 2, size[0] // 2), (round(reach * size[1] / 2), round(reach * size[0] / 2))
            cv2.ellipse(shown, middle, axes, 0, 0, 360, (255, 255, 255), 1, cv2.LINE_AA)
        scale = size[1] / labels.shape[1], size[0] / labels.shape[0]
        at = best.point[0] * scale[0], best.point[1] * scale[1]
        draw_point(shown, at, max(5.0, max(size) / 45), colour, positive=near)
        pictures["point"] = shown
    return pictures


def _regions(plain: Pixels, labels: NDArray[np.int32], regions: Sequence[Region]) -> Pixels:
    """Tint the regions that qualified and write the convexity on each."""
    size = plain.shape[:2]
    grey = np.asarray(cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    shown: Pixels = np.repeat(grey[..., None], 3, axis=2) // 2 + 60
    for number, region in enumerate(regions):
        inside = stretched(labels == region.label, size)
        tint(shown, inside.astype(np.uint8) * 255, 0, 0, palette_colour(number), 0.6)
        draw_edge(shown, inside, palette_colour(number))
    letters_size = max(11, round(max(size) / 26))
    for number, region in enumerate(regions):
        letters = text_coverage(f"{region.convexity:.2f}", letters_size, bold=True)
        x = round(region.point[0] * size[1] / labels.shape[1] - letters.shape[1] / 2)
        y = round(region.point[1] * size[0] / labels.shape[0] - letters.shape[0] / 2)
        x, y = (
            min(max(v, 0), max(0, end - n)) for v, end, n in zip((x, y), size[::-1], letters.shape[::-1], strict=True)
        )
        stamp(shown, letters, x, y, readable_on(palette_colour(number)))
    return shown
