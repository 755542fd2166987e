"""Drawn scenes and referring expressions: instructions with exact truth, made from a seed or from annotations.

Names are loaded when they are first used: the descriptions in :mod:`fiducial.synthetic.configs` stay light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.synthetic.expressions import FAMILIES, NO_TARGET, VERSION, Said, propose, reads_back, say
    from fiducial.synthetic.referring import Expression, referring_expressions
    from fiducial.synthetic.referring_dataset import (
        ReferringDataset,
        expression_lines,
        read_expressions,
        write_expressions,
    )
    from fiducial.synthetic.scenes import STYLES, SceneDataset, view_of
    from fiducial.synthetic.view import Thing, View

_HOMES = {
    "expressions": ("FAMILIES", "NO_TARGET", "VERSION", "Said", "propose", "reads_back", "say"),
    "referring": ("Expression", "referring_expressions"),
    "referring_dataset": ("ReferringDataset", "expression_lines", "read_expressions", "write_expressions"),
    "scenes": ("STYLES", "SceneDataset", "view_of"),
    "view": ("Thing", "View"),
}

__all__ = [
    "FAMILIES",
    "NO_TARGET",
    "STYLES",
    "VERSION",
    "Expression",
    "ReferringDataset",
    "Said",
    "SceneDataset",
    "Thing",
    "View",
    "expression_lines",
    "propose",
    "read_expressions",
    "reads_back",
    "referring_expressions",
    "say",
    "view_of",
    "write_expressions",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"fiducial.synthetic.{module}"), name)
    raise AttributeError(f"module 'fiducial.synthetic' has no attribute {name!r}")
