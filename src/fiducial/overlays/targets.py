"""Marks, boxes and masks of targets, drawn for the model's eyes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask, Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.overlays.colours import Colour, palette_colour, parse_colour
from fiducial.overlays.drawing import badge, disc, outline, rectangle, segment, stroke_width, tint

_MIN_RADIUS = 7.0


@dataclass(frozen=True, slots=True)
class MarkOverlay:
    """Draws one number per target on a disc, for questions that are answered with a number (Set-of-Mark).

    A mark sits at the deepest point of its mask, else in the middle of its box, else on its first positive
    point. Where marks would cover each other the later one moves to the nearest free place, and a thin line
    leads back to its target. The same targets give the same picture, always.

    Args:
        prompts: the targets, in pixels of the image that will be drawn on.
        masks: their masks, one per prompt, or alone without prompts; an empty mask falls back on the prompt.
        start: the first number.
        radius: of a disc in pixels; None chooses it by the image's size, never below 7.
        colour: of every disc; None takes the palette, one colour per target.

    Example:
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
        """Return the image with the marks on it: same size, same name."""
        require_targets(image, self.prompts, self.masks)
        pixels = image.pixels.copy()
        radius = self.radius or mark_radius(image.width, image.height)
        taken: list[Point] = []
        for number in range(len(self.masks) if self.prompts is None else len(self.prompts)):
            anchor = self.masks[number].inner_point() if self.masks else None
            if anchor is None and self.prompts is not None:
                anchor = prompt_centre(self.prompts[number])
            if anchor is None:  # an empty mask, and nothing else is known
                continue
            place = free_place(anchor, radius, taken, image.width, image.height)
            taken.append(place)
            colour = _colour(self.colour, number)
            if math.dist(place, anchor) > radius:
                segment(pixels, anchor, place, (0, 0, 0), max(3, round(radius / 3)))
                segment(pixels, anchor, place, colour, max(1, round(radius / 6)))
                disc(pixels, anchor, max(2.0, radius / 4), colour)
            badge(pixels, place, radius, str(self.start + number), colour)
        return Image(pixels, name=image.name, notes=image.notes)


@dataclass(frozen=True, slots=True)
class BoxOverlay:
    """Draws the box of every prompt that has one.

    Args:
        prompts: the targets, in pixels of the image that will be drawn on.
        colour: of every box; None takes the palette, one colour per target.
        line_width: in pixels; None chooses it by the image's size. The stroke is centred on the box's edge.

    Example:
        >>> image = Image(np.zeros((20, 30, 3), np.uint8))
        >>> boxed = BoxOverlay(Prompts.from_boxes(image.frame, [(5, 5, 15, 15)]), colour="red")(image)
        >>> boxed.pixels[5, 10].tolist(), boxed.pixels[10, 10].tolist()
        ([230, 25, 25], [0, 0, 0])
    """

    prompts: Prompts
    colour: str | Sequence[int] | None = None
    line_width: int | None = None

    def __post_init__(self) -> None:
        _check(self.colour, self.line_width, minimum=1)

    def __call__(self, image: Image) -> Image:
        """Return the image with the boxes on it: same size, same name."""
        require_targets(image, self.prompts, ())
        pixels = image.pixels.copy()
        width = self.line_width or stroke_width(image.width, image.height)
        for number, prompt in enumerate(self.prompts):
            if prompt.box is not None:
                rectangle(pixels, prompt.box, _colour(self.colour, number), width)
        return Image(pixels, name=image.name, notes=image.notes)


@dataclass(frozen=True, slots=True)
class MaskOverlay:
    """Tints every mask and draws a line around it; where masks overlap the later one lies on top.

    Args:
        masks: at the size of the image that will be drawn on.
        colour: of every mask; None takes the palette, one colour per target.
        opacity: of the tint, 0..1; the line is solid.
        line_width: in pixels, 0 for no line; None chooses it by the image's size.

    Example:
        >>> image = Image(np.zeros((20, 30, 3), np.uint8))
        >>> mask = Mask.from_box((5, 5, 15, 15), 20, 30)
        >>> MaskOverlay([mask], colour="white", opacity=0.5)(image).pixels[10, 10].tolist()
        [128, 128, 128]
    """

    masks: Sequence[Mask]
    colour: str | Sequence[int] | None = None
    opacity: float = 0.4
    line_width: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", tuple(self.masks))
        if not 0 <= self.opacity <= 1:
            raise InputError(f"an opacity is in 0 (invisible) to 1 (solid), got {self.opacity}")
        _check(self.colour, self.line_width, minimum=0)

    def __call__(self, image: Image) -> Image:
        """Return the image with the masks on it: same size, same name."""
        require_targets(image, None, self.masks)
        pixels = image.pixels.copy()
        width = stroke_width(image.width, image.height) if self.line_width is None else self.line_width
        for number, mask in enumerate(self.masks):
            inside, x, y = mask.to_patch()
            if not inside.size:
                continue
            colour = _colour(self.colour, number)
            tint(pixels, inside.astype(np.uint8) * np.uint8(255), x, y, colour, self.opacity)
            if width:
                outline(pixels, inside, x, y, colour, width)
        return Image(pixels, name=image.name, notes=image.notes)


def mark_radius(width: int, height: int) -> float:
    """Choose a radius, in pixels, that can be read on an image of this size."""
    wanted = math.sqrt(width * height) * 0.022
    return max(_MIN_RADIUS, min(wanted, min(width, height) / 4))


def prompt_centre(prompt: Prompt) -> Point:
    """Return the middle of a prompt's box, else its first positive point, else its first point."""
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box
        return (x1 + x2) / 2, (y1 + y2) / 2
    return (prompt.positive_points or prompt.points)[0]


def free_place(anchor: Point, radius: float, taken: Sequence[Point], width: int, height: int) -> Point:
    """Find the place nearest to an anchor where a disc lies inside the image and on no other; else the anchor itself.

    Twelve directions on rings of growing radius are tried in a fixed order.
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


def _check(colour: str | Sequence[int] | None, line_width: int | None, minimum: int) -> None:
    if colour is not None:
        parse_colour(colour)
    if line_width is not None and line_width < minimum:
        raise InputError(f"the width of a line is at least {minimum} pixels, got {line_width}")


def _colour(colour: str | Sequence[int] | None, number: int) -> Colour:
    return palette_colour(number) if colour is None else parse_colour(colour)
