"""MBO, the mask boundary optimisation: the edge of a mask moved to where the colours change.

As in PSLG-SAM's second stage, GrabCut is started from a mask: eroded and dilated, it says what is surely on and surely
off the target; two Gaussian mixtures learn the colours of both sides, a minimal cut decides about the band between, and
both are repeated until little changes. The paper gives no numbers.

What a cut lowers is the energy of GrabCut: how unlikely the colours are, plus what an edge between the two sides costs.
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

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Refinement
from fiducial.errors import GeometryError
from fiducial.geometry import Mask, Prompt
from fiducial.images import Image
from fiducial.overlays.colours import Colour
from fiducial.overlays.drawing import tint
from fiducial.refiners.configs import BoundaryOptimisation
from fiducial.refiners.crops import (
    AFTER,
    BEFORE,
    Crop,
    Pixels,
    Window,
    cut_crop,
    cut_mask,
    draw_edge,
    enlarged,
    grown,
    pixels_in,
    stretched,
)

NAME = BoundaryOptimisation.name
FULL = 0.98
"""A mask that covers so much of its box is the box: a fallback, or a target without an edge inside the box."""
CONTEXT = (8.0, 0.25)
"""Background kept around the band: so many pixels at least, or this part of the mask's longest edge."""
DEEPEST = 0.5
"""Greatest width of the band inside the mask, as a part of the mask's greatest depth, so that a core remains."""

GAMMA = 50.0
COMPONENTS = 5
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows down and columns right to one of every pair of neighbours."""
_BAND: Colour = (255, 215, 0)

Inside = NDArray[np.bool_]
Slices = tuple[slice, slice]
Figures = dict[str, float | int | str]
Colours = NDArray[np.float64]


def optimise_boundary(
    options: BoundaryOptimisation, image: Image, mask: Mask, prompt: Prompt, pictures: bool
) -> tuple[Mask, Refinement]:
    """Move the edge of a mask; see :meth:`BoundaryOptimisation.report`."""
    if (mask.height, mask.width) != (image.height, image.width):
        raise GeometryError(
            f"a mask of {mask.height} x {mask.width} (height x width) does not fit "
            f"an image of {image.height} x {image.width}"
        )
    image.frame.require(prompt.frame, "the prompt")
    reason = _unfit(options, image, mask, prompt)
    if reason or mask.box is None:
        return mask, Refinement(NAME, False, f"kept as it was: {reason}")
    width = min(max(options.band * math.sqrt(mask.area), options.limits[0]), options.limits[1])
    longest = max(mask.box[2] - mask.box[0], mask.box[3] - mask.box[1])
    crop = cut_crop(image, grown(mask.box, width + max(CONTEXT[0], CONTEXT[1] * longest), image), options.working_size)
    work = _Work.begin(crop, cut_mask(mask, crop.window), width)
    reason = work.unfit()
    if reason:
        return mask, Refinement(NAME, False, f"kept as it was: {reason}")
    return _judge(options, image, mask, work, _cut(options, work), pictures)


def _unfit(options: BoundaryOptimisation, image: Image, mask: Mask, prompt: Prompt) -> str:
    """Say why a mask is not worked on, or nothing."""
    if not mask:
        return "the mask is empty"
    if mask.area < options.min_area:
        return f"the mask has only {mask.area} pixels, {options.min_area} are needed"
    if mask.score is not None and mask.score > options.max_score:
        return f"its segmenter expects an IoU of {mask.score:.2f} already, more than {options.max_score:g}"
    if mask.area >= FULL * image.width * image.height:
        return "the mask fills the image"
    box = prompt.box or mask.box
    window = None if box is None else pixels_in(box, image)
    if window is not None and np.count_nonzero(cut_mask(mask, window)) >= FULL * window[2] * window[3]:
        return "the mask fills its box"
    return ""


def _cut(options: BoundaryOptimisation, work: _Work) -> _Cut | None:
    """Repeat models and cuts until little changes; None when OpenCV finds no cut."""
    sure = np.where(work.inside, cv2.GC_FGD, cv2.GC_BGD)
    labels = np.where(work.band, np.where(work.inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD), sure).astype(np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    free = int(np.count_nonzero(work.band))
    before, rounds = work.inside, 0
    cv2.setRNGSeed(options.seed)
    mode = cv2.GC_INIT_WITH_MASK
    while rounds < options.iterations:
        try:
            cv2.grabCut(work.crop.pixels, labels, (0, 0, 1, 1), background, foreground, 1, mode)
        except cv2.error:
            return None
        rounds, mode = rounds + 1, cv2.GC_EVAL
        after = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
        moved = int(np.count_nonzero(after != before))
        before = after
        if moved <= options.tolerance * free:
            break
    return _Cut(before, rounds, background, foreground)


def _judge(
    options: BoundaryOptimisation, image: Image, mask: Mask, work: _Work, cut: _Cut | None, pictures: bool
) -> tuple[Mask, Refinement]:
    if cut is None:
        return mask, Refinement(NAME, False, "kept as it was: OpenCV found no cut")
    x, y, _, _ = work.crop.window
    dense = work.enlarged(cut.inside)
    result = Mask.from_dense(dense, offset=(x, y), size=(mask.height, mask.width), score=mask.score)
    iou = result.iou(mask)
    changed = int(np.count_nonzero(dense != work.dense))
    figures: Figures = {"iterations": cut.rounds, "band": int(np.count_nonzero(work.band)), "changed": changed}
    figures |= {"iou": round(iou, 4), **work.compared(cut)}
    drawn = boundary_pictures(image, work.crop.window, work.dense, dense, work.band) if pictures else {}
    old, new = float(figures["contrast_before"]), float(figures["contrast_after"])
    if not changed:
        reason = "kept as it was: the cut found the same edge"
    elif iou < options.min_iou:
        reason = f"given back: the result strayed (IoU {iou:.2f} with the mask, {options.min_iou:g} is needed)"
    elif new - old < options.min_gain:
        reason = f"given back: the new edge lies on hardly more contrast ({new:.2f}, it was {old:.2f})"
    else:
        rounds = f"{cut.rounds} round{'' if cut.rounds == 1 else 's'}"
        return result, Refinement(NAME, True, f"edge moved: {changed:,} pixels in {rounds}", figures, drawn)
    return mask, Refinement(NAME, False, reason, figures, drawn)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A cut: the target's pixels, how many rounds it took, the two colour models."""

    inside: Inside
    rounds: int
    background: Colours
    foreground: Colours


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A mask at working size."""

    crop: Crop  # the pixels around the mask
    dense: Inside  # (height, width), the mask in the crop's window at the size of the image
    inside: Inside  # (h, w), the same at working size
    core: Inside  # (h, w), surely on the target
    band: Inside  # (h, w), the pixels that may change

    @classmethod
    def begin(cls, crop: Crop, dense: Inside, width: float) -> _Work:
        inside = dense
        if dense.shape != crop.shape:
            shrunk = cv2.resize(dense.astype(np.uint8) * 255, crop.shape[::-1], interpolation=cv2.INTER_AREA)
            inside = np.asarray(shrunk > 127)
        width = max(1.0, width * crop.scale)
        # The crop's own border is no edge of the mask: where it is the image's, what lies beyond is not known.
        depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
        distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
        core = inside & (depth > min(width, DEEPEST * float(depth.max())))
        band = np.asarray((inside & ~core) | (~inside & (distance <= width)))
        return cls(crop, dense, inside, np.asarray(core), band)

    def unfit(self) -> str:
        """Say why there is nothing to cut, or nothing."""
        if self.crop.one_colour:
            return "the crop has one colour"
        if not self.core.any():
            return "the mask is too thin to have a core"
        if (self.inside | self.band).all():
            return "the mask leaves no background around it"
        return ""

    def compared(self, cut: _Cut) -> Figures:
        """Measure the edge before and after a cut, under the models of the cut."""
        colours = self.crop.pixels.astype(np.float64)
        neighbours = Neighbours.of(colours)
        models = cut.background, cut.foreground
        old, new = (energy(colours, neighbours, side, self.band, *models) for side in (self.inside, cut.inside))
        before, after = (edge_contrast(neighbours, side) for side in (self.inside, cut.inside))
        energies: Figures = {"energy_before": round(old, 3), "energy_after": round(new, 3)}
        return {**energies, "contrast_before": round(before, 4), "contrast_after": round(after, 4)}

    def enlarged(self, inside: Inside) -> Inside:
        """Bring a cut back to the size of the image; the mask's own pixels stay where the cut agrees with it."""
        if self.dense.shape == inside.shape:
            return inside
        size = self.dense.shape[::-1]
        # One pixel more on each side within the band, so that old and new edge meet where they agree.
        near = cv2.dilate((inside != self.inside).astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) * self.band
        moved = cv2.resize(near, size, interpolation=cv2.INTER_NEAREST) > 0
        grown_back = cv2.resize(inside.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127
        return np.asarray(np.where(moved, grown_back, self.dense))


# -- the energy, and pictures --------------------------------------------------------------------


def unlikelihood(model: NDArray[np.float64], colours: Colours) -> NDArray[np.float64]:
    """Return the (N,) float64 negative logarithm of a mixture at (N, 3) colours, 0..255, in the model's channel order.

    The model is OpenCV's, (1, 65): five weights, five means of three, five covariances of nine.
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
    """How much the colours of neighbours differ, measured once for any number of edges."""

    squares: tuple[NDArray[np.float64], ...]  # per kind of neighbour, as the offsets: (h', w') |z_p - z_q|^2
    beta: float  # one over twice their mean; 0 where there is one colour
    shape: tuple[int, int]  # height and width of the picture

    @classmethod
    def of(cls, colours: Colours) -> Neighbours:
        """Measure the neighbours of (h, w, 3) float64 colours, 0..255."""
        height, width = colours.shape[:2]
        differences = (colours[one] - colours[other] for _, one, other in _pairs((height, width)))
        squares = tuple(np.einsum("ijc,ijc->ij", apart, apart) for apart in differences)
        total, count = sum(float(one.sum()) for one in squares), sum(one.size for one in squares)
        return cls(squares, count / (2 * total) if total > 0 else 0.0, (height, width))

    def along(self, target: Inside, among: Inside | None = None) -> Iterator[tuple[float, NDArray[np.float64]]]:
        """Give, per kind of neighbour, its distance and ``exp(-beta |z_p - z_q|^2)`` where an edge parts the two.

        With ``among`` only pairs of which one is marked there count.
        """
        for squares, ((row, column), one, other) in zip(self.squares, _pairs(self.shape), strict=True):
            cut = target[one] != target[other]
            if among is not None:
                cut &= among[one] | among[other]
            yield math.hypot(row, column), np.exp(-self.beta * squares[cut])


def energy(
    colours: Colours, neighbours: Neighbours, target: Inside, band: Inside, background: Colours, foreground: Colours
) -> float:
    """Return the part of the energy that the pixels of a (h, w) band can change.

    ``background`` and ``foreground`` are OpenCV's models of the (h, w, 3) float64 colours off and on the target.
    """
    data = sum(
        float(unlikelihood(model, colours[band & side]).sum())
        for model, side in ((foreground, target), (background, ~target))
    )
    return data + sum(GAMMA / far * float(similarity.sum()) for far, similarity in neighbours.along(target, band))


def edge_contrast(neighbours: Neighbours, target: NDArray[np.bool_]) -> float:
    """Return how strong the colours change along the edge of a target: 0 on flat colour, towards 1 on strong edges.

    It is one minus the mean of ``exp(-beta |z_p - z_q|^2)`` over the neighbours that the edge parts, those at a
    corner counted less by their distance; 0 where there is no edge.
    """
    total, weight = 0.0, 0.0
    for far, similarity in neighbours.along(target):
        total, weight = total + float(similarity.sum()) / far, weight + similarity.size / far
    return 1 - total / weight if weight else 0.0


def _pairs(shape: tuple[int, int]) -> Iterator[tuple[tuple[int, int], Slices, Slices]]:
    """Give the offset of each kind of neighbour and the slices of its two ends."""
    height, width = shape
    for row, column in _NEIGHBOURS:
        one = slice(0, height - row), slice(max(0, -column), width - max(0, column))
        yield (row, column), one, (slice(row, height), slice(one[1].start + column, one[1].stop + column))


def boundary_pictures(image: Image, window: Window, before: Inside, after: Inside, band: Inside) -> dict[str, Pixels]:
    """Draw the way of an edge in a window: the band (at working size), the mask before and after (at the image's)."""
    x, y, width, height = window
    plain = enlarged(np.ascontiguousarray(image.pixels[y : y + height, x : x + width]))
    size = plain.shape[:2]
    free = plain.copy()
    tint(free, stretched(band, size).astype(np.uint8) * 255, 0, 0, _BAND, 0.6)
    pictures = {"band": free}
    for name, inside, colour in (("before", before, BEFORE), ("after", after, AFTER)):
        shown = plain.copy()
        draw_edge(shown, stretched(inside, size), colour)
        pictures[name] = shown
    return pictures
