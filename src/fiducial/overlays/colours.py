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

_PALETTE = (
    "56b4e9 e69f00 009e73 cc79a7 f0e442 d55e00 0072b2 8800ff bbee99 881100 66ffff 663355 "
    "ee1155 2233aa ccaa55 8877ff 99eecc 553377 446633 ddee77 ff8899 885588 6655ee 8899ff"
)
PALETTE: tuple[Colour, ...] = tuple((code[0], code[1], code[2]) for code in map(bytes.fromhex, _PALETTE.split()))
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
    values = _numbers_of(colour) if isinstance(colour, str) else tuple(colour)
    whole = all(not isinstance(value, bool) and hasattr(value, "__index__") for value in values)
    if len(values) != 3 or not whole or not all(0 <= value <= 255 for value in values):
        raise InputError(f"a colour needs three whole numbers in 0..255, got {values!r}")
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def readable_on(colour: Colour) -> Colour:
    """Return black or white, whichever reads better on this colour (relative luminance, WCAG 2)."""
    parts = [value / 255 for value in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def _numbers_of(text: str) -> tuple[int, ...]:
    given = text.strip().lower()
    if given in NAMED:
        return NAMED[given]
    if triple := _TRIPLE.fullmatch(given):
        return tuple(map(int, triple.groups()))
    code = _HEX.fullmatch(given)
    if not code:
        raise InputError(
            f"unknown colour {text!r}: write a hex code such as #00aaff, three numbers such as 0,170,255, "
            f"or one of {', '.join(sorted(NAMED))}"
        )
    return tuple(bytes.fromhex(code[1] if len(code[1]) == 6 else "".join(digit * 2 for digit in code[1])))
