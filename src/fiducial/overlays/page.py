"""Pictures for people: an image with its targets drawn on it, above a legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fiducial.geometry import Box, Mask, Point, Prompt
from fiducial.images import Image
from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import Pixels, outline, panel, point, rectangle, tint
from fiducial.overlays.text import line_height, shorten, stamp, text_coverage, text_width, wrap

Area = tuple[int, int, int, int]

MIN_PAGE = 480
"""The legend is never narrower than this, in pixels; a narrower picture stands in the middle."""
MAX_LABELS = 20
"""With more targets than this the tags hold numbers only: the legend has the labels."""
MAX_ROWS = 60
"""So many targets are listed in the legend; of more it says how many are missing."""
MAX_SIDE = 4096
"""No side of a shown picture is longer, in pixels."""
MAX_PIXELS = 4_000_000
"""No shown picture has more pixels."""
MIN_SIDE = 640
"""Small pictures are enlarged by a whole factor until their longer side is about this long."""

_TINT = 0.38
_AROUND: Colour = (232, 232, 236)
_DARK: Colour = (20, 20, 24)
_PAPER: Colour = (255, 255, 255)
_INK: Colour = (24, 24, 28)
_GREY: Colour = (98, 98, 106)


@dataclass(frozen=True, slots=True)
class Target:
    """One target of a picture for people: what was asked for, its mask, and its score, if it has one."""

    prompt: Prompt
    mask: Mask
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """What a legend says beside its targets."""

    title: str  # what was asked
    status: str  # in a few words, how it ended
    colour: Colour  # of the status
    facts: Sequence[str] = ()  # short ones, such as the recipe and the seconds; empty ones are left out
    text: str = ""  # at the end, in plain words


@dataclass(frozen=True, slots=True)
class Display:
    """The size of an image and the size at which it is shown, both in pixels."""

    width: int
    height: int
    shown_width: int
    shown_height: int

    @classmethod
    def fit(cls, width: int, height: int) -> Display:
        """Choose the shown size: tiny pictures by a whole factor larger, huge ones smaller, others as they are."""
        longest = max(width, height)
        scale = min(1.0, MAX_SIDE / longest, math.sqrt(MAX_PIXELS / (width * height)))
        if scale == 1.0:
            scale = max(1.0, float(round(MIN_SIDE / longest)))
        return cls(width, height, max(1, int(width * scale)), max(1, int(height * scale)))

    def resize(self, image: Image) -> Pixels:
        """Return the image's pixels at the shown size, a fresh (shown_height, shown_width, 3) array."""
        if (self.shown_width, self.shown_height) == (self.width, self.height):
            return image.pixels.copy()
        size = (self.shown_width, self.shown_height)
        return np.asarray(cv2.resize(image.pixels, size, interpolation=self._interpolation), dtype=np.uint8)

    def coverage(self, mask: Mask) -> tuple[Pixels, int, int]:
        """Return how far shown pixels are covered by a mask.

        Returns:
            (h, w) uint8 in 0..255 around the mask, and the column and row of its corner; no pixels for an
            empty mask. Where a mask would vanish, being smaller than a shown pixel, it keeps one.
        """
        inside, left, top = mask.to_patch()
        if not inside.size:
            return inside.astype(np.uint8), 0, 0
        scale_x, scale_y = self.shown_width / self.width, self.shown_height / self.height
        x, y = math.floor(left * scale_x), math.floor(top * scale_y)
        right = min(max(math.ceil((left + inside.shape[1]) * scale_x), x + 1), self.shown_width)
        bottom = min(max(math.ceil((top + inside.shape[0]) * scale_y), y + 1), self.shown_height)
        dense = inside.astype(np.uint8) * np.uint8(255)
        resized = cv2.resize(dense, (right - x, bottom - y), interpolation=self._interpolation)
        shown = np.asarray(resized, dtype=np.uint8).reshape(bottom - y, right - x)
        if not (shown >= 128).any():
            shown = np.where(shown >= max(1, int(shown.max())), 255, shown).astype(np.uint8)
        return shown, x, y

    def place(self, point: Sequence[float]) -> Point:
        """Convert x, y from pixels of the image to shown pixels."""
        return point[0] * self.shown_width / self.width, point[1] * self.shown_height / self.height

    def box(self, box: Sequence[float]) -> Box:
        """Convert x1, y1, x2, y2 from pixels of the image to shown pixels."""
        return (*self.place(box[:2]), *self.place(box[2:]))

    @property
    def mean_side(self) -> float:
        """Square root of the shown pixels: what strokes and letters are measured by."""
        return math.sqrt(self.shown_width * self.shown_height)

    @property
    def _interpolation(self) -> int:
        # Enlarged pixels stay squares, so that the mask's true edge can be seen.
        return cv2.INTER_NEAREST if self.shown_width > self.width else cv2.INTER_AREA


def draw_page(image: Image, targets: Sequence[Target], caption: Caption) -> Pixels:
    """Draw an image with its targets, at most 4096 pixels a side and 4 megapixels, above a legend: (H, W, 3) RGB.

    Masks are tinted and outlined, boxes framed; a point on the target is a disc with a plus, a point beside it a white
    disc with a red cross; tags carry the target's number and label.
    """
    picture = draw_picture(image, targets, caption.status)
    height, width = picture.shape[:2]
    page_width = max(MIN_PAGE, width)
    reach = math.sqrt(page_width * max(height, page_width // 2))
    size = round(min(max(reach / 58, 15), page_width / 26))
    if width < page_width:
        left = (page_width - width) // 2
        wide = np.full((height, page_width, 3), _AROUND, dtype=np.uint8)
        wide[:, left : left + width] = picture
        picture = wide
    return np.vstack([picture, draw_legend(caption, targets, page_width, size)])


def draw_picture(image: Image, targets: Sequence[Target], status: str) -> Pixels:
    """Draw an image with its targets as :func:`draw_page` does, without a legend; ``status`` where there are none."""
    display = Display.fit(image.width, image.height)
    picture = display.resize(image)
    _draw_masks(picture, targets, display)
    _draw_prompts(picture, targets, display)
    _draw_tags(picture, targets, status, display)
    return picture


def _draw_masks(picture: Pixels, targets: Sequence[Target], display: Display) -> None:
    width = max(2, round(display.mean_side / 450))
    shown = [display.coverage(target.mask) for target in targets]
    # The largest first: a small target inside a large one stays in sight.
    order = sorted(range(len(shown)), key=lambda number: -targets[number].mask.area)
    order = [number for number in order if shown[number][0].size]
    for number in order:
        coverage, x, y = shown[number]
        tint(picture, coverage, x, y, palette_colour(number), _TINT)
    for number in order:
        coverage, x, y = shown[number]
        inside = coverage >= 128
        outline(picture, inside, x, y, _DARK, width + 2)
        outline(picture, inside, x, y, palette_colour(number), width)


def _draw_prompts(picture: Pixels, targets: Sequence[Target], display: Display) -> None:
    width = max(2, round(display.mean_side / 500))
    radius = min(max(5.0, display.mean_side / 110), max(3.0, min(picture.shape[:2]) / 12))
    for number, target in enumerate(targets):
        if target.prompt.box is not None:
            box = display.box(target.prompt.box)
            rectangle(picture, box, _DARK, width + 2)
            rectangle(picture, box, palette_colour(number), width)
    for number, target in enumerate(targets):
        for place, kind in zip(target.prompt.points, target.prompt.labels, strict=True):
            point(picture, display.place(place), radius, palette_colour(number), positive=kind == 1)


def _draw_tags(picture: Pixels, targets: Sequence[Target], status: str, display: Display) -> None:
    shortest = min(picture.shape[:2])
    size = round(min(max(display.mean_side / 46, 13), max(shortest / 9, 9)))
    if not targets:
        _draw_tag(picture, (size // 2, size // 2), status, size, _DARK)
        return
    max_width = max(round(display.shown_width * 0.4), 3 * size)
    taken: list[Area] = []
    for number, target in enumerate(targets):
        prompt, name = target.prompt, str(number + 1)
        box = display.box(prompt.box or target.mask.box or (*prompt.points[0], *prompt.points[0]))
        labelled = prompt.label and len(targets) <= MAX_LABELS
        full = shorten(f"{name} {prompt.label}", size, max_width, bold=True) if labelled else name
        text, area = _free_tag(dict.fromkeys((full, name)), box, size, taken, picture.shape)
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


# -- the legend -----------------------------------------------------------------------------------


def draw_legend(caption: Caption, targets: Sequence[Target], width: int, size: int) -> Pixels:
    """Draw what was asked, how it ended and what was found: (h, width, 3), its letters of a size in pixels."""
    inner = width - 2 * size
    small = max(10, round(size * 0.84))
    blocks = [
        _paragraph(caption.title, round(size * 1.15), inner, _INK, 6, bold=True),
        _status(caption, inner, size),
    ]
    if targets:
        blocks.append(_list(targets, inner, size, small))
    if any(target.prompt.points for target in targets):
        blocks.append(_point_key(targets, inner, small))
    if caption.text:
        blocks.append(_paragraph(caption.text, small, inner, _GREY, 12))
    gap = _blank(round(size * 0.7), inner)
    stack = [piece for block in blocks for piece in (gap, block)]
    return np.pad(np.vstack([*stack, gap]), ((0, 0), (size, size), (0, 0)), constant_values=255)


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _paragraph(text: str, size: int, width: int, colour: Colour, max_lines: int, *, bold: bool = False) -> Pixels:
    lines = wrap(text, size, width, bold=bold, max_lines=max_lines)
    block = _blank(line_height(size) * max(1, len(lines)), width)
    for number, line in enumerate(lines):
        stamp(block, text_coverage(line, size, bold=bold), 0, number * line_height(size), colour)
    return block


def _status(caption: Caption, width: int, size: int) -> Pixels:
    """Draw the status on a coloured pill, then the facts."""
    height = round(line_height(size) * 1.2)
    pill = min(text_width(caption.status, size, bold=True) + size, width)
    details = shorten("  ·  ".join(filter(None, caption.facts)), size, max(0, width - pill - size))
    status = shorten(caption.status, size, pill - size // 2, bold=True)
    block = _blank(height, width)
    panel(block, (0, 0, pill, height), height // 2, caption.colour)
    top = (height - line_height(size)) // 2
    stamp(block, text_coverage(status, size, bold=True), size // 2, top, _PAPER)
    stamp(block, text_coverage(details, size), pill + size, top, _GREY)
    return block


def _list(targets: Sequence[Target], width: int, size: int, small: int) -> Pixels:
    """List the targets in as many columns as there is room for, filled downwards."""
    count = min(len(targets), MAX_ROWS)
    columns = max(1, min(width // (17 * size), 4, count))
    per_column = -(-count // columns)
    cell = width // columns
    rows = [_row(targets[number], number, cell - size // 2, size, small) for number in range(count)]
    height = rows[0].shape[0]
    missing = len(targets) - count
    block = _blank(height * per_column, width)
    for number, row in enumerate(rows):
        column, line = divmod(number, per_column)
        block[line * height : (line + 1) * height, column * cell : column * cell + row.shape[1]] = row
    if missing:
        more = f"... and {missing} more: the JSON file lists them all"
        block = np.vstack([block, _paragraph(more, small, width, _GREY, 2)])
    return block


def _row(target: Target, number: int, width: int, size: int, small: int) -> Pixels:
    """Draw one target: its number on its colour, its label, and below it score and area."""
    block = _blank(line_height(size) + line_height(small) + size // 2, width)
    colour, name = palette_colour(number), str(number + 1)
    top, high = size // 8, round(size * 1.5)
    side = max(high, text_width(name, size, bold=True) + round(size * 0.5))
    panel(block, (0, top, side, high), round(size * 0.28), colour)
    digits = text_coverage(name, size, bold=True)
    x, y = (side - digits.shape[1]) // 2, top + (high - digits.shape[0]) // 2
    stamp(block, digits, x, y, readable_on(colour))
    left = side + size // 2
    stamp(block, text_coverage(shorten(target.prompt.label or "target", size, width - left), size), left, top, _INK)
    facts = _area(target.mask.area, target.mask.height * target.mask.width)
    if target.score is not None:
        facts += f"  ·  score {target.score:.2f}"
    stamp(block, text_coverage(shorten(facts, small, width - left), small), left, line_height(size), _GREY)
    return block


def _area(area: int, total: int) -> str:
    if not area:
        return "empty mask"
    share = 100 * area / total
    return f"{area:,} px ({f'{share:.1f}' if share >= 0.1 else '< 0.1'} %)"


def _point_key(targets: Sequence[Target], width: int, size: int) -> Pixels:
    """Explain the two kinds of points, those that occur."""
    block = _blank(round(line_height(size) * 1.2), width)
    kinds = {kind for target in targets for kind in target.prompt.labels}
    x, middle = 0, block.shape[0] / 2
    for kind, text in ((1, "point on the target"), (0, "point beside it")):
        if kind not in kinds:
            continue
        point(block, (x + size * 0.7, middle), size * 0.42, (128, 128, 136), positive=kind == 1)
        letters = text_coverage(text, size)
        stamp(block, letters, x + round(size * 1.6), (block.shape[0] - letters.shape[0]) // 2, _GREY)
        x += round(size * 3.2) + letters.shape[1]
    return block
