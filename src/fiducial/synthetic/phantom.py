"""Phantoms: body-like slices with organs, a spine, a ring of fat, and a lesion or none.

They look like CT or MR from afar and are anatomy from nowhere: soft ellipses about where organs lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.synthetic.canvas import Canvas, Scene, scene_of
from fiducial.synthetic.drawing import Pose, blob, fractal_noise, smooth_noise

VOCABULARY = ("liver", "spleen", "kidney", "stomach", "aorta", "vertebra", "lesion", "lung", "heart", "bladder")


@dataclass(frozen=True, slots=True)
class Organ:
    """One organ in a body whose half width and half height are 1: centre, half width and height, angle in radians.

    ``ct`` and ``mr`` are grey values in 0..255; ``chance`` is how often it is there.
    """

    label: str
    x: float
    y: float
    width: float
    height: float
    angle: float
    ct: float
    mr: float
    chance: float = 1.0


_ABDOMEN = (
    Organ("liver", -0.42, -0.16, 0.36, 0.42, 0.35, 142, 104),
    Organ("stomach", 0.30, -0.32, 0.24, 0.18, -0.4, 104, 84, 0.85),
    Organ("spleen", 0.60, 0.10, 0.11, 0.24, 0.3, 150, 92, 0.95),
    Organ("kidney", -0.34, 0.40, 0.11, 0.16, -0.35, 168, 196, 0.95),
    Organ("kidney", 0.36, 0.40, 0.11, 0.16, 0.35, 168, 196, 0.95),
    Organ("aorta", 0.06, 0.22, 0.06, 0.065, 0.0, 188, 40),
    Organ("vertebra", 0.0, 0.46, 0.13, 0.13, 0.0, 226, 108),
)
_THORAX = (
    Organ("lung", -0.46, -0.02, 0.34, 0.52, 0.15, 26, 14),
    Organ("lung", 0.46, 0.02, 0.32, 0.50, -0.15, 26, 14),
    Organ("heart", 0.10, -0.18, 0.25, 0.24, 0.5, 142, 120),
    Organ("aorta", 0.06, 0.28, 0.07, 0.07, 0.0, 190, 40),
    Organ("vertebra", 0.0, 0.54, 0.13, 0.13, 0.0, 226, 108),
)
_HOSTS = {"liver": 0.45, "spleen": 0.3, "kidney": 0.4, "lung": 0.5}
"""Where lesions grow, and how far from the middle, in units of the organ's own size."""


def draw_phantom(rng: np.random.Generator, size: tuple[int, int], name: str) -> Scene | None:
    """Draw one slice of height, width in pixels; None when a thing came out too much hidden.

    A lesion inside an organ owns its pixels.
    """
    canvas = Canvas(*size)
    is_ct = bool(rng.random() < 0.5)
    body = _body_pose(rng, size)
    _draw_body(canvas, body, is_ct, rng)
    organs = _THORAX if rng.random() < 0.35 else _ABDOMEN
    there = [organ for organ in organs if rng.random() < organ.chance]
    poses = [_draw_organ(canvas, body, organ, is_ct, rng) for organ in there]
    hosts = [k for k, organ in enumerate(there) if organ.label in _HOSTS]
    for _ in range(int(rng.choice([0, 1, 2], p=[0.3, 0.5, 0.2])) if hosts else 0):
        host = hosts[int(rng.integers(len(hosts)))]
        _draw_lesion(canvas, there[host], poses[host], is_ct, rng)
    _expose(canvas, is_ct, rng)
    return scene_of(canvas, name, colours=False, vocabulary=VOCABULARY)


def _body_pose(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pose, float]:
    """Return where the body lies and its height over its width."""
    height, width = size
    ratio = float(rng.uniform(0.68, 0.8))
    scale = float(rng.uniform(0.84, 0.95)) / 2 * min(width, height / ratio)
    x, y = width / 2 + rng.normal(0, 0.012) * width, height / 2 + rng.normal(0, 0.012) * height
    return Pose(float(x), float(y), float(rng.normal(0, 0.05)), scale), ratio


def _draw_body(canvas: Canvas, body: tuple[Pose, float], is_ct: bool, rng: np.random.Generator) -> None:
    pose, ratio = body
    turn = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    power = 2 / rng.uniform(2.3, 2.8)  # between an ellipse and a rounded box
    u, v = np.cos(turn), np.sin(turn)
    outline = np.stack([np.sign(u) * np.abs(u) ** power, np.sign(v) * np.abs(v) ** power * ratio], axis=1)
    fat = float(rng.uniform(0.06, 0.13))
    skin, fatty, muscle, inside = (150, 62, 128, 78) if is_ct else (120, 214, 72, 146)
    if is_ct:
        table = np.array([(-1.05, 1.12 * ratio), (0, 1.2 * ratio), (1.05, 1.12 * ratio)])
        canvas.paint(canvas.stroke(pose.place(table), max(1.0, pose.scale / 40)), (88, 88, 88))
    for grey, shrink in ((skin, 1.0), (fatty, 0.985), (muscle, 1 - fat), (inside, 0.9 - fat)):
        canvas.paint(canvas.cover(pose.place(outline * shrink)), (grey,) * 3)
    _draw_ribs(canvas, pose, ratio * (0.94 - fat), 0.94 - fat, 224.0 if is_ct else 46.0, rng)
    back = pose.place(np.array([(0.0, 0.62 * ratio), (0.0, 0.86 * ratio)]))
    canvas.paint(canvas.stroke(back, pose.scale * 0.05), (206 if is_ct else 60,) * 3)


def _draw_ribs(canvas: Canvas, pose: Pose, tall: float, wide: float, grey: float, rng: np.random.Generator) -> None:
    for middle in np.linspace(0.25, 2 * math.pi - 0.25, int(rng.integers(7, 11))):
        turn = np.linspace(middle - 0.13, middle + 0.13, 8) - math.pi / 2
        line = np.stack([np.cos(turn) * wide, np.sin(turn) * tall], axis=1)
        canvas.paint(canvas.stroke(pose.place(line), pose.scale * 0.035), (grey,) * 3, opacity=0.9)


def _draw_organ(canvas: Canvas, body: tuple[Pose, float], organ: Organ, is_ct: bool, rng: np.random.Generator) -> Pose:
    pose, ratio = body
    off = rng.normal(0, 0.02, 2)
    centre = pose.place(np.array([(organ.x + off[0], (organ.y + off[1]) * ratio)]))[0]
    scale = pose.scale * float(rng.uniform(0.9, 1.08))
    own = Pose(float(centre[0]), float(centre[1]), pose.angle + organ.angle + float(rng.normal(0, 0.08)), scale)
    thing = canvas.new_thing(organ.label, {"modality": "ct" if is_ct else "mr"})
    grey = (organ.ct if is_ct else organ.mr) + float(rng.normal(0, 4))
    outline = blob(rng, 0.1) * (organ.width, organ.height * ratio)
    canvas.paint(canvas.cover(own.place(outline)), (grey,) * 3, thing)
    if organ.label == "kidney":  # the pelvis is darker, and part of it
        canvas.paint(canvas.cover(own.place(outline * 0.45)), (grey * 0.72,) * 3)
    if organ.label == "vertebra":  # behind its body lie the arch around the canal, and two wings
        wings = np.array([(-0.2, 0.16), (-0.07, 0.1), (0.0, 0.26), (0.07, 0.1), (0.2, 0.16), (0.0, 0.3)])
        canvas.paint(canvas.cover(own.place(wings)), (grey * 0.94,) * 3, thing)
    return own


def _draw_lesion(canvas: Canvas, organ: Organ, pose: Pose, is_ct: bool, rng: np.random.Generator) -> None:
    turn, reach = rng.uniform(0, 2 * math.pi), _HOSTS[organ.label] * math.sqrt(float(rng.random()))
    off = math.cos(turn) * reach * organ.width, math.sin(turn) * reach * organ.height * 0.75
    centre = pose.place([off])[0]
    radius = float(rng.uniform(0.28, 0.5)) * min(organ.width, organ.height) * pose.scale
    base = organ.ct if is_ct else organ.mr
    step = float(rng.uniform(34, 52)) * (1 if base < 90 or (not is_ct and rng.random() < 0.7) else -1)
    thing = canvas.new_thing("lesion", {"inside": organ.label, "radius": radius})
    own = Pose(float(centre[0]), float(centre[1]), 0.0, max(radius, 4.0))
    canvas.paint(canvas.cover(own.place(blob(rng, 0.16))), (base + step,) * 3, thing)


def _expose(canvas: Canvas, is_ct: bool, rng: np.random.Generator) -> None:
    """Turn clean tissue into what a scanner gives: texture, blur, bias and noise."""
    short = min(canvas.size)
    tissue = (canvas.pixels > 4).astype(np.float32)
    canvas.pixels += 3.0 * fractal_noise(rng, canvas.size, short / 12)[..., None] * tissue
    blurred = cv2.GaussianBlur(canvas.pixels[..., 0], (0, 0), max(0.6, short / 300))
    if is_ct:
        grey = blurred + float(rng.uniform(3, 7)) * smooth_noise(rng, canvas.size, 1.6)
    else:
        bias = 1 + np.float32(rng.uniform(0.06, 0.16)) * np.clip(smooth_noise(rng, canvas.size, short / 1.5), -2, 2)
        grey = _rician(blurred * bias, float(rng.uniform(4, 9)), rng)
    canvas.pixels = np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.float32)


def _rician(signal: NDArray[np.float32], sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the magnitude of a complex signal with noise in both parts, as MR reconstructs it."""
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)
