"""The legend under a picture of targets: what was asked, how it ended, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fiducial.geometry import Mask, Prompt
from fiducial.overlays.colours import Colour, palette_colour, readable_on
from fiducial.overlays.drawing import Pixels, panel, point
from fiducial.overlays.text import line_height, shorten, stamp, text_coverage, text_width, wrap

MAX_ROWS = 60
"""So many targets are listed; of more the legend says how many are missing."""

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
    """What a legend says beside its targets.

    Args:
        title: what was asked.
        status: in a few words, how it ended.
        colour: of the status.
        facts: short ones, such as the recipe and the seconds; empty ones are left out.
        text: at the end, in plain words.
    """

    title: str
    status: str
    colour: Colour
    facts: Sequence[str] = ()
    text: str = ""


def legend(caption: Caption, targets: Sequence[Target], width: int, size: int) -> Pixels:
    """Draw a legend (h, width, 3) as high as it needs to be, its letters of a size in pixels."""
    inner = width - 2 * size
    small = max(10, round(size * 0.84))
    blocks = [
        _paragraph(caption.title, round(size * 1.15), inner, _INK, bold=True, max_lines=6),
        _status(caption, inner, size),
    ]
    if targets:
        blocks.append(_list(targets, inner, size, small))
    if any(target.prompt.points for target in targets):
        blocks.append(_point_key(targets, inner, small))
    if caption.text:
        blocks.append(_paragraph(caption.text, small, inner, _GREY, max_lines=12))
    gap = np.full((round(size * 0.7), inner, 3), _PAPER, dtype=np.uint8)
    stack = [piece for block in blocks for piece in (gap, block)]
    return np.pad(np.vstack([*stack, gap]), ((0, 0), (size, size), (0, 0)), constant_values=255)


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), _PAPER, dtype=np.uint8)


def _paragraph(
    text: str, size: int, width: int, colour: Colour, *, bold: bool = False, max_lines: int | None = None
) -> Pixels:
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
        more = _paragraph(f"... and {missing} more: the JSON file lists them all", small, width, _GREY)
        block = np.vstack([block, more])
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
