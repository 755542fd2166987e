"""Numbers with a frame: frames, boxes, points, masks and prompts. NumPy only."""

from fiducial.geometry.frames import Frame
from fiducial.geometry.masks import Mask
from fiducial.geometry.pieces import centroid_of, large_pieces, placed
from fiducial.geometry.prompts import Box, Point, Prompt, Prompts

__all__ = ["Box", "Frame", "Mask", "Point", "Prompt", "Prompts", "centroid_of", "large_pieces", "placed"]
