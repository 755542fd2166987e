"""Augmentation for instructions: pixels, coordinates and words are moved together, and only where the words stay true.

A picture is cut to a window, mirrored, or both. "The left ship" of a mirrored picture is the right one, so sides in the
words change places; "the ship in the upper left" is no longer there in a crop, and "the second column" is counted from
the other side. Where every thing of the picture is known, :func:`fiducial.language.phrases.resolve` says whether the
words still mean the same things; elsewhere only moves are made that cannot change what plain words mean.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Dataset, Sample
from fiducial.geometry import Box, Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Candidate
from fiducial.language.phrases import Resolution, Target, parse_instruction, resolve
from fiducial.synthetic.referring import ReferringDataset
from fiducial.synthetic.scenes import SceneDataset, view_of
from fiducial.synthetic.view import View
from fiducial.training.sft_configs import Augmentation

T = TypeVar("T", bound=np.generic)
_TRIES = 4
"""Windows drawn for one sample before it is taken whole."""


# -- what is known of a picture -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing of a picture, with its mask where there is one."""

    candidate: Candidate
    mask: Mask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SampleInContext:
    """A sample, and every thing in its picture; None where nobody knows them all."""

    sample: Sample
    things: tuple[Thing, ...] | None = None

    def resolution(self) -> Resolution | None:
        """Resolve the instruction among the things; None where that does not give the truth, or things are missing."""
        if self.things is None:
            return None
        found = resolve(self.sample.instruction, [thing.candidate for thing in self.things], self.sample.frame)
        chosen = sorted(box for index in found.chosen if (box := self.things[index].candidate.prompt.box))
        truth = sorted(box for prompt in self.sample.prompts() if (box := prompt.box))
        return found if not found.unknown and not found.unmet and _same_boxes(chosen, truth) else None


def in_context(dataset: Dataset, index: int) -> SampleInContext:
    """Return a sample with every thing in its picture: known of scenes, and of referring expressions."""
    sample = dataset[index]
    if isinstance(dataset, SceneDataset):
        return SampleInContext(sample, _things(view_of(dataset.scene(index))))
    if isinstance(dataset, ReferringDataset):
        every = dataset.picture_of(index)
        if every.crowded:
            return SampleInContext(sample)
        view = View.of(sample.size, every.labels, masks=every.masks, boxes=every.boxes, read=sample.image)
        return SampleInContext(sample, _things(view))
    return SampleInContext(sample)


def _things(view: View) -> tuple[Thing, ...]:
    candidates = view.candidates(coloured=view.read is not None or view.stated is not None)
    return tuple(Thing(one, thing.mask) for one, thing in zip(candidates, view.things, strict=True))


def _same_boxes(some: list[Box], others: list[Box]) -> bool:
    return len(some) == len(others) and (not some or bool(np.allclose(some, others, atol=1e-6)))


# -- words ----------------------------------------------------------------------------------------


_SIDES = {"left": "right", "east": "west"}
_OTHER = _SIDES | {other: side for side, other in _SIDES.items()}
_SIDE = re.compile(
    r"(?<![A-Za-z])(north|south)?([ -]?)(left|right|east|west)(?=(?:ern|wards?)?(?:[ -]?most)?(?![A-Za-z])|[ -]?hand)",
    re.IGNORECASE,
)
_LIKE_A_SIDE = re.compile(r"(?<![A-Za-z])(?:north|south)?[ -]?(?:left|right|east|west)", re.IGNORECASE)
_NOT_A_SIDE = re.compile(
    r"(?<![a-z])(?:(?:counter|anti)?-?clockwise|right[ -]angled?|all right|right now"
    r"|right (?:in|at|on|next|behind|above|below|under)|(?:right|left) (?:whale|fielder|back|wing|winger|click|over)s?"
    r"|leftovers?|(?:middle|far|near) (?:east|west)|wild west|west(?:ern)? (?:film|movie|hat|style)s?"
    r"|copyright|text|letters?|words?)(?![a-z])",
    re.IGNORECASE,
)
"""Words with a side that mirroring does not swap, and things that cannot be mirrored, such as writing."""


def mirrored_words(words: str) -> str | None:
    """Swap left and right, east and west, in words; None where a side in them is none, or must not be swapped.

    Example:
        >>> mirrored_words("the leftmost ship, right of the North-Eastern pier"), mirrored_words("a right whale")
        ('the rightmost ship, left of the North-Western pier', None)
    """
    swapped, count = _SIDE.subn(_swapped, words)
    return None if _NOT_A_SIDE.search(words) or count < len(_LIKE_A_SIDE.findall(words)) else swapped


def _swapped(found: re.Match[str]) -> str:
    north, gap, side = found.groups()
    other = _OTHER[side.lower()]
    cased = other.upper() if side.isupper() else other.capitalize() if side[0].isupper() else other
    return f"{north or ''}{gap}{cased}"


def _is_counted_from_left(target: Target) -> bool:
    """Whether a phrase counts from the left although nobody says so: columns, every other, a bare "second"."""
    return any(one.step or one.lines or one.share or (one.ranked and not one.orders) for one in target.walk())


# -- moves ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """A window of whole pixels cut out of a picture, mirrored or not.

    Example:
        >>> Move(10, 0, 40, 30, mirrored=True).box((12.0, 5.0, 20.0, 10.0))
        (30.0, 5.0, 38.0, 10.0)
    """

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False

    @property
    def frame(self) -> Frame:
        """The pixel frame of what comes out."""
        return Frame.pixels(self.width, self.height)

    def pixels(self, array: NDArray[T]) -> NDArray[T]:
        """Move an (H, W, ...) array; returns (height, width, ...)."""
        part = array[self.top : self.top + self.height, self.left : self.left + self.width]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)

    def mask(self, mask: Mask) -> Mask:
        """Move a mask; what lies outside the window goes."""
        return Mask.from_dense(self.pixels(mask.to_dense()), score=mask.score)

    def box(self, box: Box) -> Box | None:
        """Move a box x1, y1, x2, y2, clipped to the window; None where nothing is left of it."""
        x1, x2 = (min(max(x - self.left, 0.0), float(self.width)) for x in box[::2])
        y1, y2 = (min(max(y - self.top, 0.0), float(self.height)) for y in box[1::2])
        if not (x1 < x2 and y1 < y2):
            return None
        return (self.width - x2, y1, self.width - x1, y2) if self.mirrored else (x1, y1, x2, y2)

    def holds(self, box: Box) -> bool:
        """Whether a box lies wholly inside the window."""
        x1, y1, x2, y2 = box
        right, bottom = self.left + self.width, self.top + self.height
        return self.left <= x1 and self.top <= y1 and x2 <= right and y2 <= bottom


def moved(item: SampleInContext, move: Move) -> SampleInContext | None:
    """Move a sample and the things around it; None where its words would not be certain to mean the same.

    Targets have to lie wholly in the window. The sample that comes out has its picture in memory.
    """
    sample = item.sample
    if not all(move.holds(prompt.box) for prompt in sample.prompts() if prompt.box is not None):
        return None
    whole = (move.width, move.height) == (sample.size[1], sample.size[0])
    named = [prompt.label for prompt in sample.boxes or () if prompt.label is not None]
    texts = (sample.instruction, *sample.labels, *named)
    words = [mirrored_words(text) for text in texts] if move.mirrored else [*texts]
    if any(text is None for text in words):
        return None
    trusted = item.resolution() is not None
    if not trusted and not _is_plain(sample.instruction, whole, move.mirrored):
        return None
    instruction, *labels = (text for text in words[: 1 + len(sample.labels)] if text is not None)
    after = SampleInContext(_moved_sample(sample, move, instruction, tuple(labels)), _moved_things(item.things, move))
    return after if not trusted or after.resolution() is not None else None


def _is_plain(instruction: str, whole: bool, mirrored: bool) -> bool:
    """Whether a move cannot change what words mean, as far as words tell."""
    request = parse_instruction(instruction)
    if mirrored and any(_is_counted_from_left(target) for target in (*request.targets, *request.exclusions)):
        return False
    return whole or (not request.unknown and not request.exclusions and all(one.bare for one in request.targets))


def _moved_sample(sample: Sample, move: Move, instruction: str, labels: tuple[str, ...]) -> Sample:
    image = sample.image()
    boxes = None
    if sample.boxes is not None:
        boxes = Prompts(move.frame, tuple(_moved_prompt(prompt, move) for prompt in sample.boxes))
    return replace(
        sample,
        image_path=None,
        picture=Image(move.pixels(image.pixels), image.name, image.notes),
        instruction=instruction,
        instances=None if sample.instances is None else tuple(move.mask(mask) for mask in sample.instances),
        size=(move.height, move.width),
        labels=labels,
        boxes=boxes,
        ignore=None if sample.ignore is None else move.mask(sample.ignore),
    )


def _moved_prompt(prompt: Prompt, move: Move) -> Prompt:
    label = mirrored_words(prompt.label) if prompt.label is not None and move.mirrored else prompt.label
    return replace(prompt, frame=move.frame, box=prompt.box and move.box(prompt.box), label=label)


def _moved_things(things: tuple[Thing, ...] | None, move: Move) -> tuple[Thing, ...] | None:
    if things is None:
        return None
    found = []
    for thing in things:
        mask = None if thing.mask is None else move.mask(thing.mask)
        prompt = thing.candidate.prompt
        box = mask.box if mask is not None else prompt.box and move.box(prompt.box)
        if box is None:  # it lies outside the window
            continue
        label = prompt.label if prompt.label is None or not move.mirrored else mirrored_words(prompt.label)
        area = float(mask.area) if mask is not None else (box[2] - box[0]) * (box[3] - box[1])
        moved_prompt = Prompt(move.frame, box=box, label=label, score=prompt.score)
        found.append(Thing(replace(thing.candidate, prompt=moved_prompt, area=area), mask))
    return tuple(found)


# -- drawing --------------------------------------------------------------------------------------


def random_of(sample_id: str, seed: int, epoch: int) -> np.random.Generator:
    """Return the generator of one sample in one epoch; other samples and their order change nothing."""
    return np.random.default_rng([seed, epoch, zlib.crc32(sample_id.encode("utf-8", "surrogatepass"))])


def augmented(item: SampleInContext, augmentation: Augmentation, seed: int, epoch: int) -> SampleInContext:
    """Draw a move for a sample and make it; the sample itself where none was drawn or its words allow none.

    Questions that are answered in words stay as they are: their words may speak of the picture's edges.
    """
    if item.sample.choice is not None:
        return item
    random = random_of(item.sample.id, seed, epoch)
    height, width = item.sample.size
    mirrored = bool(random.random() < augmentation.flip)
    windows = []
    if random.random() < augmentation.crop:
        windows = [_draw_window(item.sample, augmentation.min_side, random) for _ in range(_TRIES)]
    for move in (*(replace(one, mirrored=mirrored) for one in windows), Move(0, 0, width, height, mirrored)):
        if move == Move(0, 0, width, height):
            break
        if (found := moved(item, move)) is not None:
            return found
    return item


def _draw_window(sample: Sample, min_side: float, random: np.random.Generator) -> Move:
    """Draw a window that holds all targets."""
    height, width = sample.size
    boxes = [prompt.box for prompt in sample.prompts() if prompt.box is not None]
    edges = np.array(boxes, np.float64).reshape(-1, 4)
    scale = random.uniform(min_side, 1.0)
    corner, extent = [], []
    for axis, side in ((0, width), (1, height)):
        low = int(np.floor(edges[:, axis].min())) if len(edges) else side
        high = int(np.ceil(edges[:, axis + 2].max())) if len(edges) else 0
        length = min(side, max(1, round(scale * side), high - low))
        # The window begins at or before the first target, and ends at or behind the last one.
        first, last = max(0, high - length), min(low, side - length)
        corner.append(int(random.integers(first, max(first, last) + 1)))
        extent.append(length)
    return Move(corner[0], corner[1], extent[0], extent[1])
