"""Sentences for Text2Centroid, each with the centroid of the drawn mask that it speaks of.

Targets are drawn, so nothing is learned of where they usually lie, and no picture has a part in it. The wordings stand
in ``text2centroid.yaml``; PRS-Med's are those of :mod:`fiducial.reasoner.questions`, the resolver's its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from fiducial.files import read_yaml
from fiducial.geometry import Box, Frame, Mask, Point, Prompt, centroid_of
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import parse_instruction, resolve
from fiducial.language.phrases.nouns import plural
from fiducial.language.phrases.places import named_place
from fiducial.prompters.detector.reading import found_text
from fiducial.reasoner.questions import ask, with_article
from fiducial.reasoner.subjects import Subject, modalities
from fiducial.training.text2centroid_configs import SentenceKinds, Text2CentroidConfig

Part = Literal["training", "held_out"]
SIDE = 200
"""Of the canvas on which masks are drawn, in pixels."""
SMALLEST, LARGEST = 0.06, 0.55
"""Of a drawn target's sides, as parts of the canvas."""
AROUND = 0.2
"""How often something else stands before a sentence, and behind it."""
_FRAME = Frame.pixels(SIDE, SIDE)
_INSTRUCTIONS: dict[Part, tuple[str, ...]] = {
    "training": (
        *("the {name}", "the largest {name}", "the smallest {name}", "all {names}", "the leftmost {name}"),
        *("the topmost {name}", "the {name} closest to the centre", "the two largest {names}"),
    ),
    "held_out": ("the second largest {name}", "the rightmost {name}", "the {name} closest to the top left corner"),
}
_NAMES = ("ship", "airplane", "vehicle", "storage tank", "tennis court", "bridge", "harbor", "tumor")


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence, the point that it speaks of, x, y in the centred frame, and its kind (see ``SentenceKinds``)."""

    text: str
    point: Point
    kind: str


def write_pairs(config: Text2CentroidConfig, part: Part) -> list[Pair]:
    """Write the sentences of a run: ``pairs`` of them in wordings to learn from, or ``held_out`` in others.

    They depend on the configuration alone.
    """
    count = config.pairs if part == "training" else config.held_out
    random = np.random.default_rng([config.seed, part == "held_out"])
    shares = {one.name: getattr(config.kinds, one.name) for one in fields(SentenceKinds)}
    chances = np.array(list(shares.values())) / sum(shares.values())
    kinds = random.choice(list(shares), size=count, p=chances).tolist()
    writers = _writers(part, config.convention)
    return [Pair(*writers[kind](random), kind) for kind in kinds]


Written = tuple[str, Point]
Writer = Callable[[np.random.Generator], Written]


def _writers(part: Part, convention: str) -> dict[str, Writer]:
    right = -1 if convention == "radiological" else 1
    return {
        "questions": partial(_question, part, convention),
        "resolver": partial(_resolved, part),
        "places": partial(_place, part),
        "several": partial(_several, part),
        "denied": partial(_denied, part),
        "anatomy": partial(_anatomy, part, right),
    }


# -- the kinds ------------------------------------------------------------------------------------


def _question(part: Part, convention: str, random: np.random.Generator) -> Written:
    subject = _drawn(_subjects(), random)
    count = 1 if subject.target.unique and not subject.target.pieces else int(random.choice([1, 1, 1, 2]))
    edge = _edge(random) if count > 1 else None
    masks = [Mask.from_box(_box(random, edge), SIDE, SIDE) for _ in range(count)]
    sides: Any = convention if random.random() < 0.15 else "image"
    phrasing: Any = part
    if sides == "image" and part == "training" and random.random() < 0.25:
        phrasing = "published"
    asked = ask(masks, subject, random, phrasing=phrasing, sides=sides)
    assert asked.centroid is not None
    told = asked.description if random.random() < 0.2 else asked.answer
    return told, asked.centroid


@cache
def _subjects() -> list[Subject]:
    """Return what may lie anywhere: an organ of one side ("the right lung") has its place."""
    known = [Subject(one, target) for one in modalities() for target in one.targets]
    return [one for one in known if not {"left", "right"} & {*one.target.name.split()}]


def _resolved(part: Part, random: np.random.Generator) -> Written:
    while True:
        name = _drawn(_NAMES, random)
        candidates = [_candidate(name, random) for _ in range(int(random.integers(1, 7)))]
        words = _drawn(_INSTRUCTIONS[part], random).format(name=name, names=plural(name))
        resolution = resolve(parse_instruction(words), candidates, _FRAME)
        text = found_text(resolution, candidates, _FRAME)
        boxes = [candidates[index].prompt.box for index in resolution.chosen]
        masks = [Mask.from_box(box, SIDE, SIDE) for box in boxes if box is not None]
        if masks and named_place(text):  # things all over the picture, or larger than most of it, have no place
            return text, _centroid(masks[0].union(*masks[1:]))


def _place(part: Part, random: np.random.Generator) -> Written:
    point = _point(random)
    return _filled("place_of_one", part, random, place=point), point


def _several(part: Part, random: np.random.Generator) -> Written:
    one, other = _point(random), _point(random)
    middle = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
    return _filled("place_of_two", part, random, place=one, other=other), middle


def _denied(part: Part, random: np.random.Generator) -> Written:
    if random.random() < 0.2:  # only where it is not: anywhere on the other side
        point, axis = _point(random), int(random.integers(2))
        wording = _worded(("horizontal", "vertical")[axis], (-point[0], -point[1]), part, random)
        return _with_place("denied_side", part, random, place=wording), point
    point = _point(random)
    signs = _drawn([(-1, 1), (1, -1), (-1, -1)], random)
    return _filled("denied", part, random, place=point, other=(signs[0] * point[0], signs[1] * point[1])), point


def _anatomy(part: Part, right: int, random: np.random.Generator) -> Written:
    side = _drawn(("right", "left"), random)
    name, (aside, up, spread) = _drawn(list(_sentences()["anatomy"].items()), random)
    x, y = random.normal((aside, up), spread).tolist()
    sign = right if side == "right" else -right
    named = name.split()
    words = " ".join((named[0], side, *named[1:])) if named[0] in ("upper", "lower") and random.random() < 0.2 else ""
    text = _with_place("anatomy_of_one", part, random, organ=words or f"{side} {name}")
    return text, (sign * min(max(x, 0.0), 0.95), min(max(y, -0.95), 0.95))


# -- targets --------------------------------------------------------------------------------------


def _edge(random: np.random.Generator) -> float:
    return math.exp(random.uniform(math.log(SMALLEST), math.log(LARGEST)))


def _box(random: np.random.Generator, edge: float | None = None) -> Box:
    """Draw a box x1, y1, x2, y2 of whole pixels anywhere on the canvas."""
    edge = _edge(random) if edge is None else edge
    aspect = math.exp(random.uniform(-0.4, 0.4))
    width, height = (max(2, round(SIDE * min(LARGEST, edge * scale))) for scale in (aspect, 1 / aspect))
    x, y = int(random.integers(SIDE - width + 1)), int(random.integers(SIDE - height + 1))
    return x, y, x + width, y + height


def _centroid(mask: Mask) -> Point:
    point = centroid_of([mask])
    assert point is not None
    return point


def _point(random: np.random.Generator) -> Point:
    return _centroid(Mask.from_box(_box(random), SIDE, SIDE))


def _candidate(name: str, random: np.random.Generator) -> Candidate:
    return Candidate(Prompt(_FRAME, box=_box(random), label=name, score=0.9))


# -- words ----------------------------------------------------------------------------------------


def true_wordings(point: Point) -> dict[str, float]:
    """Return which sets of wordings are true of a point, and how often each is taken, relative to their sum.

    Example:
        >>> sorted(true_wordings((0.0, 0.0))), sorted(true_wordings((-0.9, 0.9)))
        (['centre'], ['corner', 'horizontal', 'quadrant', 'vertical'])
    """
    x, y = abs(point[0]), abs(point[1])
    rules = {
        "quadrant": 3.0 * (min(x, y) > 0.12 and math.hypot(x, y) > 0.3),
        "near": 2.0 * (min(x, y) > 0.1 and max(x, y) < 0.42),
        "centre": 4.0 * (math.hypot(x, y) < 0.15),
        "horizontal": (2.0 if y < 0.2 else 0.3) * (x > 0.2),
        "vertical": (2.0 if x < 0.2 else 0.3) * (y > 0.2),
        "beside": 2.0 * (0.08 < x < 0.4 and y < 0.12),
        "over": 2.0 * (0.08 < y < 0.4 and x < 0.12),
        "edge_horizontal": 1.5 * (x > 0.75 and y < 0.5),
        "edge_vertical": 1.5 * (y > 0.75 and x < 0.5),
        "corner": 1.5 * (min(x, y) > 0.65),
    }
    found = {name: float(share) for name, share in rules.items() if share}
    return found or {"horizontal" if x > y else "vertical": 1.0}


def _worded(kind: str, point: Point, part: Part, random: np.random.Generator) -> str:
    right, up = point[0] > 0, point[1] > 0
    return str(_drawn(_sentences()["wordings"][part][kind], random)).format(
        upper="upper" if up else "lower",
        top="top" if up else "bottom",
        above="above" if up else "below",
        north="north" if up else "south",
        northern="northern" if up else "southern",
        left="right" if right else "left",
        west="east" if right else "west",
        western="eastern" if right else "western",
    )


def _filled(frame: str, part: Part, random: np.random.Generator, **points: Point) -> str:
    words = {}
    for name, point in points.items():
        kinds = true_wordings(point)
        chances = np.array(list(kinds.values())) / sum(kinds.values())
        words[name] = _worded(str(random.choice(list(kinds), p=chances)), point, part, random)
    return _with_place(frame, part, random, **words)


def _with_place(frame: str, part: Part, random: np.random.Generator, **words: str) -> str:
    known = _sentences()
    thing = _drawn(known["things"], random)
    words |= {
        "thing": thing,
        "things": plural(thing),
        "a_thing": with_article(thing),
        "picture": _drawn(known["pictures"], random),
    }
    words |= {name.capitalize(): _capital(value) for name, value in words.items()}
    parts = ["", _drawn(known[frame][part], random), ""]
    for place, more in ((0, "before"), (2, "behind")):
        if random.random() < AROUND and (place == 0 or parts[1].endswith(".")):
            parts[place] = _drawn(known[more][part], random)
    return _capital("".join(parts).format(**words))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _drawn(choices: Sequence[Any], random: np.random.Generator) -> Any:
    return choices[int(random.integers(len(choices)))]


@cache
def _sentences() -> Any:
    return read_yaml(files("fiducial.training").joinpath("text2centroid.yaml"), kind=dict)
