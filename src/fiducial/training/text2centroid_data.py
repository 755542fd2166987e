"""Sentences for Text2Centroid, each with the point that it means and the centroid of the drawn mask that it speaks of.

Targets are drawn, so nothing is learned of where they usually lie, and no picture has a part in it. The wordings stand
in ``text2centroid.yaml`` and ``text2centroid_places.yaml``; PRS-Med's are those of :mod:`fiducial.reasoner.questions`,
the resolver's its own. What words mean is known from how they were drawn: nothing reads the sentences by rule here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib.resources import files
from typing import Any

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
from fiducial.training.text2centroid_places import SIDE as FROM_CENTRE
from fiducial.training.text2centroid_places import Form, Part, axes_of, drawn, kind_words, place_words, true_wordings

SIDE = 200
"""Of the canvas on which masks are drawn, in pixels."""
SMALLEST, LARGEST = 0.06, 0.55
"""Of a drawn target's sides, as parts of the canvas."""
AROUND = 0.15
"""How often something else stands before a sentence, and behind it."""
OPPOSED = 0.6
"""How often a denied place is the true one's opposite: "not on the left, but on the right"."""
_FORMS: tuple[Form, ...] = ("where",) * 13 + ("part",) * 4 + ("label",) * 3
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
    """A sentence, the point that its words mean, the centroid of the mask that it was written about, and its kind.

    Both are x, y in the centred frame; the kinds are those of ``SentenceKinds``.
    """

    text: str
    meant: Point
    centroid: Point
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


Written = tuple[str, Point, Point]
Writer = Callable[[np.random.Generator], Written]


def _writers(part: Part, convention: str) -> dict[str, Writer]:
    return {
        "questions": partial(_question, part, convention),
        "resolver": partial(_resolved, part),
        "places": partial(_place, part),
        "several": partial(_several, part),
        "denied": partial(_denied, part),
        "anatomy": partial(_anatomy, part, convention),
    }


# -- the kinds ------------------------------------------------------------------------------------


def _question(part: Part, convention: str, random: np.random.Generator) -> Written:
    subject = drawn(_subjects(), random)
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
    return told, _middle([one.point for one in asked.positions]), asked.centroid


@cache
def _subjects() -> list[Subject]:
    """Return what may lie anywhere: an organ of one side ("the right lung") has its place."""
    known = [Subject(one, target) for one in modalities() for target in one.targets]
    return [one for one in known if not {"left", "right"} & {*one.target.name.split()}]


def _resolved(part: Part, random: np.random.Generator) -> Written:
    while True:
        name = drawn(_NAMES, random)
        candidates = [_candidate(name, random) for _ in range(int(random.integers(1, 7)))]
        words = drawn(_INSTRUCTIONS[part], random).format(name=name, names=plural(name))
        resolution = resolve(parse_instruction(words), candidates, _FRAME)
        text = found_text(resolution, candidates, _FRAME)
        boxes = [candidates[index].prompt.box for index in resolution.chosen]
        masks = [Mask.from_box(box, SIDE, SIDE) for box in boxes if box is not None]
        place = named_place(text)
        if masks and place:  # things all over the picture, or larger than most of it, have no place
            return text, _of_ninth(place), _centroid(masks[0].union(*masks[1:]))


def _of_ninth(place: str) -> Point:
    """Return what the resolver's words for a ninth or a half mean: a side is half of the way to it."""
    said = {*place.split()}
    across = ("right" in said) - ("left" in said)
    upwards = bool({"upper", "top"} & said) - bool({"lower", "bottom"} & said)
    return FROM_CENTRE * across, FROM_CENTRE * upwards


def _place(part: Part, random: np.random.Generator) -> Written:
    point = _point(random)
    form: Form = drawn(_FORMS, random)
    place = place_words(point, part, form, random)
    frame, slot = {"where": ("place_of_one", "place")}.get(form, (f"{form}_of_one", form))
    return _filled(frame, part, random, **{slot: place.text}), place.point, point


def _several(part: Part, random: np.random.Generator) -> Written:
    points = [_point(random), _point(random)]
    one, other = (place_words(point, part, "where", random) for point in points)
    text = _filled("place_of_two", part, random, place=one.text, other=other.text)
    return text, _middle([one.point, other.point]), _middle(points)


def _denied(part: Part, random: np.random.Generator) -> Written:
    if random.random() < 0.15:  # only where it is not: anywhere on the other side
        point, axis = _point(random), int(random.integers(2))
        away = (-point[0], -point[1])
        not_there = kind_words(("horizontal", "vertical")[axis], away, part, "where", random)
        text = _filled("denied_side", part, random, place=not_there.text)
        return text, (-not_there.point[0], -not_there.point[1]), point
    point = _point(random)
    elsewhere = _elsewhere(point, random)
    kind = drawn(list(true_wordings(point)), random) if random.random() < OPPOSED else "centre"
    if kind == "centre":
        place, other = (place_words(one, part, "where", random) for one in (point, elsewhere))
    else:
        signs = drawn([(-1, 1), (1, -1), (-1, -1)], random)
        signs = {(True, False): (-1, 1), (False, True): (1, -1)}.get(axes_of(kind), signs)
        opposite = signs[0] * point[0], signs[1] * point[1]
        place, other = (kind_words(kind, one, part, "where", random) for one in (point, opposite))
    return _filled("denied", part, random, place=place.text, other=other.text), place.point, point


def _elsewhere(point: Point, random: np.random.Generator) -> Point:
    """Draw a point that is not about where another one is."""
    while math.dist(other := _point(random), point) < 0.6:
        pass
    return other


def _anatomy(part: Part, convention: str, random: np.random.Generator) -> Written:
    side = drawn(("right", "left"), random)
    name, (aside, up, spread) = drawn(list(_sentences()["anatomy"].items()), random)
    x, y = random.normal((aside, up), spread).tolist()
    named = name.split()
    words = " ".join((named[0], side, *named[1:])) if named[0] in ("upper", "lower") and random.random() < 0.2 else ""
    frame = "anatomy_of_one"
    if random.random() < 0.3:  # the convention is said
        frame, convention = "convention", drawn(("radiological", "neurological"), random)
    right = -1 if convention == "radiological" else 1
    sign = right if side == "right" else -right
    organ = words or f"{side} {name}"
    text = _filled(frame, part, random, organ=organ, side=side, convention=convention)
    if organ not in text.lower():  # "on the patient's left side"
        aside, up = FROM_CENTRE, 0.0
    return text, (sign * aside, up), (sign * min(max(x, 0.0), 0.95), min(max(y, -0.95), 0.95))


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


def _middle(points: Sequence[Point]) -> Point:
    x, y = np.mean(points, axis=0).tolist()
    return x, y


def _point(random: np.random.Generator) -> Point:
    return _centroid(Mask.from_box(_box(random), SIDE, SIDE))


def _candidate(name: str, random: np.random.Generator) -> Candidate:
    return Candidate(Prompt(_FRAME, box=_box(random), label=name, score=0.9))


# -- words ----------------------------------------------------------------------------------------


def _filled(frame: str, of: Part, random: np.random.Generator, /, **places: str) -> str:
    known = _sentences()
    thing = drawn(known["things"], random)
    words = {
        **places,
        "thing": thing,
        "things": plural(thing),
        "a_thing": with_article(thing),
        "picture": drawn(known["pictures"], random),
    }
    words |= {name.capitalize(): _capital(value) for name, value in words.items()}
    parts = ["", drawn(known[frame][of], random), ""]
    for place, more in ((0, "before"), (2, "behind")):
        if random.random() < AROUND and (place == 0 or parts[1].endswith(".")):
            parts[place] = drawn(known[more][of], random)
    return _capital("".join(parts).format(**words))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@cache
def _sentences() -> Any:
    return read_yaml(files("fiducial.training").joinpath("text2centroid.yaml"), kind=dict)
