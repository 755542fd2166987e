"""What is drawn onto the image before a model sees it: grids, numbered marks, boxes and masks."""

from fiducial.overlays.blank import BlankOverlay
from fiducial.overlays.colours import PALETTE, Colour, palette_colour, parse_colour
from fiducial.overlays.grid import GridOverlay, parse_grid
from fiducial.overlays.targets import BoxOverlay, MarkOverlay, MaskOverlay

__all__ = [
    "PALETTE",
    "BlankOverlay",
    "BoxOverlay",
    "Colour",
    "GridOverlay",
    "MarkOverlay",
    "MaskOverlay",
    "palette_colour",
    "parse_colour",
    "parse_grid",
]
