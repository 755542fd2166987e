"""Numbers with a frame: frames, boxes, points, masks and prompts. NumPy only."""

from fiducial.geometry.frames import Frame
from fiducial.geometry.masks import Mask
from fiducial.geometry.prompts import Box, Point, Prompt, Prompts

__all__ = ["Box", "Frame", "Mask", "Point", "Prompt", "Prompts"]
