"""Working on rows: pictures read, prompters asked or coordinates taken, masks cut; the same in every process."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fiducial import recipes
from fiducial.contracts import Prompter
from fiducial.errors import FiducialError, InputError, ModelError
from fiducial.geometry import Prompts
from fiducial.geometry.prompts import fractions_note
from fiducial.images import Image, read_image
from fiducial.jobs.configs import Work
from fiducial.jobs.manifest import Row
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import dialect
from fiducial.pipeline import Pipeline
from fiducial.prompters.oracle import read_prompts
from fiducial.results import Segmentation

DEAD = "dead"
"""The outcome of a row of which nothing came."""

_KEPT = ("width", "height", "outcome", "text", "thinking", "repairs", "prompts", "scores", "seconds")


@dataclass(frozen=True, slots=True)
class Lot:
    """Rows that are worked on together: those of one picture, or of as many as a model is asked about at once."""

    rows: tuple[tuple[int, Row], ...] = ()
    """Each with its place in the order of the work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a row.

    Args:
        place: in the order of the work.
        outcome: an :class:`fiducial.language.Outcome`'s value, or ``DEAD``.
        targets: how many masks there are.
        result: the result as JSON, see :func:`as_result`; of a dead row why it is dead.
    """

    place: int
    outcome: str
    targets: int
    result: str


def dead(place: int, reason: str) -> Ended:
    """Return the end of a row of which nothing came."""
    return Ended(place, DEAD, 0, _plain(" ".join(reason.split())[:2000]))


class Worker:
    """Works on lots with models of its own, which are loaded when it is made."""

    def __init__(self, work: Work) -> None:
        if work.threads is not None:
            import cv2

            os.environ["OMP_NUM_THREADS"] = str(work.threads)  # read when onnxruntime and torch are loaded
            cv2.setNumThreads(work.threads)
        self._work = work
        self._pipeline = recipes.load(work.recipe)

    def __call__(self, lot: Lot) -> tuple[Ended, ...]:
        """Work on rows; whatever is wrong with one is its end, and no other's."""
        pictures: dict[str, Image | str] = {}
        ended, ready = [], []
        for place, row in lot.rows:
            if row.image not in pictures:
                pictures[row.image] = self._read(row.image)
            picture = pictures[row.image]
            try:
                if isinstance(picture, str):
                    raise InputError(picture)
                ready.append(_Ready(place, row, picture, _given(row, picture)))
            except FiducialError as error:
                ended.append(dead(place, str(error)))
        return (*ended, *self._segment(ready))

    def _read(self, name: str) -> Image | str:
        """Return a picture, or why it cannot be read."""
        try:
            return read_image(self._work.base / name, max_pixels=self._work.max_pixels)
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - one bad file of millions is no reason to stop
            return _unexpected(error)

    def _segment(self, ready: Sequence[_Ready]) -> list[Ended]:
        if not ready:
            return []
        prompter = _Knowing(self._pipeline.prompter, {one.key: one.answer for one in ready if one.answer is not None})
        pipeline: Pipeline = dataclasses.replace(self._pipeline, prompter=prompter)
        try:
            results = pipeline.segment([one.picture for one in ready], [one.key for one in ready])
        except Exception as error:  # noqa: BLE001 - the last line of defence: other rows go on
            if len(ready) > 1:
                return [ended for one in ready for ended in self._segment([one])]
            return [dead(ready[0].place, str(error) if isinstance(error, FiducialError) else _unexpected(error))]
        return [_end(one.place, result) for one, result in zip(ready, results, strict=True)]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A row with its picture, and the answer where it is known beforehand."""

    place: int
    row: Row
    picture: Image
    answer: Answer | None

    @property
    def key(self) -> str:
        """What the prompter is asked: no instruction holds the sign that begins a known answer's."""
        return self.row.instruction if self.answer is None else f"\0{self.place}"


class _Knowing:
    """Gives the answers that are known, and asks a prompter for the others, all together."""

    def __init__(self, prompter: Prompter | None, known: Mapping[str, Answer]) -> None:
        self._prompter, self._known = prompter, known

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it."""
        asked = [place for place, text in enumerate(instructions) if text not in self._known]
        if asked and self._prompter is None:
            raise ModelError("no prompter was loaded")
        found: dict[int, Answer] = {}
        if asked and self._prompter is not None:
            answers = self._prompter.ask([images[place] for place in asked], [instructions[place] for place in asked])
            found = dict(zip(asked, answers, strict=True))
        return [
            found[place] if place in found else self._known[text].to(image.frame)
            for place, (image, text) in enumerate(zip(images, instructions, strict=True))
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prompter, name)


def _given(row: Row, picture: Image) -> Answer | None:
    """Return the answer that a row brings along, in pixels of the picture; None where a prompter is asked."""
    if row.reply is not None and row.dialect is not None:
        spoken = dialect(row.dialect)
        return spoken.decode(row.reply, spoken.frame(picture.width, picture.height)).to(picture.frame)
    if row.prompts is None:
        return None
    prompts: Prompts = read_prompts(row.prompts, picture.frame, picture.name)
    said = fractions_note(picture.frame, prompts.numbers)
    outcome = Outcome.FOUND if len(prompts) else Outcome.NO_TARGET
    return Answer(outcome, prompts, text="coordinates given by the manifest", repairs=(said,) if said else ())


def _end(place: int, result: Segmentation) -> Ended:
    if result.outcome is Outcome.FAILED:
        return dead(place, result.text or "the model failed and did not say why")
    return Ended(place, result.outcome.value, len(result.masks), as_result(result))


def as_result(result: Segmentation) -> str:
    """Write what is kept of a result as JSON: as its own JSON, with area and run-length code of each mask."""
    values = result.as_json()
    kept = {name: values[name] for name in _KEPT}
    masks = [{"area": mask.area, "rle": mask.to_coco()["counts"]} for mask in result.masks]
    return _plain(json.dumps({**kept, "masks": masks}, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _plain(text: str) -> str:
    """Put ``?`` in the place of what is no text, such as half a sign that a model wrote."""
    return text.encode("utf-8", "replace").decode()


def _unexpected(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"unexpected {type(error).__name__}: {error} (a bug: please report it)"


# -- in processes -------------------------------------------------------------------------------------

_OPENED: list[tuple[Work, Worker]] = []  # what this process has loaded


def work_on(work: Work, lot: Lot) -> tuple[Ended, ...] | FiducialError:
    """Work on a lot in this process, with the models that it has loaded; what keeps them from loading is returned."""
    try:
        if not _OPENED or _OPENED[0][0] != work:
            _OPENED[:] = [(work, Worker(work))]
    except FiducialError as error:
        # Exceptions with arguments of their own do not survive the journey home as they are.
        return InputError(str(error)) if isinstance(error, InputError) else ModelError(str(error))
    return _OPENED[0][1](lot)
