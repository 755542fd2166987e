"""Attributes: a detection as a candidate that phrases can choose, measured by its box."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Box, Prompt
from fiducial.images import Image
from fiducial.language.candidates import Candidate
from fiducial.prompters.detector.contract import Detection
from fiducial.prompters.measuring import look_of

CORE = 0.5
"""Colours and brightness are those of the middle part of the box: this share of its width and of its height."""
AROUND = 0.15
"""What is around a thing: a frame about its box, as wide as this share of the box's sides."""
APART = 30
"""A pixel is not of the surroundings when one of its channels differs by more than this from their median."""
FILLED = 0.25
"""Where less than this share of the middle stands apart from the surroundings, a thing is taken to be hollow."""

_Pixels = NDArray[np.uint8]


def as_candidate(image: Image, detection: Detection) -> Candidate:
    """Measure a detection.

    Only the box is known, so that all measures are those of a thing that fills it: its area is left to the
    resolver, which takes that of the box; its length is the box's diagonal, which is right for what lies askew as
    well as for what is rectangular; its roundness is the box's shorter side over its longer one. Colours and
    brightness come from what in the middle of the box does not look like what is around the box; where hardly
    anything does, as in a ring, from what does so anywhere in the box.

    Args:
        image: the picture.
        detection: one thing in it.

    Returns:
        A candidate in the pixels of the picture, called by the detector's name, with a box and no point.
    """
    x1, y1, x2, y2 = detection.box
    width, height = x2 - x1, y2 - y1
    brightness, colours = look_of(_of_thing(image.pixels, detection.box))
    return Candidate(
        Prompt(image.frame, box=detection.box, label=detection.name, score=detection.score),
        length=math.hypot(width, height),
        roundness=min(width, height) / max(width, height),
        brightness=brightness,
        colours=colours,
    )


def _of_thing(pixels: _Pixels, box: Box) -> _Pixels:
    """Return pixels (N, 3) of the thing in a box: of its middle, else of all of it, else what is in the middle."""
    core, every = (_cut(pixels, box, share).reshape(-1, 3) for share in (CORE, 1))
    ground = _median_around(pixels, box)
    if ground is None:
        return core
    for region in (core, every):
        thing = region[_stands_apart(region, ground)]
        if len(thing) >= FILLED * len(region):
            return thing
    return core


def _stands_apart(pixels: _Pixels, ground: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(pixels - ground).max(axis=1) > APART)


def _median_around(pixels: _Pixels, box: Box) -> NDArray[np.float64] | None:
    """Return the median colour of the frame about a box; None where the picture ends at the box."""
    (left, right, top, bottom), (l2, r2, t2, b2) = (_extent(pixels, box, share) for share in (1, 1 + 2 * AROUND))
    frame = np.ones((b2 - t2, r2 - l2), dtype=bool)
    frame[top - t2 : bottom - t2, left - l2 : right - l2] = False
    return np.asarray(np.median(pixels[t2:b2, l2:r2][frame], axis=0)) if frame.any() else None


def _cut(pixels: _Pixels, box: Box, share: float) -> _Pixels:
    left, right, top, bottom = _extent(pixels, box, share)
    return pixels[top:bottom, left:right]


def _extent(pixels: _Pixels, box: Box, share: float) -> tuple[int, int, int, int]:
    """Return left, right, top, bottom in whole pixels of a box that was scaled about its centre."""
    x1, y1, x2, y2 = box
    return (*_span(x1, x2, share, pixels.shape[1]), *_span(y1, y2, share, pixels.shape[0]))


def _span(start: float, end: float, share: float, limit: int) -> tuple[int, int]:
    """Return the whole pixels of a scaled extent, at least one, all of them inside the picture."""
    margin = (1 - share) / 2 * (end - start)
    first = min(max(0, round(start + margin)), limit - 1)
    return first, min(max(first + 1, round(end - margin)), limit)
