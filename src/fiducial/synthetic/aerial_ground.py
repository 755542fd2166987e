"""Grounds and surroundings from above: water, grass, roads, houses, trees, and the harbors and bridges among them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.synthetic.aerial_site import Site
from fiducial.synthetic.canvas import NOBODY
from fiducial.synthetic.drawing import Points, Pose, band, blob, fractal_noise, rectangle, smooth_noise

Texture = NDArray[np.float32]

_WATERS = ((24, 44, 62), (34, 62, 66), (30, 40, 44), (42, 78, 82), (20, 34, 52), (52, 72, 66))
_GRASSES = ((70, 88, 54), (58, 82, 50), (92, 98, 62), (76, 94, 68), (106, 104, 72))
_SOILS = ((142, 122, 96), (158, 140, 112), (120, 104, 84))
_ASPHALTS = ((104, 104, 102), (88, 90, 92), (124, 122, 118))
_CONCRETES = ((178, 174, 164), (164, 162, 156), (192, 186, 172), (150, 146, 144))


def water(rng: np.random.Generator, size: tuple[int, int], unit: float) -> Texture:
    """Return an (H, W, 3) texture of water: depth in wide bands, ripples on top; ``unit`` is that of the site."""
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


ROOFS = ((188, 186, 182), (150, 148, 146), (206, 204, 200), (132, 96, 82), (112, 112, 116), (164, 150, 132))
LEAVES = ((58, 78, 50), (66, 88, 54), (52, 72, 48), (78, 92, 60))
BOATS = ((236, 236, 234), (220, 222, 224), (200, 206, 214), (170, 60, 52), (60, 90, 140))
ROAD = (112, 112, 110)


def draw_building(site: Site, pose: Pose, width: float, depth: float) -> None:
    """Draw a flat-roofed building of a size in pixels, with things on its roof."""
    walls = pose.place(rectangle(width, depth))
    site.shadow([walls], float(site.rng.uniform(5, 14)) * site.unit, 0.55)
    roof = site.pick(ROOFS)
    site.cover_up(walls, roof)
    site.line(walls, max(0.8, 1.5 * site.unit), np.minimum(roof * 1.15, 255), closed=True, opacity=0.7)
    for _ in range(int(site.rng.integers(1, 7))):
        x, y = site.rng.uniform(-0.4, 0.4, 2) * (width, depth)
        w, d = site.rng.uniform(0.03, 0.12, 2) * (width, depth)
        box = pose.place(rectangle(float(w), float(d), float(x), float(y)))
        site.shadow([box], 2 * site.unit, 0.4)
        site.cover_up(box, roof * float(site.rng.uniform(0.75, 1.15)))


def draw_house(site: Site, pose: Pose, width: float) -> None:
    """Draw a house with a pitched roof: one slope in the light, one in the shade."""
    depth = width * float(site.rng.uniform(0.6, 0.9))
    site.shadow([pose.place(rectangle(width, depth))], 5 * site.unit, 0.5)
    roof = site.pick(ROOFS[1:])
    dark = math.sin(site.sun - pose.angle) > 0
    site.cover_up(pose.place(rectangle(width, depth / 2, 0, -depth / 4)), roof * (1.1 if dark else 0.75))
    site.cover_up(pose.place(rectangle(width, depth / 2, 0, depth / 4)), roof * (0.75 if dark else 1.1))


def draw_tree(site: Site, spot: tuple[float, float], radius: float) -> None:
    """Draw one tree as lumps of leaves, lighter towards the sun."""
    pose = Pose(*spot, site.angle(), radius)
    crown = pose.place(blob(site.rng, 0.25, 24, 7))
    site.shadow([crown], radius * 0.7, 0.38)
    leaf = site.pick(LEAVES)
    site.cover_up(crown, leaf)
    off = np.array([math.cos(site.sun), math.sin(site.sun)]) * radius
    for share, light in ((0.2, 1.18), (0.38, 1.36)):
        lump = Pose(spot[0] - off[0] * share, spot[1] - off[1] * share, site.angle(), radius * (0.75 - share))
        site.cover_up(lump.place(blob(site.rng, 0.3, 20, 7)), leaf * light)
    for _ in range(5):
        dx, dy = site.rng.uniform(-0.6, 0.6, 2) * radius
        speck = Pose(spot[0] + dx, spot[1] + dy, site.angle(), radius * 0.2)
        site.cover_up(speck.place(blob(site.rng, 0.3, 10, 4)), leaf * float(site.rng.uniform(0.7, 1.3)))


def plant_wood(site: Site, ground: NDArray[np.bool_], count: int) -> None:
    """Plant trees close together where there is ground, whatever room is taken."""
    for _ in range(count):
        x, y = site.rng.uniform((0, 0), (site.width, site.height)).tolist()
        radius = float(site.rng.uniform(4, 9)) * site.unit
        reach = round(radius)
        corners = [(y + dy, x + dx) for dy in (-reach, reach) for dx in (-reach, reach)]
        if all(0 <= v < site.height and 0 <= u < site.width and ground[int(v), int(u)] for v, u in corners):
            draw_tree(site, (x, y), radius)


def plant_trees(site: Site, count: int, low: float = 5.0, high: float = 11.0) -> None:
    """Plant trees where there is room, alone and in groups."""
    while count > 0:
        radius = float(site.rng.uniform(low, high)) * site.unit
        spot = site.places.find(radius, overlap=0.1, tries=12)
        group = int(site.rng.choice([1, 1, 2, 4, 9]))
        count -= group
        for _ in range(group if spot is not None else 0):
            draw_tree(site, spot or (0.0, 0.0), radius)
            x, y = np.add(spot or (0.0, 0.0), site.rng.normal(0, 1.6 * radius, 2)).tolist()
            radius = float(site.rng.uniform(low, high)) * site.unit
            if not site.places.is_free(x, y, radius, 0.5):
                break
            spot = (x, y)
            site.places.take(x, y, radius)


def draw_road(site: Site, line: Points, width: float, *, marked: bool = True) -> None:
    """Draw a road of a width in pixels along a line, and take its room."""
    site.fill(band(line, width * 1.16), (150, 146, 138), opacity=0.8)
    tone = np.array(ROAD, dtype=np.float64) * site.rng.uniform(0.85, 1.15)
    site.fill(band(line, width), tone)
    if marked:
        for dash in dashed(line, 5 * site.unit):
            site.line(dash, max(0.7, width * 0.04), (224, 222, 210), opacity=0.75)
        for side in (-1, 1):
            edge = band(line, width * 0.88)
            half = edge[: len(line)] if side > 0 else edge[len(line) :]
            site.line(half, max(0.6, width * 0.03), (214, 212, 204), opacity=0.5)
    for start, end in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
        site.places.take_line((start[0], start[1]), (end[0], end[1]), width * 0.62)


def dashed(line: Points, length: float) -> list[Points]:
    """Cut a line into dashes of a length in pixels, with gaps as long."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    starts = np.arange(0, steps[-1], 2 * length)
    at = np.stack([starts, np.minimum(starts + length, steps[-1])], axis=1)
    x, y = (np.interp(at, steps, line[:, axis]) for axis in (0, 1))
    return [np.stack([x[k], y[k]], axis=1) for k in range(len(starts))]


def curve(start: tuple[float, float], end: tuple[float, float], sway: float, steps: int = 40) -> Points:
    """Return a gently swinging line between two points; ``sway`` is in pixels."""
    t = np.linspace(0, 1, steps)[:, None]
    a, b = np.array(start), np.array(end)
    across = np.array([-(b - a)[1], (b - a)[0]]) / max(float(np.linalg.norm(b - a)), 1e-9)
    return np.asarray(a + (b - a) * t + across * sway * np.sin(t * math.pi * 1.6))


def lay_shore(site: Site, land: Texture, level: float, angle: float) -> NDArray[np.bool_]:
    """Lay land of a texture over one side of the water, with a pale rim; return where it is, (H, W) bool.

    The shore lies ``level`` pixels from the picture's centre towards the land, which lies at ``angle`` in radians.
    """
    y, x = np.mgrid[: site.height, : site.width].astype(np.float32)
    inland = (x - site.width / 2) * math.cos(angle) + (y - site.height / 2) * math.sin(angle) - level
    inland += 26 * site.unit * fractal_noise(site.rng, site.canvas.size, 160 * site.unit, 5)
    rim = np.clip(1 - np.abs(inland) / (6 * site.unit), 0, 1)[..., None]
    solid = np.clip(inland / 2 + 0.5, 0, 1)[..., None]
    pixels = site.canvas.pixels * (1 - solid) + land * solid
    sand = np.array((176, 164, 136), dtype=np.float32)
    site.canvas.pixels = np.asarray(pixels * (1 - 0.6 * rim) + sand * 0.6 * rim, dtype=np.float32)
    return np.asarray(inland > 0)


def draw_harbor(site: Site, pose: Pose, fingers: int) -> None:
    """Draw a pier with berths and boats, ``fingers`` on each side; its scale is its length in pixels.

    It starts at (0, 0) and runs along x.
    """
    thing = site.canvas.new_thing("harbor", {"angle": pose.angle, "length": pose.scale})
    deck = rectangle(1.0, 0.035, 0.5)
    wood = site.pick(((186, 180, 168), (164, 156, 144), (200, 196, 188)))
    site.shadow([pose.place(deck)], 2 * site.unit, 0.4)
    for x in np.linspace(0.1, 0.97, fingers):
        for side in (-1, 1):
            finger = rectangle(0.012, 0.12, float(x), side * 0.06)
            site.fill(pose.place(finger), wood * 0.96, thing)
            if site.rng.random() < 0.85:
                _draw_boat(site, pose, float(x) + 0.32 / fingers, side, 0.42 / fingers, thing)
    site.fill(pose.place(deck), wood, thing)


def _draw_boat(site: Site, pose: Pose, x: float, side: int, beam: float, thing: int) -> None:
    long = float(site.rng.uniform(0.085, 0.125))
    stern, bow, left, right = side * 0.022, side * (0.022 + long), x - beam / 2, x + beam / 2
    hull = [(left, stern), (right, stern), (right, bow * 0.75), (x, bow), (left, bow * 0.75)]
    paint = site.pick(BOATS)
    site.fill(pose.place(hull), paint, thing)
    cabin = rectangle(beam * 0.5, long * 0.3, x, side * (0.022 + long * 0.4))
    site.fill(pose.place(cabin), paint * 0.6, opacity=0.8)


def draw_bridge(site: Site, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
    """Draw a bridge between two banks, its shadow on the water, its road and railings; width in pixels."""
    line = np.array([start, end])
    deck = band(line, width)
    site.shadow([deck], 5 * site.unit, 0.5)
    thing = site.canvas.new_thing("bridge", {"length": math.dist(start, end), "width": width})
    site.fill(deck, site.pick(((176, 172, 164), (150, 148, 146), (196, 190, 180))), thing)
    site.fill(band(line, width * 0.74), site.pick(((112, 112, 112), (132, 130, 126))))
    for dash in dashed(line, 5 * site.unit):
        site.line(dash, max(0.7, width * 0.05), (226, 224, 212), opacity=0.8)


def draw_clouds(site: Site) -> None:
    """Lay thin clouds over part of the picture; owners stay, since things shine through."""
    field = fractal_noise(site.rng, site.canvas.size, 200 * site.unit, 5)
    veil = np.clip((field - 1.1) * 0.5, 0, 0.55)[..., None]
    site.canvas.pixels = np.asarray(site.canvas.pixels * (1 - veil) + 232 * veil, dtype=np.float32)


def hide_under(site: Site, outline: Points, texture: Texture) -> None:
    """Paint ground over an outline, with a soft edge, and take it from its owners."""
    window, alpha = site.canvas.cover(outline)
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.6, 1.5 * site.unit)), dtype=np.float32)
    site.canvas.paint((window, soft), texture, NOBODY)
