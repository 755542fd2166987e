"""Scenes: drawn pictures with exact truth, in three styles: shapes, aerial and phantom."""

from fiducial.datasets.scenes.dataset import STYLES, VERSION, SceneDataset, view_of
from fiducial.datasets.scenes.scene import Scene

__all__ = ["STYLES", "VERSION", "Scene", "SceneDataset", "view_of"]
