"""Scenes: a picture that was drawn, and everything that is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fiducial.datasets.scenes.canvas import Canvas
from fiducial.geometry import Mask
from fiducial.images import Image

LEAST_VISIBLE = 0.45
"""A thing of which less can be seen than this share is not fit to be asked for."""
LEAST_PIXELS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A drawn picture with its truth.

    Args:
        image: the picture.
        masks: N masks of what can be seen of each thing; no two share a pixel and none is empty.
        labels: N names.
        attributes: N mappings of what else is known: colour, texture, size, angle, ...
        colours: whether colours mean anything in this picture.
        vocabulary: names of things that scenes of this style may hold, for asking in vain.
    """

    image: Image
    masks: tuple[Mask, ...]
    labels: tuple[str, ...]
    attributes: tuple[Mapping[str, Any], ...]
    colours: bool
    vocabulary: tuple[str, ...]


def finish(canvas: Canvas, name: str, *, colours: bool, vocabulary: tuple[str, ...]) -> Scene | None:
    """Make a scene of a canvas, or None when too little can be seen of one of its things.

    Args:
        canvas: the canvas; values are cut to 0..255.
        name: of the image.
        colours: whether colours mean anything.
        vocabulary: names that scenes of this style may hold.
    """
    masks = canvas.masks()
    if any(mask.area < LEAST_PIXELS for mask in masks) or min(canvas.visible_shares(), default=1.0) < LEAST_VISIBLE:
        return None
    pixels = np.rint(np.clip(canvas.pixels, 0, 255)).astype(np.uint8)
    attributes = tuple(canvas.attributes)
    return Scene(Image(pixels, name=name), masks, tuple(canvas.labels), attributes, colours, vocabulary)
