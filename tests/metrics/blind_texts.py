"""Texts whose truth is known without the reader that is tested: said over drawn scenes, by PRS-Med's rule, by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fiducial.geometry import Mask
from fiducial.language.phrases import resolve
from fiducial.language.statements import Convention
from fiducial.prompters.detector.reading import found_text
from fiducial.synthetic.scenes import SceneDataset, view_of

WRITTEN = Path(__file__).with_name("written_texts.jsonl")
_SWAPS = dict(
    pair
    for one, other in (
        ("left", "right"),
        ("top", "bottom"),
        ("upper", "lower"),
        ("above", "below"),
        ("north", "south"),
        ("east", "west"),
        ("uppermost", "lowermost"),
        ("topmost", "bottommost"),
    )
    for pair in ((one, other), (other, one))
)
_SIDE = re.compile(
    r"((?<![a-z])(?:uppermost|lowermost|topmost|bottommost|left|right|top|bottom|upper|lower|above|below|north|south)"
    r"|(?<=north)(?:east|west)|(?<=south)(?:east|west)|(?<![a-z])(?:east|west))(?=ern|east|west|most|[^a-z]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Told:
    """A true text about masks; ``swaps`` says whether it is false when its side words are swapped."""

    text: str
    masks: tuple[Mask, ...]
    swaps: bool = True
    convention: Convention | None = None
    origin: str = ""


def swapped(text: str) -> str:
    """Return a text with left for right, upper for lower, and so on."""

    def other(found: re.Match[str]) -> str:
        word = found[0]
        new = _SWAPS[word.lower()]
        return new.capitalize() if word[0].isupper() else new

    return _SIDE.sub(other, text)


def of_scenes(seed: int, **counts: int) -> Iterator[Told]:
    """Yield what the resolver says of so many drawn scenes per style.

    Whether it names sides of the picture is taken from the instruction's parsed regions and from how ``where`` words
    its sentence.
    """
    for style, count in counts.items():
        families = ("position", "combined", "exclusion", "size", "colour", "count")
        scenes = SceneDataset(style, count, seed=seed, families=families)
        for index in range(count):
            sample, scene = scenes[index], scenes.scene(index)
            view = view_of(scene)
            candidates = view.candidates(coloured=True)
            resolution = resolve(sample.instruction, candidates, view.frame)
            text = found_text(resolution, candidates, view.frame)
            said = re.search(r"lies? in the ([a-z ]+) of the picture", text)
            sided = [side for one in resolution.picks for region in one.target.regions for side in region.places[0]]
            swaps = bool({*(said[1].split() if said else ()), *sided} - {"centre"})
            if resolution.chosen:
                masks = tuple(scene.masks[k] for k in resolution.chosen)
                yield Told(text, masks, swaps, origin=style)


_QUESTIONS = (
    "The {thing} is marked in position {label}{near}.",
    "The {thing} is located at the {label} of the image{near}.",
    "The image shows a {thing} in the {label} part of the scan{near}.",
    "{Label}{near}.",
    "In this medical image the {thing} can be found in the {label}{near}.",
    "There is one {thing}, positioned in the {label} quadrant{near}.",
)
_NEAR = (" and near the center", ", close to the center of the image")
_THINGS = ("tumor", "polyp", "skin lesion", "breast mass")


def of_prs_med(count: int, seed: int) -> Iterator[Told]:
    """Yield PRS-Med's sentences about blobs: the box holds the centre, else the quadrant of its middle."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = (int(side) for side in rng.integers(120, 400, 2))
        mask = blob(rng, height, width)
        x1, y1, x2, y2 = mask.box
        x, y = (x1 + x2) / 2 - width / 2, (y1 + y2) / 2 - height / 2
        inside = x1 <= width / 2 <= x2 and y1 <= height / 2 <= y2
        label = "center" if inside else f"{'top' if y < 0 else 'bottom'} {'left' if x < 0 else 'right'}"
        close = not inside and np.hypot(x, y) < 0.2 * width
        near = _NEAR[int(rng.integers(2))] if close else ""
        wording = _QUESTIONS[int(rng.integers(len(_QUESTIONS)))]
        thing = _THINGS[number % len(_THINGS)]
        text = wording.format(thing=thing, label=label, Label=label.capitalize(), near=near)
        yield Told(text, (mask,), swaps=not inside, origin="PRS-Med")


def blob(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Draw a ragged ellipse of any size anywhere."""
    canvas = np.zeros((height, width), np.uint8)
    short = min(height, width)
    centre = np.array([rng.uniform(0.08, 0.92) * width, rng.uniform(0.08, 0.92) * height])
    axes = short * np.exp(rng.uniform(np.log(0.04), np.log(0.28), 2))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = 1 + 0.25 * rng.standard_normal(24).clip(-1.5, 1.5)
    turn = rng.uniform(0, np.pi)
    x, y = axes[0] * reach * np.cos(angles), axes[1] * reach * np.sin(angles)
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1) + centre
    cv2.fillPoly(canvas, [points.round().astype(np.int32)], 1)
    if not canvas.any():
        canvas[height // 4, width // 4] = 1
    return Mask.from_dense(canvas > 0)


def written() -> Iterator[Told]:
    """Yield the texts that were written by hand, with boxes x1, y1, x2, y2 in hundredths of the picture."""
    for line in WRITTEN.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        masks = tuple(Mask.from_box([4 * edge for edge in box], height=400, width=400) for box in one["boxes"])
        convention = Convention(one["convention"]) if "convention" in one else None
        yield Told(one["text"], masks, one.get("swaps", True), convention, "written")
