"""Boxes and masks drawn for the model's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.overlays.colours import Colour, palette_colour, parse_colour, require_opacity
from fiducial.overlays.drawing import cut_out, outline, rectangle, stroke_width, tint
from fiducial.overlays.marks import require_targets


@dataclass(frozen=True, slots=True)
class BoxOverlay:
    """Draws the box of every prompt that has one.

    Args:
        prompts: the targets, in pixels of the image that will be drawn on.
        colour: of every box; None takes the palette, one colour per target.
        line_width: in pixels; None chooses it by the image's size. The stroke is centred on the box's edge.

    Raises:
        InputError: a width below 1, or a colour that cannot be read.

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
        _check(self.colour, self.line_width, least=1)

    def __call__(self, image: Image) -> Image:
        """Return the image with the boxes on it: same size, same name.

        Raises:
            FrameError: the prompts are not in pixels of this image.
        """
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

    Raises:
        InputError: an opacity outside 0..1, a negative width, or a colour that cannot be read.

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
        object.__setattr__(self, "opacity", require_opacity(self.opacity))
        _check(self.colour, self.line_width, least=0)

    def __call__(self, image: Image) -> Image:
        """Return the image with the masks on it: same size, same name.

        Raises:
            GeometryError: a mask has another size than the image.
        """
        require_targets(image, None, self.masks)
        pixels = image.pixels.copy()
        width = stroke_width(image.width, image.height) if self.line_width is None else self.line_width
        for number, mask in enumerate(self.masks):
            inside, x, y = cut_out(mask)
            if not inside.size:
                continue
            colour = _colour(self.colour, number)
            tint(pixels, inside.astype(np.uint8) * np.uint8(255), x, y, colour, self.opacity)
            if width:
                outline(pixels, inside, x, y, colour, width)
        return Image(pixels, name=image.name, notes=image.notes)


def _check(colour: str | Sequence[int] | None, line_width: int | None, least: int) -> None:
    if colour is not None:
        parse_colour(colour)
    if line_width is not None and line_width < least:
        raise InputError(f"the width of a line is at least {least} pixels, got {line_width}")


def _colour(colour: str | Sequence[int] | None, number: int) -> Colour:
    return palette_colour(number) if colour is None else parse_colour(colour)
