"""Volumes: CT and MR scans with their place in the patient; planes, slices, label maps."""

from fiducial.volumes.phantom import make_phantom
from fiducial.volumes.planes import Plane, Slicing, View
from fiducial.volumes.volume import LabelMap, Volume

__all__ = ["LabelMap", "Plane", "Slicing", "View", "Volume", "make_phantom"]
