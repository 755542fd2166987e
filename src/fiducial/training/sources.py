"""What training runs read from datasets, and what makes it as imperfect as what is met later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Sample
from fiducial.datasets.splits import longest_edge
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.training.configs import Source

Array = NDArray[np.float32]
T = TypeVar("T")


def shares(sources: Sequence[Source]) -> list[float]:
    """Return the part of each source, summing to 1."""
    total = sum(source.share for source in sources)
    return [source.share / total for source in sources]


def expand_data_folder(spec: str, data: str | Path) -> str:
    """Put the data folder where a dataset or path says ``DATA/``.

    Example:
        >>> expand_data_folder("coco:DATA/aerial?per=image", "/data"), expand_data_folder("DATA/words.txt", "/data")
        ('coco:/data/aerial?per=image', '/data/words.txt')
    """
    form, colon, rest = spec.partition(":")
    if not colon:
        form, rest = "", spec
    return f"{form}{colon}{data}/{rest.removeprefix('DATA/')}" if rest.startswith("DATA/") else spec


def instances_of(sample: Sample, min_size: float) -> list[Mask]:
    """Return a sample's masks that are not empty and whose longest edge has at least so many pixels.

    Raises:
        InputError: the dataset knows boxes only.
    """
    if sample.instances is None:
        raise InputError(f"sample {sample.id}: its dataset has boxes but no masks to learn from")
    return [mask for mask in sample.instances if mask and longest_edge(mask) >= min_size]


def subset(found: Sequence[T], limit: int, seed: int) -> list[T]:
    """Return as many as the limit says, drawn by the seed and in the order given."""
    if len(found) <= limit:
        return list(found)
    chosen = np.random.default_rng(seed).permutation(len(found))[:limit]
    return [found[int(index)] for index in sorted(chosen)]


# -- imperfection ---------------------------------------------------------------------------------


def recoloured(colours: Array, random: np.random.Generator) -> Array:
    """Change colours (S, S, 3) in 0..255 as other cameras would: gamma, tint, grey, blur, noise, by chance."""
    result: NDArray[Any] = colours
    if random.random() < 0.5:
        result = 255 * (result / 255) ** np.float32(np.exp(random.uniform(-0.4, 0.4)))
    if random.random() < 0.3:
        result = result * random.uniform(0.8, 1.2, 3).astype(np.float32)
    if random.random() < 0.12:
        result = np.repeat(result.mean(axis=2, keepdims=True), 3, axis=2)
    if random.random() < 0.2:
        result = cv2.GaussianBlur(result, (0, 0), random.uniform(0.3, 1.3))
    if random.random() < 0.3:
        result = result + random.normal(0, random.uniform(1, 9), result.shape).astype(np.float32)
    return np.asarray(np.clip(result, 0, 255), np.float32)


def hazed(colours: Array, random: np.random.Generator) -> Array:
    """Mix up to seven tenths of the light of a bright, slightly blue sky into colours (S, S, 3) in 0..255."""
    air = random.uniform(190, 245) + np.array([random.uniform(-12, 0), 0, random.uniform(0, 12)])
    return np.asarray(colours + (np.clip(air, 0, 255) - colours) * random.uniform(0.1, 0.7), np.float32)


def corrupted(covered: Array, random: np.random.Generator) -> Array:
    """Make an earlier mask of a true one, (S, S) in 0..1 both: shifted, grown, shrunk, bitten, blurred by chance."""
    size = covered.shape[0]
    mask: NDArray[Any] = covered
    if random.random() < 0.6:
        zoom, shift = np.exp(random.uniform(-0.12, 0.12)), random.uniform(-0.05, 0.05, 2) * size
        centre = (1 - zoom) * size / 2
        matrix = np.array([[zoom, 0, centre + shift[0]], [0, zoom, centre + shift[1]]])
        mask = cv2.warpAffine(mask, matrix, (size, size))
    if random.random() < 0.6:
        width = int(random.integers(1, max(2, size // 12)))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
        mask = (cv2.dilate if random.random() < 0.5 else cv2.erode)(mask, kernel)
    for _ in range(int(random.integers(0, 3))):
        centre_of_bite = tuple(int(value) for value in random.integers(0, size, 2))
        axes = tuple(int(value) for value in random.integers(2, max(3, size // 6), 2))
        value = float(random.random() < 0.5)
        mask = cv2.ellipse(mask.copy(), centre_of_bite, axes, float(random.uniform(0, 180)), 0, 360, value, -1)
    if random.random() < 0.7:
        mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.5, size / 20))
    return np.asarray(np.clip(mask, 0, 1), np.float32)
