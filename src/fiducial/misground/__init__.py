"""MIS-Ground: where things are in labelled CT and MR volumes, asked with exact answers, one factor at a time."""

from fiducial.misground.items import Factors, Item, read_items

__all__ = ["Factors", "Item", "read_items"]
