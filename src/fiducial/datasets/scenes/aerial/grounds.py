"""Grounds: water, grass, bare soil, asphalt and concrete as seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets.scenes.noise import fractal_noise, smooth_noise

Texture = NDArray[np.float32]

_WATERS = ((24, 44, 62), (34, 62, 66), (30, 40, 44), (42, 78, 82), (20, 34, 52), (52, 72, 66))
_GRASSES = ((70, 88, 54), (58, 82, 50), (92, 98, 62), (76, 94, 68), (106, 104, 72))
_SOILS = ((142, 122, 96), (158, 140, 112), (120, 104, 84))
_ASPHALTS = ((104, 104, 102), (88, 90, 92), (124, 122, 118))
_CONCRETES = ((178, 174, 164), (164, 162, 156), (192, 186, 172), (150, 146, 144))


def water(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of water: depth in wide bands, ripples on top.

    Args:
        rng: draws it.
        size: height, width in pixels.
        unit: pixels per step of the drawing; 1 on a picture of 512 x 512.
    """
    depth = fractal_noise(rng, size, 220 * unit, 3)
    ripples = smooth_noise(rng, size, max(1.0, 2.2 * unit)) + 0.7 * smooth_noise(rng, size, 5 * unit)
    glint = np.maximum(ripples - 2.2, 0)
    light = 1 + 0.07 * depth + 0.035 * ripples
    return _tinted(_pick(rng, _WATERS), light, 5.0 * glint)


def grass(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of grass with drier patches."""
    patches = fractal_noise(rng, size, 130 * unit, 5)
    blades = smooth_noise(rng, size, max(1.0, 1.5 * unit))
    ground = _tinted(_pick(rng, _GRASSES), 1 + 0.07 * patches + 0.05 * blades)
    dry = np.clip((fractal_noise(rng, size, 90 * unit, 4) - 0.6) * 0.4, 0, 0.45)[..., None]
    return np.asarray(ground * (1 - dry) + dry * _tinted(_pick(rng, _SOILS), 1 + 0.06 * blades))


def soil(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of bare ground with tracks of use."""
    patches = fractal_noise(rng, size, 80 * unit, 5)
    return _tinted(_pick(rng, _SOILS), 1 + 0.08 * patches + 0.03 * smooth_noise(rng, size, max(1.0, 1.4 * unit)))


def asphalt(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of asphalt, with stains and patches of repair."""
    stains = fractal_noise(rng, size, 60 * unit, 5)
    return _tinted(_pick(rng, _ASPHALTS), 1 + 0.045 * stains + 0.03 * smooth_noise(rng, size, max(1.0, 1.2 * unit)))


def concrete(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of concrete slabs, each a little lighter or darker than the next."""
    slab = max(4, round(22 * unit))
    rows, columns = (extent // slab + 2 for extent in size)
    tones = np.repeat(np.repeat(rng.normal(0, 0.018, (rows, columns)), slab, axis=0), slab, axis=1)
    tones = tones[: size[0], : size[1]].astype(np.float32)
    joints = np.zeros(size, dtype=np.float32)
    joints[::slab] = joints[:, ::slab] = 0.045
    stains = fractal_noise(rng, size, 100 * unit, 5)
    return _tinted(_pick(rng, _CONCRETES), 1 + tones - joints + 0.035 * stains)


def _pick(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> NDArray[np.float32]:
    base = np.array(colours[int(rng.integers(len(colours)))], dtype=np.float32)
    return np.asarray(base * rng.uniform(0.9, 1.1) + rng.uniform(-4, 4, 3), dtype=np.float32)


def _tinted(base: NDArray[np.float32], light: NDArray[Any], more: NDArray[Any] | float = 0.0) -> Texture:
    return np.asarray(base * light[..., None] + np.asarray(more, dtype=np.float32)[..., None], dtype=np.float32)
