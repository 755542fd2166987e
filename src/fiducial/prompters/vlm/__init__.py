"""Vision-language models in this process: an instruction and an image go in, coordinates come out.

Importing this package loads neither torch nor transformers; asking for one of its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fiducial.prompters.vlm.prompter import VLMPrompter
    from fiducial.prompters.vlm.templates import PromptTemplate, read_template, template_names

__all__ = ["PromptTemplate", "VLMPrompter", "read_template", "template_names"]

_HOMES = {
    "PromptTemplate": "templates",
    "VLMPrompter": "prompter",
    "read_template": "templates",
    "template_names": "templates",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
