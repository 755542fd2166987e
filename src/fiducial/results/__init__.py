"""Results: the Segmentation, and writing it to files."""

from fiducial.results.saving import FORMATS, file_stem, file_stems
from fiducial.results.segmentation import Segmentation

__all__ = ["FORMATS", "Segmentation", "file_stem", "file_stems"]
