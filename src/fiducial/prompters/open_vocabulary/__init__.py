"""Open-vocabulary detectors of transformers: Grounding DINO and OWLv2, asked for any noun.

Importing this package loads neither torch nor transformers; asking for one of its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.prompters.open_vocabulary.grounding_dino import GroundingDinoDetector, grounding_dino_prompter
    from fiducial.prompters.open_vocabulary.owlv2 import Owlv2Detector, owlv2_prompter

__all__ = ["GroundingDinoDetector", "Owlv2Detector", "grounding_dino_prompter", "owlv2_prompter"]

_HOMES = {
    "GroundingDinoDetector": "grounding_dino",
    "Owlv2Detector": "owlv2",
    "grounding_dino_prompter": "grounding_dino",
    "owlv2_prompter": "owlv2",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
