"""Pictures of no kind that anything is looked for in: screens with text and tables, patterns and noise, cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from fiducial.errors import UnknownNameError

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
_AROUND = 24
"""Pixels about the middle of a cell beyond which nothing of it reaches."""
_SYLLABLES = ("ba", "con", "de", "er", "for", "in", "la", "men", "nor", "per", "re", "sta", "ti", "un", "ver", "zo")


def draw_stranger(style: str, seed: int) -> Pixels:
    """Draw one picture.

    Args:
        style: one of ``STRANGERS``.
        seed: each gives another picture.

    Returns:
        (H, W, 3) uint8 RGB, each side of 64 to 320 pixels.

    Raises:
        UnknownNameError: no such style.

    Example:
        >>> draw_stranger("screens", 3).dtype.name
        'uint8'
    """
    if style not in STRANGERS:
        raise UnknownNameError("style of strangers", style, STRANGERS)
    return _DRAWERS[style](np.random.default_rng([seed, STRANGERS.index(style)]))


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


# -- screens: pages, windows, plots, tables ---------------------------------------------------------------


def _screens(rng: np.random.Generator) -> Pixels:
    width, height = (int(value) for value in rng.integers(300, 900, 2))
    dark = rng.random() < 0.3
    ground, ink = (_colour(rng, 0, 60), _colour(rng, 180)) if dark else (_colour(rng, 225), _colour(rng, 0, 80))
    picture = Pillow.new("RGB", (width, height), ground)
    drawing = ImageDraw.Draw(picture)
    (_page, _windows, _plot, _table)[int(rng.integers(4))](drawing, rng, (width, height), ink)
    scale = 320 / max(width, height)
    if scale < 1:
        picture = picture.resize((round(width * scale), round(height * scale)), Pillow.Resampling.BOX)
    return np.asarray(picture)


def _write(drawing: Any, rng: np.random.Generator, place: tuple[int, int, int], lines: int, ink: Colour) -> None:
    """Write lines of made words; ``place`` is left, top and width in pixels."""
    (left, top, width), size = place, int(rng.integers(9, 20))
    font = ImageFont.load_default(size)
    for line in range(lines):
        count = max(1, int(width / size / 2.6))
        words = ["".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4)))) for _ in range(count)]
        drawing.text((left, top + line * size * 1.4), " ".join(words), fill=ink, font=font)


def _page(drawing: Any, rng: np.random.Generator, size: tuple[int, int], ink: Colour) -> None:
    _write(drawing, rng, (20, 20, size[0] - 40), size[1] // 20, ink)


def _windows(drawing: Any, rng: np.random.Generator, size: tuple[int, int], ink: Colour) -> None:
    for _ in range(int(rng.integers(4, 25))):
        left, top = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        wide, high = int(rng.integers(20, size[0] // 2)), int(rng.integers(12, size[1] // 3))
        fill = _colour(rng) if rng.random() < 0.6 else None
        corner = int(rng.integers(0, min(12, wide // 2, high // 2) + 1))
        drawing.rounded_rectangle([left, top, left + wide, top + high], corner, fill=fill, outline=_colour(rng))
        if rng.random() < 0.7:
            _write(drawing, rng, (left + 4, top + 3, wide), int(rng.integers(1, 4)), _colour(rng))


def _plot(drawing: Any, rng: np.random.Generator, size: tuple[int, int], ink: Colour) -> None:
    width, height = size
    drawing.rectangle([50, 30, width - 30, height - 50], outline=ink)
    across = np.linspace(50, width - 30, 60)
    for _ in range(int(rng.integers(1, 5))):
        down = np.cumsum(rng.normal(0, 8, 60)) + height / 2
        points = [(float(x), float(y)) for x, y in zip(across, down, strict=True)]
        drawing.line(points, fill=_colour(rng), width=int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        for bar in range(12):
            left, step = 60 + bar * (width - 100) / 12, 0.7 * (width - 100) / 12
            drawing.rectangle(
                [left, height - 60 - int(rng.integers(5, height - 120)), left + step, height - 51], fill=_colour(rng)
            )
    _write(drawing, rng, (width // 3, 8, width // 2), 1, ink)
    _write(drawing, rng, (60, height - 40, width - 100), 1, ink)


def _table(drawing: Any, rng: np.random.Generator, size: tuple[int, int], ink: Colour) -> None:
    for top in range(10, size[1] - 20, int(rng.integers(18, 34))):
        for left in range(10, size[0] - 40, 90):
            drawing.rectangle([left, top, left + 90, top + 24], outline=ink)
            drawing.text((left + 4, top + 4), str(int(rng.integers(0, 99999))), fill=ink)


# -- patterns: one colour, noise, ramps, waves, boards -----------------------------------------------------


def _patterns(rng: np.random.Generator) -> Pixels:
    height, width = (int(value) for value in rng.integers(64, 256, 2))
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    white = np.ones(3)

    def ramp() -> NDArray[Any]:
        across, down = columns / width, rows / height
        one, other = np.array(_colour(rng)), np.array(_colour(rng))
        return np.asarray(across[..., None] * one + 0.5 * down[..., None] * other)

    def waves() -> NDArray[Any]:
        phase = columns * rng.uniform(0.05, 1) + rows * rng.uniform(-1, 1)
        return np.asarray((127 + 127 * np.sin(phase))[..., None] * white)

    def clouds() -> NDArray[Any]:
        noise = rng.normal(128, 400, (height, width, 3)).astype(np.float32)
        return cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(2, 9)))

    def board() -> NDArray[Any]:
        side = int(rng.integers(4, 40))
        return np.asarray(((rows // side + columns // side) % 2 * 255)[..., None] * white)

    some: tuple[Callable[[], NDArray[Any]], ...] = (
        lambda: np.full((height, width, 3), _colour(rng)),
        lambda: rng.integers(0, 256, (height, width, 3)),
        lambda: rng.normal(128, 40, (height, width))[..., None] * white,
        ramp,
        clouds,
        waves,
        board,
    )
    return _pixels(some[int(rng.integers(len(some)))]())


# -- cells as a microscope shows them: fluorescent, stained, or grey --------------------------------------


def _cells(rng: np.random.Generator) -> Pixels:
    height, width, look = 200, int(rng.integers(180, 256)), int(rng.integers(3))
    ground: Colour = ((0, 0, 0), _colour(rng, 170, 250), (110, 110, 115))[look]
    stain = (int(rng.integers(60, 180)), int(rng.integers(30, 120)), int(rng.integers(90, 190)))
    ink = np.array(_colour(rng, 60) if look == 0 else stain)
    picture = np.ones((height, width, 3)) * np.array(ground)
    for _ in range(int(rng.integers(10, 150))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = (int(rng.integers(3, 14)), int(rng.integers(3, 14)))
        filled = -1 if rng.random() < 0.8 else 2
        left, top = max(0, x - _AROUND), max(0, y - _AROUND)
        there = picture[top : y + _AROUND, left : x + _AROUND]
        cell = np.zeros(there.shape[:2], np.float32)
        cv2.ellipse(cell, (x - left, y - top), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, filled)
        covered = cv2.GaussianBlur(cell, (0, 0), 1.2)[..., None] * rng.uniform(0.4, 1)
        there[...] = there * (1 - covered) + ink * covered
    return _pixels(picture + rng.normal(0, rng.uniform(1, 10), (height, width, 1)))


def _pixels(values: NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


_DRAWERS: Mapping[str, Callable[[np.random.Generator], Pixels]] = {
    "screens": _screens,
    "patterns": _patterns,
    "cells": _cells,
}
STRANGERS = tuple(_DRAWERS)
"""Styles of strangers."""
