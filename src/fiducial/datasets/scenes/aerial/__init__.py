"""Aerial scenes: ships, tanks, aircraft, courts, tracks, harbors, bridges and vehicles from above."""

from __future__ import annotations

import numpy as np

from fiducial.datasets.scenes.aerial.sensor import expose
from fiducial.datasets.scenes.aerial.site import Site
from fiducial.datasets.scenes.aerial.themes import THEMES
from fiducial.datasets.scenes.scene import Scene, finish

VOCABULARY = (
    "airplane",
    "ship",
    "storage tank",
    "baseball diamond",
    "tennis court",
    "basketball court",
    "running track",
    "harbor",
    "bridge",
    "vehicle",
)
"""The ten classes of NWPU VHR-10, as people call them."""


def draw_aerial(rng: np.random.Generator, size: tuple[int, int], name: str) -> Scene | None:
    """Draw one aerial scene.

    Args:
        rng: makes every choice.
        size: height, width in pixels.
        name: of the image.

    Returns:
        The scene, or None when a thing came out too much hidden or there is none at all.
    """
    site = Site.empty(size, rng)
    themes = tuple(THEMES.values())
    themes[int(rng.integers(len(themes)))](site)
    expose(site)
    return finish(site.canvas, name, colours=True, vocabulary=VOCABULARY) if site.canvas.labels else None
