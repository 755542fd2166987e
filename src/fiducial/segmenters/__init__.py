"""Segmenters: an image becomes an embedding once, prompts become masks many times.

Importing this package loads neither torch nor OpenCV; asking for one of its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.segmenters.cache import CachedSegmenter, DiskCache
    from fiducial.segmenters.grabcut import GrabCutSegmenter
    from fiducial.segmenters.nano import NanoSegmenter
    from fiducial.segmenters.sam import SamSegmenter

__all__ = ["CachedSegmenter", "DiskCache", "GrabCutSegmenter", "NanoSegmenter", "SamSegmenter"]

_HOMES = {
    "CachedSegmenter": "cache",
    "DiskCache": "cache",
    "GrabCutSegmenter": "grabcut",
    "NanoSegmenter": "nano",
    "SamSegmenter": "sam",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
