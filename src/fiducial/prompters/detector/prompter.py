"""The detector prompter: nouns to a detector, everything else of the instruction to the spatial phrases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.contracts import Prompter, paired
from fiducial.geometry import Box, Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.candidates import Candidate, Look, Measured, judge_colours, measure_colours, quantile
from fiducial.language.phrases import Resolution, parse_instruction, resolve
from fiducial.language.phrases.nouns import in_number
from fiducial.prompters.detector import reading
from fiducial.prompters.detector.limits import not_seen
from fiducial.prompters.detector.reading import (
    Detection,
    Detector,
    PictureKinds,
    ReadRequest,
    WithinKind,
    read_request,
)

MAX_REMEMBERED = 32
"""Pictures whose detections are kept, so that further instructions for them cost next to nothing."""
MAX_LOOKS = 4096
"""Things whose colours are kept."""
BY_ITSELF = "The outline is drawn by what found it."
BY_REGIONS = "No kind of thing was named, so regions that stand out were chosen from."

_Key = tuple[str, tuple[str, ...]]
_ByName = Mapping[str, tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class _Question:
    """One instruction with its nouns read, ready to be answered."""

    image: Image
    read: ReadRequest
    names: tuple[str, ...]  # what the detector is asked for, each once
    key: _Key  # under which its detections are remembered


class DetectorPrompter:
    """Has a detector find the nouns of an instruction and chooses among what it found by the rest of the words.

    "The two largest ships left of the pier": ships and piers are detected, and the spatial phrases
    (:func:`fiducial.language.phrases.resolve`) do the counting, sizes and places. Things of different names stay
    apart, also where their boxes overlap.

    - **A noun that the detector does not know** is never guessed and never passed over, be it asked for, left out or
      told by: the whole instruction is answered with the outcome ``FAILED`` and a text that names the noun and what
      could be said instead. ``NO_TARGET`` means that all nouns are known and nothing fits.
    - **A word that is not understood** ("the ship in front of the crane") might have changed the choice: the outcome is
      ``FAILED`` too, and the text names it. With ``rest`` the other words choose alone, without the relation whose noun
      is not known, and the text says so.
    - **More things than asked for** ("the ship", of which there are five): the one with the best score is taken, and
      the text says so and how to say which.
    - **No noun at all** ("the largest object", "the red thing"): ``regions`` answers, and the text says so. Without
      ``regions``, or where another phrase has a noun, things of any name of the vocabulary are meant; where the
      detector takes any noun there is no such list, and the outcome is ``FAILED``.
    - **A picture of another kind** (with ``kinds``): what is looked for in aerial pictures is not looked for in a
      photograph. The outcome is ``FAILED``, never ``NO_TARGET``, and the text says what the picture seems to be.

    A prompt is a box, its score that of the detection, its label the user's noun in the singular. Of what a detector
    draws, the prompt has an inner point too, and the answer has the masks, which a pipeline keeps.
    Sizes, shapes, colours and brightness are judged by the box (:func:`as_candidate`).

    All pictures of a call go to the detector at once. Detections are remembered by the picture's content. With a
    closed vocabulary they are kept per name, so that an instruction asks only for the names that are new; where any
    noun may be asked for, names can influence each other, and they are kept per set of names.

    Args:
        detector: nouns to boxes.
        regions: answers where no noun is said, such as ``ClassicPrompter()``.
        rest: where something is not understood, choose by the rest.
        kinds: knows which names can be in a picture; without it every picture may show everything.
    """

    keeps_masks = True
    """Masks of an answer are what is meant; a segmenter cuts by the prompts of answers that have none."""

    def __init__(
        self,
        detector: Detector,
        *,
        regions: Prompter | None = None,
        rest: bool = False,
        kinds: PictureKinds | None = None,
    ) -> None:
        self.detector = detector
        self.rest = rest
        self._kinds = kinds
        self._shown: tuple[Image, ...] = ()
        self._regions = regions
        self._remembered: LRUCache[_Key, _ByName] = LRUCache(MAX_REMEMBERED)
        self._looks: LRUCache[tuple[str, Box], Measured] = LRUCache(MAX_LOOKS)

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it: found, no target, or failed where a noun is not known."""
        asked = [self._question(image, text) for image, text in paired(images, instructions)]
        found = self._find([one for one in asked if isinstance(one, _Question)])
        return [self._answer(one, found[one.key]) if isinstance(one, _Question) else one for one in asked]

    def part_of(self, shown: Sequence[Image]) -> DetectorPrompter:
        """Return the same prompter for parts of a whole, such as the slices of a volume: their kind is the whole's.

        ``shown`` are pictures of the whole; what can be in one of them is looked for in every part.
        """
        other = copy(self)
        other._shown = tuple(shown)
        return other

    def refusal(self, images: Sequence[Image], read: ReadRequest) -> str:
        """Say why what a request names is not looked for in any of some pictures; "" where it is."""
        names = tuple(dict.fromkeys(read.names.values()))
        if self._kinds is None or not names:
            return ""
        fitting = self._kinds.fitting(images, names)
        strange = tuple(name for name in names if name not in fitting)
        if not strange:
            return ""
        nouns = read.nouns(strange)
        others = (name for noun in nouns for name in self.detector.read(noun).instead)  # a "lesion" of any kind
        return self._kinds.why_not(images, tuple(dict.fromkeys((*strange, *others))), nouns)

    def _question(self, image: Image, instruction: str) -> _Question | Answer:
        """Read an instruction, or answer it where no detection is needed."""
        shown = self._shown or (image,)
        detector = self.detector if self._kinds is None else WithinKind(self.detector, self._kinds, shown)
        read = read_request(parse_instruction(instruction), detector, rest=self.rest)
        vocabulary = self.detector.vocabulary()
        if read.unknown:
            text = reading.unknown_text(read.unknown, vocabulary, regions=self._regions is not None)
            return Answer(Outcome.FAILED, Prompts(image.frame), text=text)
        if read.anything and not read.names and self._regions is not None:
            answer = self._regions.ask([image], [instruction])[0]
            return replace(answer, text=f"{BY_REGIONS} {answer.text}".strip())
        if read.anything:
            text = reading.no_noun_text(read.anything, vocabulary)
            if not vocabulary:
                return Answer(Outcome.FAILED, Prompts(image.frame), text=text)
            read = replace(read, notes=(*read.notes, text))
        if refused := self.refusal(shown, read):
            return Answer(Outcome.FAILED, Prompts(image.frame), text=refused)
        names = tuple(sorted(set(read.names.values())))
        if read.anything:
            names = vocabulary if self._kinds is None else self._kinds.fitting(shown, vocabulary)
            if self._kinds is not None and not names:
                text = self._kinds.why_not(shown, vocabulary, [words or instruction for words in read.anything])
                return Answer(Outcome.FAILED, Prompts(image.frame), text=text)
        return _Question(image, read, names, (image.digest, () if vocabulary else names))

    def _find(self, questions: Sequence[_Question]) -> dict[_Key, _ByName]:
        """Return the candidates of each question's names; what is not remembered is detected in one call."""
        found = {one.key: self._remembered.get(one.key) or {} for one in questions}
        wanted: dict[_Key, tuple[Image, dict[str, None]]] = {}
        for one in questions:
            missing = wanted.setdefault(one.key, (one.image, {}))[1]
            missing.update(dict.fromkeys(name for name in one.names if name not in found[one.key]))
        new = {key: (image, tuple(missing)) for key, (image, missing) in wanted.items() if missing}
        if new:
            images, names = zip(*new.values(), strict=True)
            for (key, (image, asked)), some in zip(new.items(), self.detector.detect(images, names), strict=True):
                placed = {name: tuple(_placed(image, one) for one in some if one.name == name) for name in asked}
                found[key] = {**found[key], **placed}
        for key, by_name in found.items():
            self._remembered.put(key, by_name)
        return found

    def _answer(self, question: _Question, found: _ByName) -> Answer:
        frame, read = question.image.frame, question.read
        candidates = [self._seen(question.image, one) for name in question.names for one in found[name]]
        resolution, nouns = choose(read, candidates, frame, rest=self.rest)
        chosen = zip((candidates[index].prompt for index in resolution.chosen), nouns, strict=True)
        # A phrase may have no noun of its own.
        prompts = tuple(replace(prompt, label=noun or prompt.label) for prompt, noun in chosen)
        text = reading.found_text(resolution, candidates, frame, read.notes)
        drawn = [mask for index in resolution.chosen if (mask := candidates[index].mask) is not None]
        masks = tuple(drawn) if len(drawn) == len(prompts) else ()
        limits = "" if resolution.outcome is Outcome.FAILED else self._limits(question, found)
        text = " ".join(filter(None, [text, BY_ITSELF if masks else "", limits]))
        return Answer(resolution.outcome, Prompts(frame, prompts), text=text, masks=masks)

    def _limits(self, question: _Question, found: _ByName) -> str:
        """Say what would not have been found of the names of which nothing was."""
        read = question.read
        missed = {
            name: in_number(tuple(read.nouns([name])[0].split()), 2) for name in read.names.values() if not found[name]
        }
        return not_seen(self.detector, question.image, missed)

    def _seen(self, image: Image, candidate: Candidate) -> Candidate:
        """Return a remembered candidate with its picture to look at, which is not kept beyond the question."""
        box = candidate.prompt.box
        assert box is not None  # of a candidate
        key = (image.digest, box)

        def measure() -> Measured:
            found = self._looks.get(key)
            if found is None:
                found = _measured(image, box)
                self._looks.put(key, found)
            return found

        return replace(candidate, look=Look(measure))


def choose(
    read: ReadRequest, candidates: Sequence[Candidate], frame: Frame, *, rest: bool = False
) -> tuple[Resolution, tuple[str, ...]]:
    """Choose what a request means among candidates that are labelled by the detector's names.

    Returns:
        The resolution, and for each that it chose the user's noun in the singular, "" where a phrase has none.
    """
    # what is left out has a name of its own, or is found by another: nothing of that name leaves nothing out
    there = {one.prompt.label for one in candidates}
    left_out = [one for one in read.request.exclusions if not one.noun or read.name(one.noun) in there]
    request = replace(read.request, exclusions=tuple(left_out))
    resolution = resolve(request, candidates, frame, match=read.means, rest=rest)
    owners = {index: one.target for one in reversed(resolution.picks) for index in one.chosen}
    return resolution, tuple(in_number(owners[index].noun, 1) for index in resolution.chosen)


# -- a detection as a candidate that phrases can choose, measured by its box -----------------------------


CORE = 0.5
"""Colours and brightness are those of the middle part of the box: this share of its width and of its height."""
AROUND = 0.15
"""What is around a thing: a frame about its box, as wide as this share of the box's sides."""
APART = 30
"""A pixel is not of the surroundings when one of its channels differs by more than this from their median."""
FILLED = 0.25
"""Where less than this share of the middle stands apart from the surroundings, a thing is taken to be hollow."""

_Pixels = NDArray[np.uint8]


def as_candidate(image: Image, detection: Detection) -> Candidate:
    """Measure a detection.

    Only the box is known, so that all measures are those of a thing that fills it: its area is left to the
    resolver, which takes that of the box, as it does its length, the longer side; its roundness is the box's shorter
    side over its longer one. Colours and brightness, measured when first asked for, come from what in the middle of
    the box does not look like what is around the box; where hardly anything does, as in a ring, from what does so
    anywhere in the box. Colours are judged against what is around the box
    (:func:`fiducial.language.candidates.judge_colours`).
    """
    return replace(_placed(image, detection), look=Look(lambda: _measured(image, detection.box)))


def _placed(image: Image, detection: Detection) -> Candidate:
    """Return a detection as a candidate that nobody has looked at."""
    x1, y1, x2, y2 = detection.box
    width, height = x2 - x1, y2 - y1
    mask = detection.mask
    inner = None if mask is None else mask.inner_point()
    return Candidate(
        Prompt(
            image.frame,
            box=detection.box,
            points=() if inner is None else (inner,),
            label=detection.name,
            score=detection.score,
        ),
        area=None if mask is None else mask.area,
        roundness=min(width, height) / max(width, height),
        mask=mask,
    )


def _measured(image: Image, box: Box) -> Measured:
    """Return the brightness and the colours of the thing in a box."""
    thing, ground = _of_thing(image.pixels, box)
    return measure_colours(thing) if ground is None else judge_colours(thing, ground)


def _of_thing(pixels: _Pixels, box: Box) -> tuple[_Pixels, NDArray[np.float64] | None]:
    """Return pixels (N, 3) of the thing in a box: of its middle, else of all of it, else what is in the middle.

    With them comes the median colour around the box, or None where the picture ends at the box.
    """
    (l1, r1, t1, b1), (left, right, top, bottom), (l2, r2, t2, b2) = (
        _extent(pixels, box, share) for share in (CORE, 1, 1 + 2 * AROUND)
    )
    core, every = pixels[t1:b1, l1:r1].reshape(-1, 3), pixels[top:bottom, left:right].reshape(-1, 3)
    frame = np.ones((b2 - t2, r2 - l2), dtype=bool)
    frame[top - t2 : bottom - t2, left - l2 : right - l2] = False
    if not frame.any():  # the picture ends at the box
        return core, None
    ground = quantile(pixels[t2:b2, l2:r2][frame], 0.5)
    for region in (core, every):
        thing: _Pixels = region[np.abs(region - ground).max(axis=1) > APART]
        if len(thing) >= FILLED * len(region):
            return thing, ground
    return core, ground


def _extent(pixels: _Pixels, box: Box, share: float) -> tuple[int, int, int, int]:
    """Return left, right, top, bottom in whole pixels, at least one, of a box that was scaled about its centre."""

    def span(start: float, end: float, limit: int) -> tuple[int, int]:
        margin = (1 - share) / 2 * (end - start)
        first = min(max(0, round(start + margin)), limit - 1)
        return first, min(max(first + 1, round(end - margin)), limit)

    x1, y1, x2, y2 = box
    return (*span(x1, x2, pixels.shape[1]), *span(y1, y2, pixels.shape[0]))
