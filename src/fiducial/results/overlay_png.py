"""The overlay picture: the image with its targets drawn on it, above a legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import outline, point, rectangle, tint
from fiducial.overlays.text import line_height, shorten, stamp, text_coverage, text_width
from fiducial.results.display import Display
from fiducial.results.legend import headline, legend, panel

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

Pixels = NDArray[np.uint8]
Area = tuple[int, int, int, int]

LEAST_PAGE = 480
"""The legend is never narrower than this, in pixels; a narrower picture stands in the middle."""

MOST_LABELS = 20
"""With more targets than this the tags hold numbers only: the legend has the labels."""

_TINT = 0.38
_AROUND: Colour = (232, 232, 236)
_DARK: Colour = (20, 20, 24)


def write(segmentation: Segmentation, folder: Path) -> bytes:
    """Return the overlay as PNG: at most 4096 pixels a side and 4 megapixels, plus the legend."""
    page = draw(segmentation)
    # The first levels are several times faster than Pillow's default, at about a tenth more bytes.
    _, data = cv2.imencode(".png", page[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 2])
    return data.tobytes()


def draw(segmentation: Segmentation) -> Pixels:
    """Return the overlay as an (H, W, 3) uint8 RGB array.

    Masks are tinted and outlined, boxes framed; a point on the target is a disc with a plus, a point beside
    it a white disc with a red cross; tags carry the target's number and label. The legend below repeats the
    instruction, says how it ended, and lists every target with score and area.
    """
    image = segmentation.image
    display = Display.fit(image.width, image.height)
    picture = display.resize(image)
    _draw_masks(picture, segmentation, display)
    _draw_prompts(picture, segmentation, display)
    _draw_tags(picture, segmentation, display)
    page_width = max(LEAST_PAGE, display.shown_width)
    reach = math.sqrt(page_width * max(display.shown_height, page_width // 2))
    size = round(min(max(reach / 58, 15), page_width / 26))
    if display.shown_width < page_width:
        left = (page_width - display.shown_width) // 2
        wide = np.full((display.shown_height, page_width, 3), _AROUND, dtype=np.uint8)
        wide[:, left : left + display.shown_width] = picture
        picture = wide
    return np.vstack([picture, legend(segmentation, page_width, size)])


def _draw_masks(picture: Pixels, segmentation: Segmentation, display: Display) -> None:
    width = max(2, round(display.mean_side / 450))
    shown = [display.coverage(mask) for mask in segmentation.masks]
    # The largest first: a small target inside a large one stays in sight.
    order = sorted(range(len(shown)), key=lambda number: -segmentation.masks[number].area)
    order = [number for number in order if shown[number][0].size]
    for number in order:
        coverage, x, y = shown[number]
        tint(picture, coverage, x, y, palette_colour(number), _TINT)
    for number in order:
        coverage, x, y = shown[number]
        inside = coverage >= 128
        outline(picture, inside, x, y, _DARK, width + 2)
        outline(picture, inside, x, y, palette_colour(number), width)


def _draw_prompts(picture: Pixels, segmentation: Segmentation, display: Display) -> None:
    width = max(2, round(display.mean_side / 500))
    radius = min(max(5.0, display.mean_side / 110), max(3.0, min(picture.shape[:2]) / 12))
    for number, prompt in enumerate(segmentation.prompts):
        if prompt.box is not None:
            box = display.box(prompt.box)
            rectangle(picture, box, _DARK, width + 2)
            rectangle(picture, box, palette_colour(number), width)
    for number, prompt in enumerate(segmentation.prompts):
        for place, kind in zip(prompt.points, prompt.labels, strict=True):
            point(picture, display.place(place), radius, palette_colour(number), positive=kind == 1)


def _draw_tags(picture: Pixels, segmentation: Segmentation, display: Display) -> None:
    shortest = min(picture.shape[:2])
    size = round(min(max(display.mean_side / 46, 13), max(shortest / 9, 9)))
    if not len(segmentation.prompts):
        _draw_tag(picture, (size // 2, size // 2), headline(segmentation), size, _DARK)
        return
    most = max(round(display.shown_width * 0.4), 3 * size)
    labelled = len(segmentation.prompts) <= MOST_LABELS
    taken: list[Area] = []
    for number, (prompt, mask) in enumerate(zip(segmentation.prompts, segmentation.masks, strict=True)):
        box = prompt.box or mask.box
        target = display.box(box or (*prompt.points[0], *prompt.points[0]))
        name = f"{number + 1}"
        full = shorten(f"{name} {prompt.label}", size, most, bold=True) if prompt.label and labelled else name
        text, area = _free_tag(dict.fromkeys((full, name)), target, size, taken, picture.shape)
        taken.append(area)
        _draw_tag(picture, area[:2], text, size, palette_colour(number))


def _free_tag(
    texts: Iterable[str], target: Sequence[float], size: int, taken: Sequence[Area], shape: Sequence[int]
) -> tuple[str, Area]:
    """Find where a tag lies in the picture and on no other: above, inside, below; its short form if need be."""
    x1, y1, x2, y2 = target
    text, area = "", (0, 0, 0, 0)
    for text in texts:
        width, height = _tag_size(text, size)
        gap = max(2, size // 6)
        corners = (
            (x1, y1 - height - gap),
            (x2 - width, y1 - height - gap),
            (x1, y2 + gap),
            (x2 - width, y2 + gap),
            (x1 + gap, y1 + gap),
            (x2 - width - gap, y2 - height - gap),
            ((x1 + x2 - width) / 2, (y1 + y2 - height) / 2),
        )
        for left, top in corners:
            x = min(max(round(left), 0), max(shape[1] - width, 0))
            y = min(max(round(top), 0), max(shape[0] - height, 0))
            area = (x, y, x + width, y + height)
            moved = abs(y - top) > height / 2
            if not moved and not any(_meet(area, other) for other in taken):
                return text, area
    return text, area


def _meet(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _tag_size(text: str, size: int) -> tuple[int, int]:
    return text_width(text, size, bold=True) + round(size * 0.7), line_height(size) + max(2, size // 8)


def _draw_tag(picture: Pixels, corner: Sequence[int], text: str, size: int, colour: Colour) -> None:
    x, y = corner
    width, height = _tag_size(text, size)
    panel(picture, (x, y, width, height), round(size * 0.28), colour, rim=_DARK if colour != _DARK else None)
    letters = text_coverage(text, size, bold=True)
    stamp(picture, letters, x + round(size * 0.35), y + (height - letters.shape[0]) // 2, readable_on(colour))
