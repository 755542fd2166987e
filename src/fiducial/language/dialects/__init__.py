"""Dialects: words to coordinates and back, one value per model family.

``base.Dialect.decode`` asks its grammar for the exact form; what breaks that is taken apart (``replies``), read (text
to ``values``, values to ``items``) and placed in the frame (``answering``): prompts, with every repair named.

>>> from fiducial.geometry import Frame, Prompts
>>> gemini = dialect("gemini")
>>> boxes = Prompts.from_boxes(Frame.pixels(200, 100), [(20, 10, 100, 50)], labels=["ship"])
>>> text = gemini.encode(boxes, gemini.frame(200, 100))
>>> gemini.decode(text, gemini.frame(200, 100)).to(Frame.pixels(200, 100)).prompts[0].box
(20.0, 10.0, 100.0, 50.0)
"""

from fiducial.language.dialects.base import Dialect, Grammar, Sizing, SmartResize, Square
from fiducial.language.dialects.catalogue import DIALECTS, dialect, dialect_for_family, think2seg

__all__ = [
    "DIALECTS",
    "Dialect",
    "Grammar",
    "Sizing",
    "SmartResize",
    "Square",
    "dialect",
    "dialect_for_family",
    "think2seg",
]
