"""Text as coverage: small grey arrays that are stamped onto pixels in any colour.

Two typefaces are drawn, never one of the system's, so that pictures are the same everywhere: Pillow's for ASCII, and
OpenCV's for other letters. OpenCV has one from version 5 on; with an older one such letters lose their accents or
become question marks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Coverage = NDArray[np.uint8]

_PLAIN = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "−": "-", "×": "x"})
_NO_SUCH_GLYPH = "\uffff"


def line_height(size: int) -> int:
    """Height in pixels of a line of text of this size."""
    return round(size * 1.36)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Width in pixels of one line of text."""
    shown = plain(text)
    if not shown:
        return 0
    if _in_pillow(shown):
        return int(np.ceil(_pillow_font(size).getlength(shown))) + (2 * _stroke(size) if bold else 0)
    import cv2

    _, _, width, _ = cv2.getTextSize((0, 0), shown, (0, 0), _opencv_face(), size, _weight(bold))
    return int(width) + 2


def text_coverage(text: str, size: int, *, bold: bool = False) -> Coverage:
    """Draw one line of text; line breaks count as spaces.

    Returns:
        (line_height(size), text_width(text, size)) uint8, 0 where no ink is, 255 in full ink.
    """
    shown = plain(text)
    height, width = line_height(size), max(1, text_width(text, size, bold=bold))
    baseline = round(size * 1.02)
    if _in_pillow(shown):
        import PIL.Image
        import PIL.ImageDraw

        picture = PIL.Image.new("L", (width, height), 0)
        stroke = _stroke(size) if bold else 0
        draw = PIL.ImageDraw.Draw(picture)
        font = _pillow_font(size)
        # A stroke's whole radius would be too heavy: bold is the text drawn twice, a little apart.
        for shift in range(stroke + 1):
            draw.text((shift, baseline), shown, fill=255, font=font, anchor="ls")
        return np.array(picture, dtype=np.uint8)
    import cv2

    array = np.zeros((height, width), dtype=np.uint8)
    cv2.putText(array, shown, (0, baseline), (255,), _opencv_face(), size, _weight(bold))
    return array


def stamp(pixels: NDArray[np.uint8], coverage: Coverage, x: int, y: int, colour: Sequence[int]) -> None:
    """Lay a coverage onto (H, W, 3) pixels, in place; its corner (x, y) may lie outside."""
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + coverage.shape[0], pixels.shape[0]), min(x + coverage.shape[1], pixels.shape[1])
    if top >= bottom or left >= right:
        return
    part = coverage[top - y : bottom - y, left - x : right - x, None].astype(np.uint32)
    under = pixels[top:bottom, left:right]
    mixed = part * np.asarray(colour, dtype=np.uint32) + (255 - part) * under
    under[...] = (mixed + 127) // 255


def wrap(text: str, size: int, width: int, *, bold: bool = False, max_lines: int | None = None) -> list[str]:
    """Break a text into lines no wider than ``width`` pixels, at spaces where there are some.

    Of more than ``max_lines`` the rest is cut off; the last line then ends with three dots.
    """
    lines: list[str] = []
    current = ""
    for word in plain(text).split():
        tried = f"{current} {word}" if current else word
        if text_width(tried, size, bold=bold) <= width:
            current = tried
            continue
        if current:
            lines.append(current)
        *whole, current = _break(word, size, width, bold)
        lines += whole
        if max_lines is not None and len(lines) > max_lines:
            break
    if current:
        lines.append(current)
    if max_lines is not None and len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = shorten(lines[-1] + "...", size, width, bold=bold)
    return lines


def shorten(text: str, size: int, width: int, *, bold: bool = False) -> str:
    """Cut a text to one line no wider than ``width``; three dots say that something is missing."""
    shown = plain(text)
    if text_width(shown, size, bold=bold) <= width:
        return shown
    kept = shown.rstrip(". ")
    count = _longest(kept, size, width, bold, ending="...")
    return kept[:count].rstrip() + "..."


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Return the text as it will be drawn: on one line, quotes and dashes in their ASCII form."""
    spaced = "".join(" " if unicodedata.category(letter) in ("Cc", "Zs", "Zl", "Zp") else letter for letter in text)
    readable = "".join(letter for letter in spaced.translate(_PLAIN) if unicodedata.category(letter) != "Cs")
    if _in_pillow(readable) or _opencv_face() is not None:
        return readable
    bare = unicodedata.normalize("NFKD", readable)
    return "".join(letter if _glyph_in_pillow(letter) else "?" for letter in bare if not unicodedata.combining(letter))


def _break(word: str, size: int, width: int, bold: bool) -> list[str]:
    pieces = []
    while text_width(word, size, bold=bold) > width:
        count = max(1, _longest(word, size, width, bold))
        pieces.append(word[:count])
        word = word[count:]
    return [*pieces, word]


def _longest(text: str, size: int, width: int, bold: bool, ending: str = "") -> int:
    """Count the letters of the longest beginning that fits, by halving."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle] + ending, size, bold=bold) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _stroke(size: int) -> int:
    return max(1, round(size / 22))


def _weight(bold: bool) -> int:
    return 600 if bold else 400


def _in_pillow(text: str) -> bool:
    return text.isascii() or all(map(_glyph_in_pillow, text))


@lru_cache(maxsize=4096)
def _glyph_in_pillow(letter: str) -> bool:
    font = _pillow_font(20)
    return letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask(_NO_SUCH_GLYPH))


@lru_cache(maxsize=64)
def _pillow_font(size: int) -> Any:
    import PIL.ImageFont

    return PIL.ImageFont.load_default(size)


@lru_cache(maxsize=1)
def _opencv_face() -> Any:
    import cv2

    face = getattr(cv2, "FontFace", None)
    return None if face is None else face("sans")
