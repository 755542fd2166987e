"""A street of named things, in which what an instruction means can be told at a glance."""

from __future__ import annotations

from fiducial.geometry import Frame, Prompt
from fiducial.language import Candidate
from fiducial.language.phrases import Resolution, resolve

FRAME = Frame.pixels(1000, 600)
STREET = {
    "car1": ("car", (50, 500, 110, 540), "red"),
    "car2": ("car", (300, 500, 380, 550), "blue"),
    "car3": ("car", (520, 500, 600, 550), "red"),
    "car4": ("car", (850, 500, 930, 560), "white"),
    "person1": ("person", (100, 200, 140, 320), "red"),
    "person2": ("person", (420, 200, 470, 330), "blue"),
    "dog": ("dog", (480, 280, 540, 330), "brown"),
    "plane1": ("plane", (50, 50, 150, 120), "white"),
    "plane2": ("plane", (400, 50, 480, 110), "white"),
}
"""By name: label, box x1, y1, x2, y2 in pixels, colour."""


def candidates(things: dict[str, tuple[str, tuple[float, float, float, float], str]]) -> list[Candidate]:
    """Return named things as what phrases choose among."""
    return [
        Candidate(Prompt(FRAME, box=box, label=label), colours={colour: 1.0}) for label, box, colour in things.values()
    ]


def chosen(text: str, **options: object) -> tuple[str, Resolution]:
    """Return the names of what an instruction chooses in the street, sorted, and the whole resolution."""
    resolution = resolve(text, candidates(STREET), FRAME, **options)  # type: ignore[arg-type]
    return " ".join(sorted(list(STREET)[index] for index in resolution.chosen)), resolution
