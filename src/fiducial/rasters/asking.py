"""Asking: what a window shows, and which of all things that were found are meant.

Where nouns are detected, each window is only searched for what the instruction names, and the phrase is resolved once,
over the whole map. A prompter that answers picture by picture is asked about each window, which is unambiguous for
requests such as "all ships" alone; others are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fiducial.errors import InputError, ModelError
from fiducial.geometry import Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import parse_instruction
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import DetectorPrompter
from fiducial.prompters.detector.prompter import as_candidate, choose
from fiducial.prompters.detector.reading import ReadRequest, found_text, no_noun_text, read_request, unknown_text
from fiducial.rasters.ground import Ground
from fiducial.rasters.joining import Thing
from fiducial.rasters.pieces import Patch, Piece, Seen
from fiducial.rasters.wording import from_scene, needs_whole, to_scene

BY_WINDOWS = "Each window was asked by itself; nothing of the answer compares things of different windows."


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What is meant: how it ended, which things (by their numbers, with what they are called), and why."""

    outcome: Outcome
    chosen: tuple[tuple[int, str], ...]
    text: str


class Asker(Protocol):
    """Asks about windows, and chooses among what all of them gave."""

    by_label: bool
    """whether what has different labels are different things"""
    asked: str
    """what every window is searched for or asked: equal texts give equal pieces"""

    def refusal(self, windows: Sequence[Image]) -> str:
        """Say why a map of which some windows are shown is not asked about; "" where it is."""

    def look(self, image: Image, x: int, y: int) -> Seen:
        """Ask about one window, whose corner lies at x, y of the grid."""

    def choose(self, things: Sequence[Thing], ground: Ground) -> Chosen:
        """Choose among the things of the whole map."""


def asker_for(pipeline: Pipeline, instruction: str, ground: Ground) -> Asker:
    """Return how a pipeline is asked about a map.

    Raises:
        InputError: a request that this prompter cannot answer for a whole map, or a noun that it does not know.
    """
    if pipeline.prompter is None:
        raise InputError("this pipeline has no prompter: it cannot segment a map by instruction")
    if isinstance(pipeline.prompter, DetectorPrompter):
        return _Detecting(pipeline, pipeline.prompter, instruction, ground)
    return _Windowed(pipeline, instruction)


class _Detecting:
    by_label = True

    def __init__(self, pipeline: Pipeline, prompter: DetectorPrompter, instruction: str, ground: Ground) -> None:
        if pipeline.segmenter is None or pipeline.overlays:
            wrong = "overlays, which a detector is not shown" if pipeline.overlays else "no segmenter"
            raise InputError(f"{pipeline.name or 'this pipeline'} has {wrong}: a map is cut by boxes of a detector")
        self._pipeline, self._prompter, self._instruction = pipeline, prompter, instruction
        self._read = read_nouns(prompter, to_scene(instruction, ground))
        understood, _ = choose(self._read, (), ground.frame, rest=prompter.rest)
        if understood.unknown and not prompter.rest:  # better told before hours of windows than after
            raise InputError(understood.text)
        self._names = tuple(sorted(set(self._read.names.values())))
        self.asked = ", ".join(self._names)

    def refusal(self, windows: Sequence[Image]) -> str:
        return self._prompter.refusal(windows, self._read)

    def look(self, image: Image, x: int, y: int) -> Seen:
        try:
            detections = self._prompter.detector.detect([image], [self._names])[0]
        except ModelError as error:
            return Seen(Outcome.FAILED, str(error))
        found = [as_candidate(image, one) for one in detections]
        if not found:
            return Seen(Outcome.NO_TARGET)
        result = self._pipeline.cut(image, Prompts(image.frame, tuple(one.prompt for one in found)), self._instruction)
        if result.outcome is Outcome.FAILED:
            return Seen(Outcome.FAILED, result.text)
        pieces = []
        for one, mask in zip(found, result.masks, strict=True):
            patch = Patch.of(mask, x, y)
            if patch is not None:
                name, score = one.prompt.label or "", one.prompt.score
                pieces.append(Piece(patch, name, score, one.brightness, one.colours))
        empty = len(found) - len(pieces)
        return Seen(Outcome.FOUND, f"{empty} of {len(found)} masks were empty" if empty else "", tuple(pieces))

    def choose(self, things: Sequence[Thing], ground: Ground) -> Chosen:
        frame = ground.frame
        candidates = [_candidate(thing, ground) for thing in things]
        resolution, labels = choose(self._read, candidates, frame, rest=self._prompter.rest)
        said = found_text(resolution, candidates, frame, self._read.notes)
        chosen = tuple(zip(resolution.chosen, labels, strict=True))
        return Chosen(resolution.outcome, chosen, from_scene(said, ground))


def read_nouns(prompter: DetectorPrompter, instruction: str) -> ReadRequest:
    """Read an instruction for a map.

    Raises:
        InputError: it names no kind of thing, or one that the detector does not know.
    """
    read = read_request(parse_instruction(instruction), prompter.detector, rest=prompter.rest)
    vocabulary = prompter.detector.vocabulary()
    if read.unknown:
        raise InputError(unknown_text(read.unknown, vocabulary))
    if read.anything:
        raise InputError(f"{no_noun_text(read.anything, ())} On a map things are found by their kind.")
    return read


def _candidate(thing: Thing, ground: Ground) -> Candidate:
    """Measure a thing in the plane of the scene."""
    patch = thing.patch
    corner = (patch.x, patch.y)
    x1, y1, x2, y2 = box = ground.box_in_scene(patch.mask.convex_hull() + corner)
    return Candidate(
        Prompt(ground.frame, box=box, label=thing.label, score=thing.score),
        area=patch.mask.area * ground.pixel_area,
        roundness=min(x2 - x1, y2 - y1) / max(x2 - x1, y2 - y1),
        brightness=thing.brightness,
        colours=thing.colours,
    )


class _Windowed:
    by_label = False

    def __init__(self, pipeline: Pipeline, instruction: str) -> None:
        request = parse_instruction(instruction)
        whole = needs_whole(request)
        if whole and not request.unknown:
            raise InputError(
                f"{pipeline.name or 'this prompter'} answers window by window, so {whole[0]!r} would be told in each "
                "window anew: ask for all things of a kind, such as 'all ships', or take a recipe that detects nouns "
                "(nano, grounded-sam), whose phrases are resolved over the whole map"
            )
        self._pipeline = pipeline
        self.asked = instruction

    def refusal(self, windows: Sequence[Image]) -> str:
        return ""

    def look(self, image: Image, x: int, y: int) -> Seen:
        result = self._pipeline(image, self.asked)
        pieces = []
        for prompt, mask, score in zip(result.prompts, result.masks, result.scores, strict=True):
            patch = Patch.of(mask, x, y)
            if patch is not None:
                pieces.append(Piece(patch, prompt.label or "", score))
        return Seen(result.outcome, result.text, tuple(pieces))

    def choose(self, things: Sequence[Thing], ground: Ground) -> Chosen:
        count = f"{len(things)} thing{'' if len(things) == 1 else 's'}"
        said = f"{count} found. {BY_WINDOWS}" if things else f"Nothing was found. {BY_WINDOWS}"
        every = tuple((number, thing.label) for number, thing in enumerate(things))
        return Chosen(Outcome.FOUND if things else Outcome.NO_TARGET, every, said)
