"""What training runs read from datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from fiducial.datasets import Sample
from fiducial.datasets.splits import longest_edge
from fiducial.errors import InputError
from fiducial.geometry import Mask

T = TypeVar("T")


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
