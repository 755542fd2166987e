"""Volumes: CT and MR scans with their place in the patient; planes, slices, label maps; segmenting them by a recipe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.volumes.configs import VolumeOptions
    from fiducial.volumes.phantom import make_phantom
    from fiducial.volumes.planes import Plane, Slicing, View
    from fiducial.volumes.reading import is_volume
    from fiducial.volumes.result import VolumeSegmentation
    from fiducial.volumes.segmenting import segment_volume
    from fiducial.volumes.volume import LabelMap, Volume

_HOMES = {
    "LabelMap": "volume",
    "Plane": "planes",
    "Slicing": "planes",
    "View": "planes",
    "Volume": "volume",
    "VolumeOptions": "configs",
    "VolumeSegmentation": "result",
    "is_volume": "reading",
    "make_phantom": "phantom",
    "segment_volume": "segmenting",
}
"""Where a name lives; read when it is first used, as commands that segment pictures need the options alone."""

__all__ = [
    "LabelMap",
    "Plane",
    "Slicing",
    "View",
    "Volume",
    "VolumeOptions",
    "VolumeSegmentation",
    "is_volume",
    "make_phantom",
    "segment_volume",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fiducial.volumes' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fiducial.volumes.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
