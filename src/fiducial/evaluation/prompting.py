"""Prompts that need no model: those of the truth (how good is the segmenter?) and blind ones (what does luck give?)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.geometry import Box, Frame, Mask, Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.overlays.drawing import inner_point

Place = Literal["deepest", "centroid", "random"]
PromptSource = Callable[[Sample], Answer]
"""Answers for a sample, truth and all, in place of a prompter."""

_LEAST_SIDE = 1.0


@dataclass(frozen=True, slots=True)
class TruthPrompts:
    """Answers with the truth, as good or as bad as it is told to be.

    Every target gets its own draws, from the seed, the sample's id and the target's number: other samples, their order
    and their number change nothing. The first positive point is the one deepest inside the target (or where ``at``
    says), further ones are drawn from its pixels, negative ones from the pixels of its box (tight, before jitter) that
    are not on it.

    Args:
        box: give the box of each target: the dataset's own, or the mask's tight one.
        points: number of points on each target.
        negatives: number of points beside each target, inside its box.
        jitter: move each edge of the box by up to this part of the box's side, evenly drawn, 0..1.
        seed: of the draws.
        at: where the first point on a target lies: ``"deepest"`` inside it, at its ``"centroid"`` (which may lie
            beside the target), or on a ``"random"`` one of its pixels.

    Raises:
        InputError: neither box nor points on the target, or a number or word out of range.
    """

    box: bool = True
    points: int = 0
    negatives: int = 0
    jitter: float = 0.0
    seed: int = 0
    at: Place = "deepest"

    def __post_init__(self) -> None:
        if not self.box and self.points < 1:
            raise InputError("prompts of the truth need a box or at least one point on the target")
        if min(self.points, self.negatives) < 0 or max(self.points, self.negatives) > 1000:
            raise InputError(f"the truth gives 0 to 1000 points, not {self.points} and {self.negatives}")
        if not 0 <= self.jitter <= 1:
            raise InputError(f"jitter is a part of the box's side, 0 to 1, got {self.jitter:g}")
        if self.jitter and not self.box:
            raise InputError("jitter moves the edges of a box, but no box is given: add box")
        if self.at not in get_args(Place):
            raise InputError(f"a point lies at {', '.join(get_args(Place))}, not at {self.at!r}")

    def __call__(self, sample: Sample) -> Answer:
        """Answer for a sample.

        Raises:
            InputError: points are wanted of a dataset that has boxes only.
        """
        items = tuple(prompt for number in range(_count(sample)) if (prompt := self._prompt(sample, number)))
        outcome = Outcome.FOUND if items else Outcome.NO_TARGET
        return Answer(outcome, Prompts(sample.frame, items), text=f"prompts of the truth: {self}")

    def __str__(self) -> str:
        words = [
            "box" if self.box else "",
            f"points={self.points}" if self.points else "",
            f"negatives={self.negatives}" if self.negatives else "",
            f"at={self.at}" if self.points and self.at != "deepest" else "",
            f"jitter={self.jitter:g}" if self.jitter else "",
            f"seed={self.seed}" if self.seed else "",
        ]
        return "truth:" + ",".join(filter(None, words))

    def _prompt(self, sample: Sample, number: int) -> Prompt | None:
        name = [self.seed, zlib.crc32(sample.id.encode("utf-8", "surrogatepass")), number]
        # Where the first point lies must not move the box: it is drawn apart.
        draw, first_draw = np.random.default_rng(name), np.random.default_rng([*name, 1])
        mask = None if sample.instances is None else sample.instances[number]
        if mask is not None and not mask:
            return None
        tight = _true_box(sample, number, mask)
        spots, kinds = self._points(sample, mask, tight, draw, first_draw)
        shown = _jittered(tight, self.jitter, sample.size, draw) if self.box else None
        label = sample.labels[number] if sample.labels else None
        return Prompt(sample.frame, box=shown, points=tuple(spots), point_labels=tuple(kinds), label=label)

    def _points(
        self,
        sample: Sample,
        mask: Mask | None,
        tight: Box,
        draw: np.random.Generator,
        first_draw: np.random.Generator,
    ) -> tuple[list[Point], list[int]]:
        if not self.points and not self.negatives:
            return [], []
        if mask is None:
            raise InputError(f"sample {sample.id}: its dataset has boxes only, so the truth has no points to give")
        first = self._first(mask, first_draw) if self.points else None
        inside = [first] if first else []
        if first and self.points > 1:
            x, y = first
            taken = Mask.from_box((x - 0.5, y - 0.5, x + 0.5, y + 0.5), *sample.size)
            inside += _draw_pixels(mask.difference(taken), self.points - 1, draw)
        around = Mask.from_box(tight, *sample.size).difference(mask)
        beside = _draw_pixels(around, self.negatives, draw)
        return inside + beside, [1] * len(inside) + [0] * len(beside)

    def _first(self, mask: Mask, draw: np.random.Generator) -> Point | None:
        if self.at == "random":
            return _draw_pixels(mask, 1, draw)[0]
        return mask.centroid if self.at == "centroid" else inner_point(mask)


@dataclass(frozen=True, slots=True)
class BlindPrompts:
    """Answers every sample with one and the same box: what a prompter scores that looks at nothing.

    Args:
        box: x1, y1, x2, y2 as parts of the picture's width and height, 0..1.
    """

    box: Box = (0.25, 0.25, 0.75, 0.75)

    def __post_init__(self) -> None:
        if not (0 <= self.box[0] < self.box[2] <= 1 and 0 <= self.box[1] < self.box[3] <= 1):
            raise InputError(f"a blind box needs 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1, got {self.box}")

    def __call__(self, sample: Sample) -> Answer:
        """Answer for a sample."""
        prompts = Prompts.from_boxes(Frame.unit(), [self.box]).to(sample.frame)
        return Answer(Outcome.FOUND, prompts, text=f"the same prompts for every picture: {self}")

    def __str__(self) -> str:
        return "blind" if self == BlindPrompts() else "blind:" + ",".join(f"{edge:g}" for edge in self.box)


def parse_source(text: str | None, seed: int = 0) -> TruthPrompts | BlindPrompts | None:
    """Read ``truth``, ``truth:box,points=2,negatives=1,jitter=0.1``, ``blind`` or ``blind:x1,y1,x2,y2``.

    Args:
        text: what was given as a prompter.
        seed: of the draws, where the text names none (``seed=3``).

    Returns:
        The source, or None when the text names something else: a prompter.

    Raises:
        InputError: it begins as one of these and goes on as none.

    Example:
        >>> parse_source("truth:points=1"), parse_source("classic")
        (TruthPrompts(box=False, points=1, negatives=0, jitter=0.0, seed=0, at='deepest'), None)
    """
    name, _, rest = (text or "").strip().partition(":")
    name = name.lower()
    if name == "blind":
        return BlindPrompts(_edges(rest)) if rest else BlindPrompts()
    if name != "truth":
        return None
    return _truth(rest, seed) if rest else TruthPrompts(seed=seed)


def _truth(text: str, seed: int) -> TruthPrompts:
    box, counts, jitter = False, {"points": 0, "negatives": 0, "seed": seed}, 0.0
    at: Any = "deepest"
    for word in text.split(","):
        key, _, value = word.strip().lower().partition("=")
        try:
            if key == "box" and not value:
                box = True
            elif key in counts:
                counts[key] = int(value or 1)
            elif key == "jitter":
                jitter = float(value)
            elif key == "at":
                at = value
            else:
                raise ValueError
        except ValueError:
            raise InputError(
                f"prompts of the truth are written as truth:box,points=2,negatives=1,jitter=0.1 "
                f"(any of the four, and at=centroid or at=random), got {word!r}"
            ) from None
    return TruthPrompts(box, counts["points"], counts["negatives"], jitter, counts["seed"], at)


def _edges(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(edge) for edge in text.split(","))
    except ValueError:
        raise InputError(f"a blind box is written as blind:0.25,0.25,0.75,0.75, got {text!r}") from None
    return x1, y1, x2, y2


class ToldPrompter:
    """A prompter that gives one answer, whatever it is asked; its answer is in the frame of the picture asked about."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Give the answer, once per image."""
        return [self._answer.to(image.frame) for image in images]


def _count(sample: Sample) -> int:
    return len(sample.prompts()) if sample.instances is None else len(sample.instances)


def _true_box(sample: Sample, number: int, mask: Mask | None) -> Box:
    """Return the dataset's own box where it has one per instance, else the mask's tight box."""
    given = sample.boxes
    if given is not None and (mask is None or len(given) == len(sample.instances or ())):
        box = given[number].box
        if box is not None:
            return box
    if mask is None or mask.box is None:
        raise InputError(f"sample {sample.id}: target {number + 1} has neither box nor mask")
    return mask.box


def _jittered(box: Box, jitter: float, size: tuple[int, int], draw: np.random.Generator) -> Box:
    if not jitter:
        return box
    (x1, y1, x2, y2), (height, width) = box, size
    moves = draw.uniform(-jitter, jitter, 4) * [x2 - x1, y2 - y1, x2 - x1, y2 - y1]
    left, top, right, bottom = (np.array(box) + moves).tolist()
    left, right = _side(left, right, float(width))
    top, bottom = _side(top, bottom, float(height))
    return left, top, right, bottom


def _side(low: float, high: float, limit: float) -> tuple[float, float]:
    """Put two edges in order, onto the picture, and at least one pixel apart (as far as the picture allows)."""
    low, high = min(low, high), max(low, high)
    least = min(_LEAST_SIDE, limit)
    low = min(max(low, 0.0), limit - least)
    return low, min(max(high, low + least), limit)


def _draw_pixels(mask: Mask, count: int, draw: np.random.Generator) -> list[Point]:
    """Draw centres of pixels of a mask, none twice, as many as it has at most."""
    count = min(count, mask.area)
    if count < 1:
        return []
    runs = mask.runs.astype(np.int64)
    ends = np.cumsum(runs[:, 1] - runs[:, 0])
    ranks = draw.choice(mask.area, size=count, replace=False)
    row = np.searchsorted(ends, ranks, side="right")
    pixel = runs[row, 1] - (ends[row] - ranks)
    return [(float(p // mask.height) + 0.5, float(p % mask.height) + 0.5) for p in pixel]
