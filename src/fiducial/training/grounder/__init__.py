"""Training of the nano grounder."""

from fiducial.training.grounder.config import GrounderConfig
from fiducial.training.grounder.loop import train

__all__ = ["GrounderConfig", "train"]
