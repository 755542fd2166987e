"""Colours: reading them from what a person writes, and the palette of the targets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fiducial.errors import InputError

Colour = tuple[int, int, int]

NAMED: dict[str, Colour] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "red": (230, 25, 25),
    "orange": (230, 159, 0),
    "yellow": (240, 228, 66),
    "green": (0, 158, 80),
    "cyan": (0, 200, 220),
    "blue": (0, 90, 220),
    "purple": (136, 0, 255),
    "magenta": (230, 0, 230),
    "pink": (255, 136, 153),
    "brown": (136, 80, 30),
}
"""Colours that have a name, sRGB 0..255."""

PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (136, 0, 255),
    (187, 238, 153),
    (136, 17, 0),
    (102, 255, 255),
    (102, 51, 85),
    (238, 17, 85),
    (34, 51, 170),
    (204, 170, 85),
    (136, 119, 255),
    (153, 238, 204),
    (85, 51, 119),
    (68, 102, 51),
    (221, 238, 119),
    (255, 136, 153),
    (136, 85, 136),
    (102, 85, 238),
    (136, 153, 255),
)
"""One colour per target: first the seven of Okabe and Ito, then those furthest from all before, each time
counting normal, protan, deutan and tritan sight (at least 12 apart in CIELAB for any two, in any of them)."""

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_TRIPLE = re.compile(r"(?:rgb\()?\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)?")


def palette_colour(number: int) -> Colour:
    """Return the colour of the target with this number, counted from 0; the palette starts anew at its end."""
    return PALETTE[number % len(PALETTE)]


def parse_colour(colour: str | Sequence[int]) -> Colour:
    """Read a colour as red, green, blue in 0..255.

    Args:
        colour: a name (``"black"``), hex (``"#0af"``, ``"00aaff"``), ``"0,170,255"``, ``"rgb(0, 170, 255)"``,
            or three whole numbers in 0..255.

    Raises:
        InputError: it is none of these.

    Example:
        >>> parse_colour("#0af"), parse_colour("grey")
        ((0, 170, 255), (128, 128, 128))
    """
    if isinstance(colour, str):
        return _parse_text(colour)
    values = tuple(colour)
    whole = all(not isinstance(value, bool) and hasattr(value, "__index__") for value in values)
    if len(values) != 3 or not whole or not all(0 <= value <= 255 for value in values):
        raise InputError(f"a colour needs three whole numbers in 0..255, got {values!r}")
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def readable_on(colour: Colour) -> Colour:
    """Return black or white, whichever reads better on this colour (relative luminance, WCAG 2)."""
    red, green, blue = (_linear(value / 255) for value in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def require_opacity(opacity: float) -> float:
    """Return an opacity, or raise InputError outside 0..1."""
    if not 0 <= opacity <= 1:
        raise InputError(f"an opacity is in 0 (invisible) to 1 (solid), got {opacity}")
    return float(opacity)


def _parse_text(text: str) -> Colour:
    given = text.strip().lower()
    if given in NAMED:
        return NAMED[given]
    triple = _TRIPLE.fullmatch(given)
    if triple:
        return parse_colour([int(value) for value in triple.groups()])
    code = _HEX.fullmatch(given)
    if not code:
        raise InputError(
            f"unknown colour {text!r}: write a hex code such as #00aaff, three numbers such as 0,170,255, "
            f"or one of {', '.join(sorted(NAMED))}"
        )
    digits = code[1] if len(code[1]) == 6 else "".join(digit * 2 for digit in code[1])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
