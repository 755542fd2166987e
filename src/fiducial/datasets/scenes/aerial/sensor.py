"""The sensor: what air, optics and electronics do to a clean picture."""

from __future__ import annotations

import cv2
import numpy as np

from fiducial.datasets.scenes.aerial.site import Site
from fiducial.datasets.scenes.noise import smooth_noise


def expose(site: Site) -> None:
    """Add haze, blur, contrast, a colour cast and grain."""
    canvas, rng = site.canvas, site.rng
    haze = np.float32(rng.choice([0.02, 0.06, 0.14, 0.24], p=[0.35, 0.35, 0.2, 0.1]))
    veil = haze * (1 + 0.25 * np.clip(smooth_noise(rng, canvas.size, 300 * site.unit), -2, 2))[..., None]
    pixels = canvas.pixels * (1 - veil) + np.array((196, 204, 212), dtype=np.float32) * veil
    pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.45, 0.95))), dtype=np.float32)
    pixels = 255 * np.clip(pixels / 255, 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    pixels *= rng.uniform(0.96, 1.04, 3).astype(np.float32) * np.float32(rng.uniform(0.9, 1.08))
    grain = rng.standard_normal((*canvas.size, 1), dtype=np.float32) * np.float32(rng.uniform(1.5, 4.5))
    colour_grain = rng.standard_normal((*canvas.size, 3), dtype=np.float32) * np.float32(rng.uniform(0.5, 2.0))
    canvas.pixels = np.asarray(pixels + grain + colour_grain, dtype=np.float32)
