"""Outlines by thresholds: every level of every colour channel cuts the picture into blobs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.prompters.classic.canvas import Canvas

Outline = NDArray[np.int32]
"""(K, 2) x, y of the outermost pixels of one region, in order around it."""

LEVELS = 16
"""Levels of the lightness; the other channels have half as many."""
MOST_CHANGES = 0.06
"""Share of neighbouring pixels on different sides of a channel's median above which it counts as noisy."""
LARGEST_SHARE = 0.85
"""Regions that cover more of the picture than this are its ground, not something on it."""


def smallest_area(canvas: Canvas) -> float:
    """Area in canvas pixels below which a region counts as noise."""
    return max(9.0, canvas.width * canvas.height / 10_000)


def level_outlines(canvas: Canvas) -> list[Outline]:
    """Outline the blobs above and below every level of every channel.

    Args:
        canvas: the picture at working size.

    Returns:
        Outer outlines in canvas pixels; holes are part of the blob around them.
    """
    found: list[Outline] = []
    for channel, levels in _channels(canvas):
        for level in levels:
            above = (channel > level).astype(np.uint8)
            for binary in (above, 1 - above):
                found += outlines_of(binary, smallest_area(canvas), _largest_area(canvas))
    return found


def outlines_of(binary: NDArray[np.uint8], smallest: float, largest: float) -> list[Outline]:
    """Outline the connected parts of a binary picture whose filled area lies within limits.

    Args:
        binary: (h, w) uint8, 0 or 1.
        smallest: least area in pixels.
        largest: greatest area in pixels.
    """
    contours, hierarchy = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    kept: list[Outline] = []
    for index, contour in enumerate(contours):
        if hierarchy[0, index, 3] >= 0 or len(contour) < 6:
            continue
        outline = np.asarray(contour, dtype=np.int32).reshape(-1, 2)
        if smallest <= filled_area(outline) <= largest:
            kept.append(outline)
    return kept


def filled_area(outline: NDArray[np.int32]) -> float:
    """Number of pixels that an outline encloses, its own pixels included (Pick's theorem)."""
    return float(cv2.contourArea(outline)) + len(outline) / 2 + 1


def _largest_area(canvas: Canvas) -> float:
    return LARGEST_SHARE * canvas.width * canvas.height


def _channels(canvas: Canvas) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Lightness, its deviation from the surroundings, two colour axes, vividness, distance from the ground."""
    light, red_green, blue_yellow = (canvas.lab[..., k] for k in range(3))
    sigma = max(canvas.width, canvas.height) / 12
    local = light - cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).reshape(light.shape)
    vivid = np.hypot(red_green, blue_yellow)
    ground = _distance_from_ground(canvas)
    calm = [_calmed(channel) for channel in (light, local, red_green, blue_yellow, vivid, ground)]
    return [(channel, _levels(channel, LEVELS if k == 0 else LEVELS // 2)) for k, channel in enumerate(calm)]


def _calmed(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth a channel while its middle level falls into specks: noise and grass would give thousands of blobs."""
    for sigma in (1.5, 3.0, 6.0):
        if _changes(channel) <= MOST_CHANGES:
            break
        blurred = cv2.GaussianBlur(channel, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        channel = np.asarray(blurred, dtype=np.float32).reshape(channel.shape)
    return np.ascontiguousarray(channel)


def _changes(channel: NDArray[np.float32]) -> float:
    """Share of the neighbours along both axes that lie on different sides of the median."""
    above = channel > np.median(channel)
    changes = sum(int((np.diff(above, axis=axis)).sum()) for axis in (0, 1))
    return changes / (2 * channel.size)


def _levels(channel: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Spread levels evenly between the extremes; none where nothing varies by a visible amount."""
    low, high = np.percentile(channel, (0.5, 99.5))
    if high - low < 2.0:
        low, high = float(channel.min()), float(channel.max())
    if high - low < 2.0:
        return np.empty(0)
    return np.linspace(low, high, count + 2)[1:-1]


def _distance_from_ground(canvas: Canvas) -> NDArray[np.float32]:
    """Colour distance to the nearest of the colours that prevail along the picture's border."""
    height, width = canvas.height, canvas.width
    band = max(1, min(height, width) // 40)
    rim = np.ones((height, width), dtype=bool)
    rim[band : height - band, band : width - band] = False
    samples = canvas.smooth[rim]
    centres = _prevailing(samples[:: max(1, len(samples) // 4000)])
    distances = [np.linalg.norm(canvas.lab - centre, axis=2) for centre in centres]
    return np.asarray(np.min(distances, axis=0), dtype=np.float32)


def _prevailing(samples: NDArray[np.float32], count: int = 3) -> NDArray[np.float32]:
    """Cluster centres, started along the first sorted channel so that nothing is random."""
    order = np.argsort(samples[:, 0], kind="stable")
    starts = order[np.linspace(0, len(order) - 1, 2 * count + 1).astype(int)[1::2]]
    centres = samples[starts].astype(np.float64)
    for _ in range(10):
        nearest = np.argmin(((samples[:, None] - centres) ** 2).sum(axis=2), axis=1)
        for k in range(count):
            if (nearest == k).any():
                centres[k] = samples[nearest == k].mean(axis=0)
    return np.asarray(centres, dtype=np.float32)
