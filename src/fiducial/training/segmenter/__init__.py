"""Training of the nano segmenter."""

from fiducial.training.segmenter.config import SegmenterConfig
from fiducial.training.segmenter.loop import train

__all__ = ["SegmenterConfig", "train"]
