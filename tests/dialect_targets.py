"""Targets that every dialect can write, for tests of what is written and read again."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from fiducial.geometry import Frame, Prompt, Prompts

BOXLESS = {"molmo", "molmo2"}
POINTS = {"think2seg": 2, "visionreasoner": 1, "seg-zero": 2, "molmo": 1, "molmo2": 1}
LABELS = (None, "ship", "big ship", "the two-storey house", "l'oiseau", "船", "no. 7")
SIZES = st.integers(min_value=30, max_value=5000)
SEEDS = st.integers(min_value=0, max_value=2**32)


def targets(name: str, width: int, height: int, seed: int) -> Prompts:
    """A few targets, thin and edge-hugging ones among them."""
    draw = random.Random(seed)
    frame = Frame.pixels(width, height)
    items = []
    for _ in range(1 if name == "seg-zero" else draw.randint(1, 5)):
        (x1, x2), (y1, y2) = (span(draw, size) for size in (width, height))
        points = tuple((share(draw) * width, share(draw) * height) for _ in range(POINTS.get(name, 0)))
        box = None if name in BOXLESS else (x1, y1, x2, y2)
        items.append(Prompt(frame, box, points, label=draw.choice(LABELS)))
    return Prompts(frame, tuple(items))


def share(draw: random.Random) -> float:
    return draw.choice((0.0, 1.0, 0.5, draw.random(), draw.random(), draw.random()))


def span(draw: random.Random, size: int) -> tuple[float, float]:
    low = min(share(draw), 0.9999)
    extent = draw.choice((1e-4, 1e-3, 1.0, draw.random(), draw.random()))
    return low * size, min(low + extent, 1.0) * size
