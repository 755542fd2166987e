"""Numbered marks on the targets, for questions that are answered with a number (Set-of-Mark)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask, Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.overlays.colours import palette_colour, parse_colour
from fiducial.overlays.drawing import badge, disc, inner_point, segment

_SMALLEST_RADIUS = 7.0


@dataclass(frozen=True, slots=True)
class MarkOverlay:
    """Draws one number per target on a disc.

    A mark sits at the deepest point of its mask, else in the middle of its box, else on its first positive
    point. Where marks would cover each other the later one moves to the nearest free place, and a thin line
    leads back to its target. The same targets give the same picture, always.

    Args:
        prompts: the targets, in pixels of the image that will be drawn on.
        masks: their masks, one per prompt, or alone without prompts; an empty mask falls back on the prompt.
        start: the first number.
        radius: of a disc in pixels; None chooses it by the image's size, never below 7.
        colour: of every disc; None takes the palette, one colour per target.

    Raises:
        InputError: neither prompts nor masks, a radius that is not positive, a colour that cannot be read.
        GeometryError: the masks are not as many as the prompts.

    Example:
        >>> import numpy as np
        >>> image = Image(np.zeros((60, 80, 3), np.uint8))
        >>> marked = MarkOverlay(Prompts.from_boxes(image.frame, [(10, 10, 50, 50)]))(image)
        >>> marked.pixels[30, 26].tolist(), int(marked.pixels[0, 0].sum())
        ([86, 180, 233], 0)
    """

    prompts: Prompts | None = None
    masks: Sequence[Mask] = ()
    start: int = 1
    radius: float | None = None
    colour: str | Sequence[int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", tuple(self.masks))
        if self.prompts is None and not self.masks:
            raise InputError("marks need prompts or masks to sit on")
        if self.prompts is not None and self.masks and len(self.prompts) != len(self.masks):
            raise GeometryError(f"{len(self.prompts)} prompts but {len(self.masks)} masks")
        if self.radius is not None and not self.radius > 0:
            raise InputError(f"the radius of a mark needs to be positive, got {self.radius}")
        if self.colour is not None:
            object.__setattr__(self, "colour", parse_colour(self.colour))

    def __call__(self, image: Image) -> Image:
        """Return the image with the marks on it: same size, same name.

        Raises:
            FrameError: the prompts are not in pixels of this image.
            GeometryError: a mask has another size than the image.
        """
        require_targets(image, self.prompts, self.masks)
        pixels = image.pixels.copy()
        radius = self.radius or mark_radius(image.width, image.height)
        taken: list[Point] = []
        for number, anchor in enumerate(self._anchors()):
            if anchor is None:
                continue
            place = free_place(anchor, radius, taken, image.width, image.height)
            taken.append(place)
            colour = palette_colour(number) if self.colour is None else parse_colour(self.colour)
            if math.dist(place, anchor) > radius:
                segment(pixels, anchor, place, (0, 0, 0), max(3, round(radius / 3)))
                segment(pixels, anchor, place, colour, max(1, round(radius / 6)))
                disc(pixels, anchor, max(2.0, radius / 4), colour)
            badge(pixels, place, radius, str(self.start + number), colour)
        return Image(pixels, name=image.name, notes=image.notes)

    def _anchors(self) -> Iterator[Point | None]:
        """Give the place of each target, or None where its mask is empty and nothing else is known."""
        count = len(self.masks) if self.prompts is None else len(self.prompts)
        for number in range(count):
            place = inner_point(self.masks[number]) if self.masks else None
            if place is None and self.prompts is not None:
                place = prompt_centre(self.prompts[number])
            yield place


def mark_radius(width: int, height: int) -> float:
    """Choose a radius, in pixels, that can be read on an image of this size."""
    wanted = math.sqrt(width * height) * 0.022
    return max(_SMALLEST_RADIUS, min(wanted, min(width, height) / 4))


def prompt_centre(prompt: Prompt) -> Point:
    """Return the middle of a prompt's box, else its first positive point, else its first point."""
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box
        return (x1 + x2) / 2, (y1 + y2) / 2
    return (prompt.positive_points or prompt.points)[0]


def free_place(anchor: Point, radius: float, taken: Sequence[Point], width: int, height: int) -> Point:
    """Find the place nearest to an anchor where a disc lies inside the image and on no other.

    Twelve directions on rings of growing radius are tried in a fixed order; when nothing is free the disc
    stays at its anchor.
    """

    def inside(x: float, y: float) -> Point:
        reach_x, reach_y = min(radius, width / 2), min(radius, height / 2)
        return min(max(x, reach_x), width - reach_x), min(max(y, reach_y), height - reach_y)

    apart = radius * 2.05
    for ring in range(9):
        for turn in range(12 if ring else 1):
            angle = math.tau * turn / 12
            reach = ring * radius * 0.75
            place = inside(anchor[0] + reach * math.cos(angle), anchor[1] + reach * math.sin(angle))
            if all(math.dist(place, other) >= apart for other in taken):
                return place
    return inside(*anchor)


def require_targets(image: Image, prompts: Prompts | None, masks: Sequence[Mask]) -> None:
    """Check that targets belong on an image.

    Raises:
        FrameError: the prompts are not in its pixels.
        GeometryError: a mask has another size.
    """
    if prompts is not None:
        image.frame.require(prompts.frame, "the prompts to draw")
    for mask in masks:
        if (mask.height, mask.width) != (image.height, image.width):
            raise GeometryError(
                f"a mask of {mask.height} x {mask.width} (height x width) does not fit "
                f"{image.name} of {image.height} x {image.width}"
            )
