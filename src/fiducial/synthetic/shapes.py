"""Shapes: discs, squares, stars and bars in the eleven basic colours, with textures, clutter and occlusion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.synthetic.canvas import NOBODY, Canvas, Scene, scene_of
from fiducial.synthetic.drawing import (
    Places,
    Points,
    Pose,
    cross,
    ellipse,
    fractal_noise,
    polygon,
    rectangle,
    smooth_noise,
    star,
)

PAINTS = {
    "black": (26, 26, 28),
    "white": (246, 246, 244),
    "grey": (132, 132, 132),
    "red": (206, 28, 34),
    "orange": (248, 140, 22),
    "yellow": (246, 222, 40),
    "green": (38, 152, 60),
    "blue": (34, 78, 204),
    "purple": (126, 44, 164),
    "pink": (246, 152, 192),
    "brown": (112, 64, 32),
}
"""RGB of each basic colour term, well inside what people call so."""
TEXTURES = ("plain", "striped", "dotted", "noisy")
SIZES = {"small": (0.045, 0.06), "medium": (0.08, 0.1), "large": (0.13, 0.165)}
"""Radius as a share of the picture's shorter side."""
_GROUNDS = ((196, 190, 178), (168, 182, 190), (214, 212, 206), (92, 98, 106), (64, 66, 74), (150, 160, 146))
_OUTLINES: dict[str, Callable[[], Points]] = {
    "disc": lambda: ellipse(2, 2),
    "square": lambda: rectangle(1.7, 1.7),
    "triangle": lambda: polygon(3),
    "star": lambda: star(),
    "ring": lambda: ellipse(2, 2),
    "bar": lambda: rectangle(2.2, 0.5),
    "cross": lambda: cross(),
    "hexagon": lambda: polygon(6),
}
KINDS = tuple(_OUTLINES)


def draw_shapes(rng: np.random.Generator, size: tuple[int, int], name: str) -> Scene | None:
    """Draw one scene of shapes of height, width in pixels; None when a thing came out too much hidden."""
    canvas = Canvas(*size)
    short = min(size)
    ground = np.array(_GROUNDS[int(rng.integers(len(_GROUNDS)))], dtype=np.float32)
    rough = float(rng.choice([1.0, 4.0, 8.0]))
    canvas.pixels[...] = ground + rough * fractal_noise(rng, canvas.size, canvas.width / 3)[..., None]
    _add_clutter(canvas, rng, round(float(rng.uniform(0, 14))))
    kinds = [KINDS[int(k)] for k in rng.choice(len(KINDS), size=int(rng.integers(1, 4)), replace=False)]
    colours = _contrasting(ground, rng, int(rng.integers(2, 5)))
    places = Places(*size, rng)
    overlap = float(rng.choice([0.0, 0.0, 0.25]))
    sizes = list(SIZES)
    for _ in range(int(rng.integers(3, 11))):
        size_name = sizes[int(rng.integers(len(sizes)))]
        radius = float(rng.uniform(*SIZES[size_name])) * short
        spot = places.find(radius * 1.08, overlap=overlap)
        if spot is not None:
            traits: dict[str, Any] = {
                "kind": kinds[int(rng.integers(len(kinds)))],
                "colour": colours[int(rng.integers(len(colours)))],
                "texture": TEXTURES[int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))],
                "size": size_name,
                "angle": float(rng.uniform(0, 2 * math.pi)),
            }
            _draw_shape(canvas, Pose(*spot, traits["angle"], radius), traits, rng)
    if rng.random() < 0.4:
        _add_occluders(canvas, rng)
    canvas.pixels = np.asarray(cv2.GaussianBlur(canvas.pixels, (0, 0), 0.5), dtype=np.float32)
    canvas.pixels += rng.standard_normal((*size, 1), dtype=np.float32) * np.float32(rng.uniform(0, 5))
    return scene_of(canvas, name, colours=True, vocabulary=KINDS)


def _draw_shape(canvas: Canvas, pose: Pose, traits: dict[str, Any], rng: np.random.Generator) -> None:
    kind, colour, texture = str(traits["kind"]), str(traits["colour"]), str(traits["texture"])
    thing = canvas.new_thing(kind, {key: value for key, value in traits.items() if key != "kind"})
    outline = pose.place(_OUTLINES[kind]())
    covered = canvas.cover(outline)
    if kind == "ring":
        hole = canvas.cover(pose.place(ellipse(1.05, 1.05)))
        full = np.zeros(canvas.size, dtype=np.float32)
        full[hole[0]] = hole[1]
        covered = covered[0], covered[1] * (1 - full[covered[0]])
    ink = np.array(PAINTS[colour], dtype=np.float32) + rng.uniform(-6, 6, 3).astype(np.float32)
    canvas.paint(covered, _texture(canvas.size, ink, texture, pose, rng), thing)
    # a thin rim keeps two things of one colour apart where they overlap
    canvas.shade(canvas.stroke(outline, max(0.8, canvas.width / 300), closed=True), 0.72)


def _texture(
    size: tuple[int, int], ink: NDArray[np.float32], texture: str, pose: Pose, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a texture of one colour: darker (or, for black, lighter) shades of it, so that its name stays."""
    step = 14.0 if ink.mean() < 60 else -0.16 * float(ink.mean())
    flat = np.broadcast_to(ink, (*size, 3))
    if texture == "plain":
        return flat
    if texture == "noisy":
        return np.asarray(flat + step * 0.5 * smooth_noise(rng, size, 2.0)[..., None])
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    period = max(4.0, pose.scale / 2.5)
    u = (x - pose.x) * math.cos(pose.angle) + (y - pose.y) * math.sin(pose.angle)
    v = (y - pose.y) * math.cos(pose.angle) - (x - pose.x) * math.sin(pose.angle)
    wave = np.sin(2 * math.pi * u / period)
    pattern = wave > 0 if texture == "striped" else wave * np.sin(2 * math.pi * v / period) > 0.35
    return np.asarray(flat + step * pattern[..., None])


def _contrasting(ground: NDArray[np.float32], rng: np.random.Generator, count: int) -> list[str]:
    """Draw colours that stand out from the ground."""
    names = list(PAINTS)
    rgb = np.array([ground, *PAINTS.values()], dtype=np.float32)[None] / 255
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0]
    clear = [names[k] for k in range(len(names)) if float(np.linalg.norm(lab[k + 1] - lab[0])) > 38]
    return [clear[int(k)] for k in rng.choice(len(clear), size=min(count, len(clear)), replace=False)]


def _add_clutter(canvas: Canvas, rng: np.random.Generator, count: int) -> None:
    """Draw faint scratches and specks that are nothing."""
    for _ in range(count):
        start = rng.uniform((0, 0), (canvas.width, canvas.height))
        line = np.stack([start, start + rng.normal(0, canvas.width / 12, 2)])
        canvas.paint(canvas.stroke(line, float(rng.uniform(0.6, 1.6))), (120, 120, 118), opacity=0.5)


def _add_occluders(canvas: Canvas, rng: np.random.Generator) -> None:
    """Lay one or two thin threads over everything: they belong to nobody."""
    for _ in range(int(rng.integers(1, 3))):
        ends = rng.uniform((0, 0), (canvas.width, canvas.height), size=(2, 2))
        middle = (ends[0] + ends[1]) / 2
        line = middle + (ends - middle) * 3
        canvas.paint(canvas.stroke(line, max(1.5, canvas.width / 110)), (78, 76, 72), NOBODY)
