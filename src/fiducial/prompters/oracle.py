"""The oracle prompter: prompts that somebody else wrote, for evaluation and for boxes drawn by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fiducial.contracts import paired
from fiducial.datasets.coco import Annotation, AnnotationFile
from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.files import parse_json, read_text
from fiducial.geometry import Box, Frame, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.language.phrases import same_noun

_SHOWN = 5
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is known of one image."""

    image: str  # its name or digest
    instruction: str | None  # what the prompts answer; None when they answer anything
    prompts: Prompts  # in any frame
    where: str  # the place it was read from, for messages
    size: tuple[float, float] | None = None  # width, height in pixels of the picture that the prompts were made for
    outcome: Outcome | None = None  # how the answer ended; None: found, or no target when there is no prompt


class FixedPrompter:
    """Gives one answer, whatever it is asked, in the frame of the picture asked about."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Give the answer, once per image."""
        return [self._answer.to(image.frame) for image, _ in paired(images, instructions)]


class OraclePrompter:
    """Answers from prompts that are known beforehand.

    An image is looked up by its content digest, then its name, then the file name at the end of its
    name; an instruction by its words, whatever their case and spacing. A file name answers for one picture:
    where two pictures that differ in folder and content are asked about under it, both fail. Prompts that were
    given for no instruction in particular answer every one: where their labels are ``categories`` and the
    instruction names one of them ("all ships" names ``ship``), those of that category.

    An empty list of prompts is the answer "no target". An image or instruction that is not known is
    the outcome ``FAILED`` with a text that says which ones are: one missing entry does not stop a
    batch, and never passes for "nothing there".

    Args:
        answers: per image (name or digest) its prompts, or its prompts per instruction; in any frame.

    Example:
        >>> import numpy as np
        >>> from fiducial.geometry import Frame
        >>> boxes = Prompts.from_boxes(Frame.unit(), [(0.1, 0.2, 0.5, 0.6)], labels=["ship"])
        >>> image = Image(np.zeros((100, 200, 3), np.uint8), name="pictures/harbour.png")
        >>> OraclePrompter({"harbour.png": boxes}).ask([image], ["the ship"])[0].prompts[0].box
        (20.0, 20.0, 100.0, 60.0)
    """

    def __init__(self, answers: Mapping[str, Prompts | Mapping[str, Prompts]]) -> None:
        self._fill(
            _Entry(image, instruction, prompts, repr(image))
            for image, known in answers.items()
            for instruction, prompts in (known if isinstance(known, Mapping) else {None: known}).items()
        )

    @classmethod
    def from_file(cls, path: str | Path) -> OraclePrompter:
        """Read prompts from a JSON or JSON Lines file.

        Two layouts are understood:

        - fiducial's own: one object per line (or a list of them, or one alone) with ``image``, ``prompts``
          (objects with ``box`` x1, y1, x2, y2 and/or ``points`` and ``point_labels``, ``label``, ``score``),
          ``width`` and ``height`` in pixels, or else ``frame`` (left, top, right, bottom), and perhaps
          ``instruction`` and ``outcome``;
        - COCO instances: the boxes of each ``file_name``, labelled with their category.

        Raises:
            InputError: no such file, not UTF-8, broken JSON, or an entry that is not as above.
        """
        path = Path(path)
        oracle = cls({})
        records = _records(path)
        if len(records) == 1 and isinstance(records[0][1], dict) and "annotations" in records[0][1]:
            file = AnnotationFile(path)
            oracle._fill(_read_coco(file), frozenset(file.categories.values()))
        else:
            oracle._fill([_read_entry(record, where) for where, record in records])
        return oracle

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it from what is known, in the pixels of the image.

        Two pictures of one whole name, which may be one picture at two sizes, are both answered, and the text of the
        later one says so.
        """
        asked = list(paired(images, instructions))
        looked_up = [self._look_up(image) for image in images]  # all of them first: their order must not matter
        return [self._answer(image, words, *found) for (image, words), found in zip(asked, looked_up, strict=True)]

    def _fill(self, entries: Iterable[_Entry], categories: frozenset[str] = frozenset()) -> None:
        self._categories = categories
        self._entries: dict[str, dict[str | None, _Entry]] = {}
        self._by_file: dict[str, set[str]] = {}
        self._met: dict[str, tuple[str, str]] = {}
        self._mixed: dict[str, tuple[str, str]] = {}
        for entry in entries:
            known = self._entries.setdefault(entry.image, {})
            key = _key(entry.instruction)
            if key in known:
                raise InputError(f"{entry.where}: the image {entry.image!r} has an answer to this instruction already")
            known[key] = entry
            self._by_file.setdefault(_file_name(entry.image), set()).add(entry.image)

    def _look_up(self, image: Image) -> tuple[str | None, str]:
        """Return under which name an image is known, and a note; remember which picture that name stood for."""
        if image.digest in self._entries:
            return image.digest, ""
        name = self._name_of(image)
        if name is None:
            return None, ""
        digest, called = self._met.setdefault(name, (image.digest, image.name))
        if digest != image.digest and called == image.name:
            return name, f" A different picture named {image.name!r} was asked about before."
        if digest != image.digest:
            self._mixed.setdefault(name, (called, image.name))
        return name, ""

    def _name_of(self, image: Image) -> str | None:
        """Find a known name for an image; a file name that several known images share names none of them."""
        for key in (image.name, _file_name(image.name)):
            if key in self._entries:
                return key
        same_file = self._by_file.get(_file_name(image.name), set())
        return next(iter(same_file)) if len(same_file) == 1 else None

    def _answer(self, image: Image, instruction: str, name: str | None, note: str) -> Answer:
        if name is None:
            shown = _some(self._entries)
            return _failed(image, f"no prompts are known for the image {image.name!r}; known images: {shown}")
        if name in self._mixed and image.name != name and image.digest != name:
            first, second = self._mixed[name]
            return _failed(
                image,
                f"the known name {name!r} fits two different pictures, {first!r} and {second!r}: "
                "write their whole names or their digests in the known prompts",
            )
        known = self._entries[name]
        entry = known.get(_key(instruction)) or known.get(None)
        if entry is None:
            shown = _some(entry.instruction or "" for entry in known.values())
            return _failed(image, f"no prompts are known for {instruction!r} in {name!r}; known instructions: {shown}")
        # The proportions have to be those that the prompts were made for; the size may differ.
        if entry.size and abs(entry.size[0] * image.height / (entry.size[1] * image.width) - 1) > _ASPECT_TOLERANCE:
            made = f"{entry.size[0]:g} x {entry.size[1]:g}"
            return _failed(
                image,
                f"the prompts of {name!r} were made for {made} pixels, the image has {image.width} x {image.height}",
            )
        named = _named(instruction, self._categories) if entry.instruction is None else frozenset()
        items = tuple(prompt for prompt in entry.prompts if not named or prompt.label in named)
        outcome = entry.outcome or (Outcome.FOUND if items else Outcome.NO_TARGET)
        which = f" of {', '.join(sorted(named))}" if named else ""
        text = f"{len(items)} known {'prompt' if len(items) == 1 else 'prompts'}{which} for {name!r}."
        return Answer(outcome, Prompts(entry.prompts.frame, items).to(image.frame), text=text + note)


def _key(instruction: str | None) -> str | None:
    return None if instruction is None else " ".join(instruction.casefold().split())


def _file_name(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _named(instruction: str, categories: frozenset[str]) -> frozenset[str]:
    """Return the categories that an instruction names, in the singular or plural."""
    words = instruction.casefold().split()
    found = set()
    for category in categories:
        length = len(category.replace("_", " ").split())
        runs = (" ".join(words[k : k + length]).strip(".,;:!?'\"") for k in range(len(words) - length + 1))
        if any(same_noun(run, category.replace("_", " ")) for run in runs):
            found.add(category)
    return frozenset(found)


def _failed(image: Image, text: str) -> Answer:
    return Answer(Outcome.FAILED, Prompts(image.frame), text=text)


def _some(names: Iterable[str]) -> str:
    known = list(names)
    shown = ", ".join(repr(name) for name in known[:_SHOWN])
    more = len(known) - _SHOWN
    return (shown or "none") + (f" and {more} more" if more > 0 else "")


# -- files ----------------------------------------------------------------------------------------------


def _records(path: Path) -> list[tuple[str, object]]:
    """Read JSON or JSON Lines: what it holds, each with its place."""
    text = read_text(path)
    try:
        document = parse_json(text, path)
    except InputError as error:
        if path.suffix == ".json" and "Extra data" not in str(error):
            raise
        lines = [(f"{path}, line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return [(where, parse_json(line, where)) for where, line in lines]
    if isinstance(document, list):
        return [(f"{path}, entry {number}", record) for number, record in enumerate(document, start=1)]
    return [(str(path), document)]


def _read_coco(file: AnnotationFile) -> Iterator[_Entry]:
    """Make an entry per image, its prompts the labelled boxes of all annotations but crowds."""
    for number, every in file.by_image().items():
        height, width = file.images[number].size
        single = [one for one in every if not one.crowd]
        labels = [file.label(one.category_id) for one in single]
        boxes = [_box_of(one, (height, width), file.path) for one in single]
        prompts = Prompts.from_boxes(Frame.pixels(width, height), boxes, labels=labels)
        yield _Entry(file.images[number].file_name, None, prompts, str(file.path), (width, height))


def _box_of(annotation: Annotation, size: tuple[int, int], where: Path) -> Box:
    """Return the box of the file, or the tight one around the segmentation."""
    box = annotation.box
    if box is None and annotation.segmentation is not None:
        box = annotation.mask(size, where).box
    if box is None:
        raise InputError(f"{where}: annotation {annotation.id} has no box with an extent, and no segmentation either")
    return box


def _read_entry(record: object, where: str) -> _Entry:
    """Read one of fiducial's own records."""
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: needs an object with 'image' and 'prompts', got {type(record).__name__}")
    image, instruction = _field(record, "image", where), record.get("instruction")
    if not isinstance(image, str) or not (instruction is None or isinstance(instruction, str)):
        raise InputError(f"{where}: 'image' and 'instruction' need to be text, got {image!r} and {instruction!r}")
    frame, size = _record_frame(record, where)
    prompts = read_prompts(_field(record, "prompts", where), frame, where)
    return _Entry(image, instruction, prompts, where, size, _outcome(record, prompts, where))


def read_prompts(items: object, frame: Frame, where: str) -> Prompts:
    """Read a list of objects as :meth:`fiducial.geometry.Prompts.as_json` writes them, in the numbers of a frame.

    Raises:
        InputError: it is something else; ``where`` begins the message.
    """
    if not isinstance(items, list):
        raise InputError(f"{where}: 'prompts' needs to be a list, got {type(items).__name__}")
    numbered = enumerate(items, start=1)
    return Prompts(frame, tuple(_read_prompt(item, frame, f"{where}, prompt {number}") for number, item in numbered))


def _outcome(record: Mapping[str, Any], prompts: Prompts, where: str) -> Outcome | None:
    """Keep how a recorded answer without prompts ended: a failure does not become "no target"."""
    said = record.get("outcome")
    if said is None:
        return None
    if not isinstance(said, str) or said not in set(Outcome):
        raise InputError(f"{where}: unknown outcome {said!r}: known: {', '.join(Outcome)}")
    return None if prompts else Outcome(said)


def _record_frame(record: Mapping[str, Any], where: str) -> tuple[Frame, tuple[float, float] | None]:
    edges = record.get("frame")
    if edges is None:
        frame = _sized(record, where)
        return frame, (frame.width, frame.height)
    try:
        return Frame(*_four(edges, "'frame' needs four numbers left, top, right, bottom", where)), None
    except FrameError as error:
        raise InputError(f"{where}: {error}") from None


def _sized(record: Mapping[str, Any], where: str) -> Frame:
    width, height = _field(record, "width", where), _field(record, "height", where)
    if not (_is_number(width) and _is_number(height) and width > 0 and height > 0):
        raise InputError(f"{where}: 'width' and 'height' need to be positive numbers, got {width!r} and {height!r}")
    return Frame.pixels(width, height)


def _four(values: Any, needed: str, where: str) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4 or not all(map(_is_number, values)):
        raise InputError(f"{where}: {needed}, got {values!r}")
    return values[0], values[1], values[2], values[3]


def _read_prompt(item: object, frame: Frame, where: str) -> Prompt:
    if not isinstance(item, Mapping):
        raise InputError(f"{where}: needs an object with 'box' or 'points', got {type(item).__name__}")
    label, points, kinds = item.get("label"), item.get("points") or (), item.get("point_labels")
    if not (label is None or isinstance(label, str)):
        raise InputError(f"{where}: needs a text as label, got {label!r}")
    try:
        return Prompt(frame, item.get("box"), points, kinds, label, item.get("score"))
    except (GeometryError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from None


def _field(record: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in record:
        raise InputError(f"{where}: {key!r} is missing (there is: {', '.join(map(str, record)) or 'nothing'})")
    return record[key]


def _is_number(value: object) -> bool:
    """Whether a JSON value is a number that fits a coordinate; true is none, and 1e400 neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e15 < value < 1e15
