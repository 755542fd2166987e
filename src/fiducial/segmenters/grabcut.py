"""GrabCut as a segmenter (Rother, Kolmogorov and Blake, SIGGRAPH 2004, as OpenCV has it): only the image's colours.

Started from a plain rectangle it collapses on about half of all objects; the constants say what is done about that.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import Embedding
from fiducial.errors import InputError
from fiducial.geometry import Box, Frame, Mask, Prompt, Prompts
from fiducial.images import Image

MARGIN = 0.4
"""Width of the frame of sure background around the box, as a part of the box's edge (at least 6 pixels)."""
CORE = 0.6
"""Radius of the sure foreground in the middle of the box; 1 is the ellipse that touches the box."""
LIKELY = 1.1
"""Radius of the probable foreground; the box's corners beyond it are probable background."""
WORKING = (150, 200)
"""Longest edge in pixels at which a crop is cut: smaller crops are enlarged (4 x at most), larger ones shrunk."""
ITERATIONS = 3
"""Rounds of colour models and cuts."""
MIN_KEPT = 0.15
"""Smallest part of the box that a cut must keep; what keeps less has collapsed. Without a box: twice the discs."""
WINDOW = (0.25, 48.0, 256.0)
"""Edge of the window around points without a box: a part of the image's shorter edge, within pixel limits."""
SPOT = 0.04
"""Radius around a point that the point speaks for, as a part of the crop's longest edge."""
MIN_EDGE = 3.0
"""Boxes with an edge below so many pixels hold too little colour to cut."""

Labels = NDArray[np.uint8]


class GrabCutSegmenter:
    """Cuts masks by colour, around a box and/or points.

    - **Box:** pixels outside it are background, the ellipse of radius ``CORE`` in its middle is
      foreground, and the cut decides about the rest. The mask lies inside the box, up to the rounding
      of the working size.
    - **Points:** a small disc around a positive point is foreground, around a negative one background,
      whatever the box says; where both claim a pixel, background wins.
    - **Positive points without a box:** the cut happens in a window of ``WINDOW`` around them.
    - **Negative points alone** say nothing about the target: the mask is empty, without a score.

    Work is done on the crop around the prompt. The same prompt on the same image always gives the same mask.

    ``mask.score`` is the separability of the colours, from 0 (mask and surroundings have the same
    colours) to 1 (no colour in common): one minus the Bhattacharyya coefficient of the two colour
    histograms. It is None where nothing was cut and the prompt's own shape was given back, the box
    itself or the discs of the points. That happens when the crop has one colour, when the box is smaller
    than ``MIN_EDGE``, when the cut keeps less than ``MIN_KEPT`` (it collapsed) or the whole crop, or when
    OpenCV finds no cut.

    Boxes around true objects gave a mean IoU of 0.72 on 240 aerial and 0.64 on 240 everyday objects, where the bare box
    has 0.60 and 0.59; one point in the middle of the object 0.4 and 0.3.
    """

    def encode(self, image: Image) -> Embedding:
        """Keep the image: the cut works on its pixels, so there is nothing to compute."""
        key = hashlib.sha256(f"grabcut\n{image.digest}".encode()).hexdigest()
        return Embedding(key, image.width, image.height, {}, image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Cut one mask per prompt, in order, at the size of the image; the prompts are in its pixels."""
        if embedding.image is None:
            raise InputError("GrabCut needs pixels, but this embedding holds no image: encode it with this segmenter")
        embedding.image.frame.require(prompts.frame, "the prompts")
        return [_segment(embedding.image, prompt) for prompt in prompts]


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    """The piece of an image around a prompt: window in the image's pixels, BGR colours and prompt at working size."""

    x: int
    y: int
    width: int
    height: int
    colours: NDArray[np.uint8]
    prompt: Prompt

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width at working size."""
        return self.colours.shape[0], self.colours.shape[1]

    def distance(self, box: Box) -> NDArray[np.float64]:
        """Measure (h, w) elliptic distances: 0 at the box's centre, 1 on the ellipse that touches it."""
        rows, columns = (np.arange(length) + 0.5 for length in self.shape)
        x = (columns - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
        y = (rows - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
        return np.asarray(np.hypot(x[None, :], y[:, None]))

    def spots(self, label: int) -> NDArray[np.bool_]:
        """Mark the (h, w) pixels for which the points of a label speak."""
        marked = np.zeros(self.shape, dtype=bool)
        rows, columns = (np.arange(length) + 0.5 for length in self.shape)
        radius = max(1.0, SPOT * max(self.shape))
        for x, y in self.prompt.positive_points if label else self.prompt.negative_points:
            marked |= np.hypot(columns[None, :] - x, rows[:, None] - y) <= radius
        return marked


def _segment(image: Image, prompt: Prompt) -> Mask:
    box = _window(image, prompt) if prompt.box is None else prompt.box
    crop = None if box is None else _cut_out(image, prompt, box)
    if box is None or crop is None:
        return Mask.empty(image.height, image.width)
    x1, y1, x2, y2 = image.frame.boxes_to(box, crop.prompt.frame).tolist()
    found = _cut(crop, _labels(crop, (x1, y1, x2, y2)))
    return _given_back(image, crop, prompt) if found is None else _place(image, crop, *found)


def _window(image: Image, prompt: Prompt) -> Box | None:
    """Return the window around positive points: their bounding box, widened on every side."""
    if not prompt.positive_points:
        return None
    part, low, high = WINDOW
    half = min(max(part * min(image.width, image.height), low), high) / 2
    x, y = zip(*prompt.positive_points, strict=True)
    return min(x) - half, min(y) - half, max(x) + half, max(y) + half


def _cut_out(image: Image, prompt: Prompt, box: Box) -> _Crop | None:
    """Cut the crop out and bring it to working size; None when the box does not touch the image."""
    margin_x, margin_y = (max(6.0, MARGIN * edge) for edge in (box[2] - box[0], box[3] - box[1]))
    left, right = (_clip(value, image.width) for value in (box[0], box[2]))
    top, bottom = (_clip(value, image.height) for value in (box[1], box[3]))
    if left >= right or top >= bottom:
        return None
    x, y = math.floor(_clip(left - margin_x, image.width)), math.floor(_clip(top - margin_y, image.height))
    width = math.ceil(_clip(right + margin_x, image.width)) - x
    height = math.ceil(_clip(bottom + margin_y, image.height)) - y
    low, high = WORKING
    longest = max(width, height)
    scale = high / longest if longest > high else min(max(1.0, low / longest), 4.0)
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging first: shrinking an original of many megapixels by cubic weights would alias.
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    bgr = np.ascontiguousarray(image.pixels[y : y + height, x : x + width, ::-1])
    colours = np.asarray(cv2.resize(bgr, small, interpolation=kind), dtype=np.uint8)
    across, down = small[0] / width, small[1] / height
    frame = Frame(-x * across, -y * down, (image.width - x) * across, (image.height - y) * down)
    return _Crop(x, y, width, height, colours, prompt.to(frame))


def _labels(crop: _Crop, box: Box) -> Labels:
    """Say what is known before the cut, as OpenCV's four labels."""
    inside, distance = Mask.from_box(box, *crop.shape).to_dense(), crop.distance(box)
    labels = np.full(crop.shape, cv2.GC_BGD, dtype=np.uint8)
    labels[inside] = cv2.GC_PR_BGD
    if crop.prompt.box is None:
        labels[inside & (distance <= CORE)] = cv2.GC_PR_FGD
    else:
        labels[inside & (distance <= LIKELY)] = cv2.GC_PR_FGD
        labels[inside & (distance <= CORE)] = cv2.GC_FGD
    labels[crop.spots(1)] = cv2.GC_FGD
    labels[crop.spots(0)] = cv2.GC_BGD
    return labels


def _cut(crop: _Crop, labels: Labels) -> tuple[NDArray[np.bool_], float] | None:
    """Cut: (h, w) pixels of the target and the separability, or None when nothing can be cut."""
    box = crop.prompt.box
    scale = crop.shape[1] / crop.width
    if box is not None and min(box[2] - box[0], box[3] - box[1]) < MIN_EDGE * scale:
        return None
    one_colour = not np.ptp(crop.colours.reshape(-1, 3), axis=0).any()
    foreground = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if one_colour or foreground.all() or not foreground.any():
        return None
    found = labels.copy()
    cv2.setRNGSeed(0)
    try:
        # The rectangle is not looked at, the two models are OpenCV's own memory.
        start = cv2.GC_INIT_WITH_MASK
        cv2.grabCut(crop.colours, found, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, start)
    except cv2.error:
        return None
    target = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    min_area = 2 * crop.spots(1).sum() if box is None else MIN_KEPT * (box[2] - box[0]) * (box[3] - box[1])
    if target.sum() < min_area or target.all():
        return None
    # One minus the Bhattacharyya coefficient of the histograms on and off the target, of 8 x 8 x 8 bins each.
    bins = (crop.colours >> 5).astype(np.int64) @ np.array([64, 8, 1])
    on, off = (np.bincount(bins[part], minlength=512) / part.sum() for part in (target, ~target))
    return target, float(np.clip(1.0 - np.sqrt(on * off).sum(), 0.0, 1.0))


def _given_back(image: Image, crop: _Crop, prompt: Prompt) -> Mask:
    """Give the prompt's own shape back, without a score."""
    if prompt.box is None:
        return _place(image, crop, crop.spots(1) & ~crop.spots(0), None)
    shape = Mask.from_box(prompt.box, image.height, image.width)
    if shape:
        return shape
    # The box is too small to hold the centre of any pixel: the one under its middle.
    x1, y1, x2, y2 = prompt.box
    x, y = int(_clip((x1 + x2) / 2, image.width - 1)), int(_clip((y1 + y2) / 2, image.height - 1))
    return Mask.from_box((x, y, x + 1, y + 1), image.height, image.width)


def _place(image: Image, crop: _Crop, inside: NDArray[np.bool_], score: float | None) -> Mask:
    """Bring a working-size mask back to its place in the image."""
    grown = cv2.resize(inside.astype(np.uint8) * 255, (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    return Mask.from_dense(grown > 127, offset=(crop.x, crop.y), size=(image.height, image.width), score=score)


def _clip(value: float, upper: float) -> float:
    return min(max(value, 0.0), upper)
