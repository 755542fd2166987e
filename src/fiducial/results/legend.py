"""The legend under an overlay: what was asked, how it ended, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiducial.language import Outcome
from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import point
from fiducial.overlays.text import line_height, shorten, stamp, text_coverage, text_width, wrap

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

Pixels = NDArray[np.uint8]

MOST_ROWS = 60
"""So many targets are listed; of more the legend says how many are missing."""

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (24, 24, 28)
_GREY: Colour = (98, 98, 106)
_STATUS: dict[Outcome, Colour] = {
    Outcome.FOUND: (0, 112, 74),
    Outcome.NO_TARGET: (84, 84, 96),
    Outcome.MALFORMED: (176, 84, 0),
    Outcome.TRUNCATED: (176, 84, 0),
    Outcome.FAILED: (178, 24, 32),
}


def legend(segmentation: Segmentation, width: int, size: int) -> Pixels:
    """Draw the legend.

    Args:
        segmentation: the result.
        width: of the legend in pixels.
        size: of its letters in pixels.

    Returns:
        (h, width, 3) uint8 RGB, as high as it needs to be.
    """
    inner = width - 2 * size
    small = max(10, round(size * 0.84))
    blocks = [
        _paragraph(_title(segmentation), round(size * 1.15), inner, _INK, bold=True, most=6),
        _status(segmentation, inner, size),
    ]
    if len(segmentation.prompts):
        blocks.append(_targets(segmentation, inner, size, small))
    if any(prompt.points for prompt in segmentation.prompts):
        blocks.append(_point_key(segmentation, inner, small))
    if segmentation.text:
        blocks.append(_paragraph(segmentation.text, small, inner, _GREY, most=12))
    gap = np.full((round(size * 0.7), inner, 3), _PAPER, dtype=np.uint8)
    stack = [piece for block in blocks for piece in (gap, block)]
    return np.pad(np.vstack([*stack, gap]), ((0, 0), (size, size), (0, 0)), constant_values=255)


def headline(segmentation: Segmentation) -> str:
    """Say in a few words how it ended."""
    count = len(segmentation.prompts)
    found = f"{count} target{'' if count == 1 else 's'}"
    match segmentation.outcome:
        case Outcome.FOUND:
            return found
        case Outcome.NO_TARGET:
            return "no target"
        case Outcome.TRUNCATED:
            return f"reply broke off, {found}"
        case Outcome.MALFORMED:
            return "reply not readable"
        case Outcome.FAILED:
            return "no reply"


def panel(pixels: Pixels, area: Sequence[int], radius: int, colour: Colour, rim: Colour | None = None) -> None:
    """Fill a rectangle with round corners, in place; with a rim one pixel wide around it, if asked.

    Args:
        pixels: (H, W, 3) uint8.
        area: x, y, width, height in pixels.
        radius: of the corners in pixels.
        colour: of the inside.
        rim: colour of the rim, which lies outside the area.
    """
    x, y, width, height = area
    if rim is not None:
        panel(pixels, (x - 1, y - 1, width + 2, height + 2), radius + 1, rim)
    radius = max(0, min(radius, width // 2, height // 2))
    # How far each pixel's centre lies beyond the straight part of its side, along x and along y.
    across = _beyond(width, radius)[None, :]
    down = _beyond(height, radius)[:, None]
    ink = np.clip(radius + 0.5 - np.hypot(across, down), 0.0, 1.0)
    stamp(pixels, np.rint(ink * 255).astype(np.uint8), x, y, colour)


def _beyond(length: int, radius: int) -> NDArray[np.float64]:
    centres = np.arange(length) + 0.5
    return np.asarray(np.maximum(np.maximum(radius - centres, centres - (length - radius)), 0.0))


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _paragraph(
    text: str, size: int, width: int, colour: Colour, *, bold: bool = False, most: int | None = None
) -> Pixels:
    lines = wrap(text, size, width, bold=bold, most=most)
    block = _blank(line_height(size) * max(1, len(lines)), width)
    for number, line in enumerate(lines):
        stamp(block, text_coverage(line, size, bold=bold), 0, number * line_height(size), colour)
    return block


def _title(segmentation: Segmentation) -> str:
    """Return the instruction in quotation marks, or what stands for one that nobody gave."""
    return f'"{segmentation.instruction}"' if segmentation.instruction else "masks from given coordinates"


def _status(segmentation: Segmentation, width: int, size: int) -> Pixels:
    """Draw the outcome on a coloured pill, then recipe, time and the image's size."""
    colour = _STATUS[segmentation.outcome]
    text = headline(segmentation)
    height = round(line_height(size) * 1.2)
    pill = min(text_width(text, size, bold=True) + size, width)
    image, total = segmentation.image, segmentation.seconds.get("total")
    facts = [segmentation.recipe, "" if total is None else f"{total:.2f} s", f"{image.width} x {image.height} px"]
    details = shorten("  ·  ".join(fact for fact in facts if fact), size, max(0, width - pill - size))
    block = _blank(height, width)
    panel(block, (0, 0, pill, height), height // 2, colour)
    top = (height - line_height(size)) // 2
    stamp(
        block, text_coverage(shorten(text, size, pill - size // 2, bold=True), size, bold=True), size // 2, top, _PAPER
    )
    stamp(block, text_coverage(details, size), pill + size, top, _GREY)
    return block


def _targets(segmentation: Segmentation, width: int, size: int, small: int) -> Pixels:
    """List the targets in as many columns as there is room for, filled downwards."""
    count = min(len(segmentation.prompts), MOST_ROWS)
    columns = max(1, min(width // (17 * size), 4, count))
    per_column = -(-count // columns)
    cell = width // columns
    rows = [_target(segmentation, number, cell - size // 2, size, small) for number in range(count)]
    height = rows[0].shape[0]
    missing = len(segmentation.prompts) - count
    block = _blank(height * per_column, width)
    for number, row in enumerate(rows):
        column, line = divmod(number, per_column)
        block[line * height : (line + 1) * height, column * cell : column * cell + row.shape[1]] = row
    if missing:
        more = _paragraph(f"... and {missing} more: the JSON file lists them all", small, width, _GREY)
        block = np.vstack([block, more])
    return block


def _target(segmentation: Segmentation, number: int, width: int, size: int, small: int) -> Pixels:
    """Draw one target: its number on its colour, its label, and below it score and area."""
    prompt, mask, score = segmentation.prompts[number], segmentation.masks[number], segmentation.scores[number]
    height = line_height(size) + line_height(small) + size // 2
    block = _blank(height, width)
    colour, name = palette_colour(number), str(number + 1)
    side = max(round(size * 1.5), text_width(name, size, bold=True) + round(size * 0.5))
    panel(block, (0, size // 8, side, round(size * 1.5)), round(size * 0.28), colour)
    digits = text_coverage(name, size, bold=True)
    stamp(block, digits, (side - digits.shape[1]) // 2, size // 8 + (round(size * 1.5) - digits.shape[0]) // 2,
          readable_on(colour))  # fmt: skip
    left = side + size // 2
    label = shorten(prompt.label or "target", size, width - left)
    stamp(block, text_coverage(label, size), left, size // 8, _INK)
    facts = [_area(mask.area, mask.height * mask.width)] + ([] if score is None else [f"score {score:.2f}"])
    stamp(
        block, text_coverage(shorten("  ·  ".join(facts), small, width - left), small), left, line_height(size), _GREY
    )
    return block


def _area(area: int, total: int) -> str:
    if not area:
        return "empty mask"
    share = 100 * area / total
    return f"{area:,} px ({f'{share:.1f}' if share >= 0.1 else '< 0.1'} %)"


def _point_key(segmentation: Segmentation, width: int, size: int) -> Pixels:
    """Explain the two kinds of points, those that occur."""
    block = _blank(round(line_height(size) * 1.2), width)
    kinds = {kind for prompt in segmentation.prompts for kind in prompt.labels}
    x, middle = 0, block.shape[0] / 2
    for kind, text in ((1, "point on the target"), (0, "point beside it")):
        if kind not in kinds:
            continue
        point(block, (x + size * 0.7, middle), size * 0.42, (128, 128, 136), positive=kind == 1)
        letters = text_coverage(text, size)
        stamp(block, letters, x + round(size * 1.6), (block.shape[0] - letters.shape[0]) // 2, _GREY)
        x += round(size * 3.2) + letters.shape[1]
    return block
