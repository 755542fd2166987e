"""fiducial: language in, coordinates between, masks out.

    import fiducial

    pipe = fiducial.load("nano")
    result = pipe("coins.png", "the largest coin")
    result.prompts, result.masks, result.outcome, result.text

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.contracts import Embedding, MaskRefiner, Overlay, Prompter, PromptRefiner, Segmenter
    from fiducial.errors import FiducialError
    from fiducial.geometry import Frame, Mask, Prompt, Prompts
    from fiducial.images import Image, read_image
    from fiducial.language import Answer, Outcome
    from fiducial.pipeline import Pipeline
    from fiducial.recipes import load
    from fiducial.results import Segmentation

__version__ = "0.1.0"

_HOMES = {
    "Answer": "fiducial.language",
    "Embedding": "fiducial.contracts",
    "FiducialError": "fiducial.errors",
    "Frame": "fiducial.geometry",
    "Image": "fiducial.images",
    "Mask": "fiducial.geometry",
    "MaskRefiner": "fiducial.contracts",
    "Outcome": "fiducial.language",
    "Overlay": "fiducial.contracts",
    "Pipeline": "fiducial.pipeline",
    "Prompt": "fiducial.geometry",
    "PromptRefiner": "fiducial.contracts",
    "Prompter": "fiducial.contracts",
    "Prompts": "fiducial.geometry",
    "Segmentation": "fiducial.results",
    "Segmenter": "fiducial.contracts",
    "load": "fiducial.recipes",
    "read_image": "fiducial.images",
}

__all__ = [
    "Answer",
    "Embedding",
    "FiducialError",
    "Frame",
    "Image",
    "Mask",
    "MaskRefiner",
    "Outcome",
    "Overlay",
    "Pipeline",
    "Prompt",
    "PromptRefiner",
    "Prompter",
    "Prompts",
    "Segmentation",
    "Segmenter",
    "load",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fiducial' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]  # what is public, and not the modules that happen to be loaded
