"""Records: what came of each sample, one JSON line each, written so that nothing is ever lost or done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from fiducial.errors import InputError
from fiducial.files import LineFile, parse_json, write_atomically
from fiducial.geometry import Box, Frame, Mask, Prompt, Prompts
from fiducial.language import Outcome

Code = Mapping[str, Any]
"""COCO's run-length code of a mask, as plain values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything about one sample of a run, as plain values; masks are decoded when they are asked for.

    Predictions and truth are both kept, so a run can be counted by another policy without asking any model again.

    Args:
        index: the sample's place in its dataset, from 0.
        image: file name of the picture, or its name.
        size: height, width of the picture in pixels.
        picture: SHA-256 of the picture's pixels; sentences about one picture succeed and fail together.
        digest: SHA-256 of instruction, picture and truth: equal digests mean the same task.
        prompt_sha256: SHA-256 of the words that the prompter adds and the instruction.
        text: the prompter's plain words.
        thinking: what the model wrote between its thinking tags.
        raw: the model's reply, letter by letter.
        repairs: what had to be mended to read it.
        prompts: as the segmenter saw them, in pixels (see ``Prompt.as_json``).
        masks: run-length code of each predicted mask, in the order of the prompts.
        mask_scores: the segmenter's own estimate of each, or None.
        truth: run-length code of the union of the true instances; None where the dataset has boxes only.
        truth_instances: run-length code of each true instance where there are several; a single one is the truth.
        truth_boxes: x1, y1, x2, y2 of each true instance, in pixels.
        ignore: run-length code of the pixels that count for nothing, or None.
        spacing: height, width of a pixel in millimetres, where the dataset knows it.
        score: the sample's score under the policy of the run, as plain values.
        seconds: time per stage: read, prompt, encode, decode, refine, total (without read), score.
    """

    index: int
    id: str
    image: str
    size: tuple[int, int]
    instruction: str
    picture: str
    digest: str
    prompt_sha256: str
    outcome: Outcome
    text: str = ""
    thinking: str = ""
    raw: str = ""
    repairs: tuple[str, ...] = ()
    prompts: tuple[Mapping[str, Any], ...] = ()
    masks: tuple[Code, ...] = ()
    mask_scores: tuple[float | None, ...] = ()
    truth: Code | None = None
    truth_instances: tuple[Code, ...] = ()
    truth_boxes: tuple[Box, ...] = ()
    ignore: Code | None = None
    spacing: tuple[float, float] | None = None
    score: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def frame(self) -> Frame:
        """The pixel frame of the picture."""
        return Frame.pixels(self.size[1], self.size[0])

    @property
    def mask(self) -> Mask:
        """The union of the predicted masks; empty when there is none."""
        return Mask.empty(*self.size).union(*map(Mask.from_coco, self.masks))

    @property
    def truth_mask(self) -> Mask | None:
        """The union of the true instances; None where the dataset has boxes only."""
        return None if self.truth is None else Mask.from_coco(self.truth)

    @property
    def truth_masks(self) -> tuple[Mask, ...] | None:
        """Each true instance; None where the dataset has boxes only."""
        if self.truth_instances:
            return tuple(map(Mask.from_coco, self.truth_instances))
        truth = self.truth_mask
        return truth if truth is None else (truth,) if truth else ()

    @property
    def ignore_mask(self) -> Mask | None:
        """The pixels that count for nothing."""
        return None if self.ignore is None else Mask.from_coco(self.ignore)

    def decoded_prompts(self) -> Prompts:
        """Return the prompts as geometry, in pixels of the picture; an InputError where they are none."""
        try:
            return Prompts(self.frame, tuple(_prompt(self.frame, values) for values in self.prompts))
        except (LookupError, TypeError) as error:
            raise InputError(f"a record whose prompts make no sense: {error}") from None

    def as_json(self) -> dict[str, Any]:
        """Return plain values for strict JSON, always the same keys in the same order."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Record:
        """Read what :meth:`as_json` returned; an InputError where it holds something else."""
        names = {entry.name for entry in fields(cls)}
        if set(values) != names:
            wrong = sorted(names ^ set(values))
            raise InputError(f"a record has exactly the keys {', '.join(sorted(names))}; check {', '.join(wrong)}")
        try:
            return cls(
                **{
                    **values,
                    "size": (int(values["size"][0]), int(values["size"][1])),
                    "outcome": Outcome(values["outcome"]),
                    **{key: tuple(values[key]) for key in _TUPLES},
                    "spacing": None if values["spacing"] is None else _numbers(values["spacing"], 2),
                    "truth_boxes": tuple(_numbers(box, 4) for box in values["truth_boxes"]),
                }
            )
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"a record that makes no sense: {error}") from None


_TUPLES = ("repairs", "prompts", "masks", "mask_scores", "truth_instances")


def _numbers(values: Sequence[float], count: int) -> Any:
    if len(values) != count:
        raise ValueError(f"needs {count} numbers, got {values}")
    return tuple(map(float, values))


def _prompt(frame: Frame, values: Mapping[str, Any]) -> Prompt:
    return Prompt(
        frame,
        box=None if values["box"] is None else tuple(values["box"]),
        points=tuple(map(tuple, values["points"])),
        point_labels=tuple(values["point_labels"]),
        label=values["label"],
        score=values["score"],
    )


def read_records(path: str | Path) -> Iterator[Record]:
    """Read the records of a file one by one, in the order in which they were written.

    A last line that was cut off while it was written is skipped; the run that wrote it does that sample again.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                where = f"{path}, line {number}"
                try:
                    record = Record.from_json(parse_json(line, where, kind=dict))
                except InputError as error:
                    reason = str(error).removeprefix(f"{where}: ")
                    raise InputError(f"{where}: not a record ({reason}): was the file edited?") from None
                yield record
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def encode(record: Record) -> bytes:
    """Write a record as one line of JSON in UTF-8, its end included."""
    text = json.dumps(record.as_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


class RecordFile:
    """A file of records to which one process appends (see :class:`fiducial.files.LineFile`).

    A record that was cut off is dropped when the file is opened again, so its sample is done anew.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines = LineFile(self.path)
        try:
            self.done = {record.index: record.digest for record in read_records(self.path)}
        except InputError:
            self._lines.close()
            raise

    def append(self, record: Record) -> None:
        """Write one record and wait until the disk has it."""
        if record.index in self.done:
            raise InputError(f"{self.path}: sample {record.index} ({record.id}) has a record already")
        self._lines.append(encode(record))
        self.done[record.index] = record.digest

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_records(path: Path, records: Sequence[Record]) -> Path:
    """Write a whole file of records at once, or not at all."""
    return write_atomically(path, b"".join(map(encode, records)))
