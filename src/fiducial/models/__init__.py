"""Weights that come with the package, each with a card that says what made it and under which licence it is."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fiducial.errors import UnknownNameError
from fiducial.files import parse_yaml

_LINE = "---\n"


@dataclass(frozen=True, slots=True)
class Card:
    """What is to be known of embedded weights.

    Args:
        name: how they are asked for.
        facts: what the card begins with: role, licence, parameters, seed, ...
        text: the whole card, Markdown.
    """

    name: str
    facts: dict[str, Any]
    text: str


def model_names() -> list[str]:
    """Name the embedded weights, sorted."""
    return sorted(entry.name[:-3] for entry in files(__name__).iterdir() if entry.name.endswith(".md"))


def weights_of(name: str) -> Path | None:
    """Return the file or the folder of embedded weights; None where there are none of that name."""
    if name not in model_names():
        return None
    file = Path(str(files(__name__).joinpath(f"{name}.safetensors")))
    return file if file.is_file() else file.with_suffix("")


def read_card(name: str) -> Card:
    """Read the card of embedded weights.

    Raises:
        UnknownNameError: there are none of that name.
    """
    if name not in model_names():
        raise UnknownNameError("embedded model", name, model_names())
    text = files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    _, facts, body = text.split(_LINE, 2)
    return Card(name, parse_yaml(facts, f"card of {name!r}"), body.strip() + "\n")
