"""Refiners: better prompts before the cut (``cfpg``), better masks after it (``mbo``).

Both are parts of PSLG-SAM's second stage and need no weights. Importing this package loads neither OpenCV nor
scikit-image; asking for one of its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.refiners.cfpg import ForegroundPoint
    from fiducial.refiners.mbo import BoundaryOptimisation

__all__ = ["BoundaryOptimisation", "ForegroundPoint"]

_HOMES = {"BoundaryOptimisation": "mbo", "ForegroundPoint": "cfpg"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
