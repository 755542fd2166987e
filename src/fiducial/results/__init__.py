"""Results: the Segmentation, and writing it to files."""

from fiducial.results.joint import names_from_common_folder, write_joint_coco
from fiducial.results.saving import FORMATS, file_stem, file_stems
from fiducial.results.segmentation import Segmentation

__all__ = ["FORMATS", "Segmentation", "file_stem", "file_stems", "names_from_common_folder", "write_joint_coco"]
