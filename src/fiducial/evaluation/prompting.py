"""Answers and masks without a model: from the truth (how good is the rest?) or blind (what does luck give?)."""

from __future__ import annotations

import hashlib
import zlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from fiducial.config import Config, option, read_part, read_short
from fiducial.contracts import Embedding
from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.geometry import Box, Frame, Mask, Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome

Place = Literal["deepest", "centroid", "random"]
SOURCES = ("truth", "blind")
_MIN_SIDE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSource(Config):
    """Answers for a sample, truth and all, in place of a prompter."""

    kind: ClassVar[str] = "prompt_source"

    @abstractmethod
    def __call__(self, sample: Sample) -> Answer:
        """Answer for a sample."""

    def build(self) -> PromptSource:
        """Return the source itself: it needs nothing to be loaded."""
        return self

    def __str__(self) -> str:
        """Return the short form, ``NAME?key=value&...``, with the options that are not the default."""
        options = [(each.name, getattr(self, each.name), each.default) for each in fields(self)]
        changed = [f"{name}={_written(value)}" for name, value, default in options if value != default]
        return f"{type(self).name}?{'&'.join(changed)}" if changed else type(self).name  # type: ignore[attr-defined]


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthPrompts(PromptSource):
    """Answers with the truth, as good or as bad as the options say.

    Every target gets its own draws, from the seed, the sample's id and the target's number: other samples, their order
    and their number change nothing. Further positive points are drawn from the target's pixels, negative ones from the
    pixels of its box (tight, before jitter) that are not on it.
    """

    name: ClassVar[str] = "truth"
    box: bool = option(True, "give the box of each target: the dataset's own, or the mask's tight one")
    points: int = option(0, "number of points on each target", minimum=0, maximum=1000)
    negatives: int = option(0, "number of points off each target, inside its box", minimum=0, maximum=1000)
    jitter: float = option(
        0.0, "move each edge by up to this, evenly drawn", unit="part of the box's side", minimum=0, maximum=1
    )
    seed: int = option(0, "of the draws", minimum=0)
    at: Place = option(
        "deepest", "where the first point lies: deepest inside, at the centroid (perhaps off the target), or random"
    )

    def check(self) -> None:
        """Refuse options that do not go together."""
        if not self.box and self.points < 1:
            raise InputError("prompts of the truth need a box or at least one point on the target")
        if self.jitter and not self.box:
            raise InputError("jitter moves the edges of a box, but no box is given: leave box=true")

    def __call__(self, sample: Sample) -> Answer:
        """Answer for a sample."""
        count = len(sample.prompts()) if sample.instances is None else len(sample.instances)
        items = tuple(prompt for number in range(count) if (prompt := self._prompt(sample, number)))
        outcome = Outcome.FOUND if items else Outcome.NO_TARGET
        return Answer(outcome, Prompts(sample.frame, items), text=f"prompts of the truth: {self}")

    def _prompt(self, sample: Sample, number: int) -> Prompt | None:
        name = [self.seed, zlib.crc32(sample.id.encode("utf-8", "surrogatepass")), number]
        # Where the first point lies must not move the box, so it is drawn with a generator of its own.
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
        self, sample: Sample, mask: Mask | None, tight: Box, draw: np.random.Generator, first_draw: np.random.Generator
    ) -> tuple[list[Point], list[int]]:
        if not self.points and not self.negatives:
            return [], []
        if mask is None:
            raise InputError(f"sample {sample.id}: its dataset has boxes only, so the truth has no points to give")
        inside: list[Point] = []
        if self.points and self.at == "random":
            inside = _draw_pixels(mask, 1, first_draw)
        elif self.points and (first := mask.centroid if self.at == "centroid" else mask.inner_point()):
            inside = [first]
        if inside and self.points > 1:
            x, y = inside[0]
            taken = Mask.from_box((x - 0.5, y - 0.5, x + 0.5, y + 0.5), *sample.size)
            inside += _draw_pixels(mask.difference(taken), self.points - 1, draw)
        around = Mask.from_box(tight, *sample.size).difference(mask)
        outside = _draw_pixels(around, self.negatives, draw)
        return inside + outside, [1] * len(inside) + [0] * len(outside)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindPrompts(PromptSource):
    """Answers every sample with one and the same box: what a prompter scores that sees nothing."""

    name: ClassVar[str] = "blind"
    box: Box = option(
        (0.25, 0.25, 0.75, 0.75), "x1, y1, x2, y2", unit="part of the picture's width and height", minimum=0, maximum=1
    )

    def check(self) -> None:
        """Refuse a box without area."""
        if not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise InputError(f"a blind box needs x1 < x2 and y1 < y2, got {self.box}")

    def __call__(self, sample: Sample) -> Answer:
        """Answer for a sample."""
        prompts = Prompts.from_boxes(Frame.unit(), [self.box]).to(sample.frame)
        return Answer(Outcome.FOUND, prompts, text=f"the same prompts for every picture: {self}")


def parse_source(text: str | None, seed: int = 0) -> PromptSource | None:
    """Read ``truth``, ``truth?points=2&negatives=1&jitter=0.1``, ``truth?box=false&points=1``, ``blind?box=0,0,1,1``.

    What names something else (a prompter) gives None; ``seed`` is that of the draws where the text names none.

    Example:
        >>> str(parse_source("truth?box=false&points=1", seed=3)), parse_source("classic")
        ('truth?box=false&points=1&seed=3', None)
    """
    text = (text or "").strip()
    if text.partition("?")[0].partition(":")[0].strip().lower() not in SOURCES:
        return None
    if ":" in text:
        raise InputError(f"options go behind a question mark (truth?points=2, blind?box=0,0,1,1), got {text!r}")
    values = read_short("prompt_source", text)
    if values["name"] == "truth":
        values.setdefault("seed", seed)
    source: Any = read_part("prompt_source", values)
    return source  # type: ignore[no-any-return]


def from_old_words(text: str) -> str:
    """Turn what runs of earlier versions call a source, ``truth:box,points=2``, into what it is called now."""
    name, colon, rest = text.partition(":")
    if not colon or name not in SOURCES:
        return text
    if name == "blind":
        return str(parse_source(f"blind?box={rest}"))
    words = rest.split(",")
    options = [word if "=" in word else f"{word}=1" for word in words if word != "box"]
    return str(parse_source("truth?" + "&".join([*options, f"box={'box' in words}"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueMasksConfig(Config):
    """The true masks themselves, in evaluations: what do refiners do to them?"""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "truth"

    def build(self) -> TrueMasks:
        """Return the segmenter, which gets to know the truth sample by sample."""
        return TrueMasks()


class TrueMasks:
    """Gives the true masks of a sample, one per prompt, whatever the prompts are; None: there is no truth here."""

    def __init__(self, masks: Sequence[Mask] | None = None) -> None:
        self._masks = masks

    def for_sample(self, sample: Sample) -> TrueMasks:
        """Return the segmenter that knows this sample's truth; an InputError where there are boxes but no masks."""
        if sample.instances is None:
            raise InputError(f"sample {sample.id}: its dataset has boxes but no masks to cut")
        return TrueMasks([mask for mask in sample.instances if mask])

    def encode(self, image: Image) -> Embedding:
        """Keep the image's name and size: nothing is computed."""
        key = hashlib.sha256(f"truth\n{image.digest}".encode()).hexdigest()
        return Embedding(key, image.width, image.height, {}, image)

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Return the true masks."""
        if self._masks is None:
            raise InputError("the segmenter 'truth' knows the truth in evaluations only")
        if len(prompts) != len(self._masks):
            raise InputError(
                f"the segmenter 'truth' has {len(self._masks)} masks for {len(prompts)} prompts: use --prompter truth"
            )
        return list(self._masks)


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
    shortest = min(_MIN_SIDE, limit)
    low = min(max(low, 0.0), limit - shortest)
    return low, min(max(high, low + shortest), limit)


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
