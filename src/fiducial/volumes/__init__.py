"""Volumes: CT and MR scans with their place in the patient; planes, slices, label maps; segmenting them by a recipe."""

from fiducial.volumes.configs import VolumeOptions
from fiducial.volumes.phantom import make_phantom
from fiducial.volumes.planes import Plane, Slicing, View
from fiducial.volumes.reading import is_volume
from fiducial.volumes.result import VolumeSegmentation
from fiducial.volumes.segmenting import segment_volume
from fiducial.volumes.volume import LabelMap, Volume

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
