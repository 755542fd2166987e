"""Candidates: what spatial phrases choose among."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fiducial.errors import GeometryError
from fiducial.geometry import Prompt

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms, which measured colours and phrases share."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing in the image that an instruction may mean.

    Args:
        prompt: where it is (a box at least), what it is called, how sure that is.
        area: number of pixels of the target itself, or None when only its box is known.
        length: its longest extent in pixels, or None.
        roundness: 1 for a disc, towards 0 for lines and jagged things, or None.
        brightness: mean luminance in 0..1, or None.
        colours: share of its pixels per basic colour term (see ``COLOURS``), in 0..1.
    """

    prompt: Prompt
    area: float | None = None
    length: float | None = None
    roundness: float | None = None
    brightness: float | None = None
    colours: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.prompt.box is None:
            raise GeometryError("a candidate needs a box")
