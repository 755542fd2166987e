"""What a model is shown of an image, and which numbers then mean which place in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import Frame, Prompts
from fiducial.images import Image
from fiducial.images.image import pad
from fiducial.language.answers import Answer, Outcome

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is handed to a model's image processor.

    Args:
        pixels: (h, w, 3) uint8 RGB.
        extent: where the picture's corners lie in pixels of the original image; it reaches past
            the image where the picture was padded.
        forced: whether the picture was stretched to a canvas that the caller asked for.
    """

    pixels: NDArray[np.uint8]
    extent: Frame
    forced: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of ``pixels``."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(width, height) of the picture in pixels of the original image, padding and all."""
        return round(self.extent.width), round(self.extent.height)


def on_image(answer: Answer, picture: Picture, image: Image) -> Answer:
    """Bring an answer about a picture onto the image that the picture shows.

    Args:
        answer: its prompts in any frame of the picture.
        picture: what the model was shown.
        image: the original image.

    Returns:
        The answer with its prompts in pixels of the image. Boxes that reach into the padding are clipped
        to the image, what lies in the padding alone goes, and ``repairs`` says so; where nothing is
        left of what was found, the outcome is ``malformed``.
    """
    placed = answer.to(picture.extent)
    if picture.extent == image.frame:
        return placed
    # The picture's extent counts in pixels of the image, so only the corners change, not the numbers.
    kept, notes = Prompts(image.frame, tuple(replace(prompt, frame=image.frame) for prompt in placed.prompts)).fitted()
    lost = answer.outcome is Outcome.FOUND and not kept
    return replace(
        placed,
        outcome=Outcome.MALFORMED if lost else answer.outcome,
        prompts=kept,
        text="every target lies in the padding, outside the image" if lost else answer.text,
        repairs=answer.repairs + notes,
    )


def whole(image: Image) -> Picture:
    """Show the image as it is."""
    return Picture(image.pixels, image.frame)


def stretched(image: Image, canvas: tuple[int, int]) -> Picture:
    """Show the image stretched to (width, height) pixels, its aspect not kept; Lanczos filter."""
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(image.pixels).resize(canvas, PillowImage.Resampling.LANCZOS)
    return Picture(np.asarray(picture, dtype=np.uint8), image.frame, forced=True)


def squared(image: Image, colour: Colour) -> Picture:
    """Show the image in the middle of the smallest square that holds it, the rest in one colour."""
    side = max(image.width, image.height)
    return _padded(image, side, side, ((side - image.width) // 2, (side - image.height) // 2), colour)


def widened(image: Image, aspect: float, colour: Colour) -> Picture:
    """Show the image, padded at the right or the bottom until no side is ``aspect`` times the other."""
    least = math.ceil(max(image.width, image.height) / aspect)
    if min(image.width, image.height) >= least:
        return whole(image)
    return _padded(image, max(image.width, least), max(image.height, least), (0, 0), colour)


def _padded(image: Image, width: int, height: int, corner: tuple[int, int], colour: Colour) -> Picture:
    x, y = corner
    return Picture(pad(image.pixels, width, height, corner, colour), Frame(-x, -y, width - x, height - y))
