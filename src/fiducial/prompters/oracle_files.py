"""Files of known prompts: fiducial's own records, and COCO instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fiducial.errors import FrameError, GeometryError, InputError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language import Outcome


@dataclass(frozen=True, slots=True)
class Lines:
    """What JSON Lines held: the number of each line, and its value."""

    records: tuple[tuple[int, object], ...]


@dataclass(frozen=True, slots=True)
class OracleEntry:
    """What is known of one image.

    Args:
        image: its name or digest.
        instruction: what the prompts answer, or None when they answer anything.
        prompts: the prompts, in any frame.
        outcome: how the answer ended, or None: found, or no target when there is no prompt.
        size: width, height in pixels of the picture that the prompts were made for, when known.
        where: the place it was read from, for messages.
    """

    image: str
    instruction: str | None
    prompts: Prompts
    outcome: Outcome | None = None
    size: tuple[float, float] | None = None
    where: str = ""


def read_records(document: object, name: str) -> Iterator[OracleEntry]:
    """Read fiducial's own records.

    Args:
        document: one record, a list of records, or the lines of JSON Lines.
        name: the file, for messages.

    Raises:
        InputError: a record that is not as it should be.
    """
    for where, record in _placed(document, name):
        if not isinstance(record, Mapping):
            raise InputError(f"{where}: needs an object with 'image' and 'prompts', got {type(record).__name__}")
        yield _entry(record, where)


def read_coco(document: Mapping[str, Any], name: str) -> tuple[list[OracleEntry], frozenset[str]]:
    """Read COCO instances: one entry per image, one prompt per annotation, crowds left out.

    Args:
        document: ``images``, ``annotations`` and ``categories``.
        name: the file, for messages.

    Returns:
        The entries, and the names of all categories.

    Raises:
        InputError: a list is missing, an annotation points nowhere, or a box is not valid.
    """
    images = {_field(image, "id", where): (image, where) for where, image in _listed(document, "images", name)}
    listed = _listed(document, "categories", name)
    categories = {_field(item, "id", where): str(_field(item, "name", where)) for where, item in listed}
    prompts: dict[Any, list[Prompt]] = {number: [] for number in images}
    frames = {number: _coco_frame(image, where) for number, (image, where) in images.items()}
    for where, annotation in _listed(document, "annotations", name):
        if annotation.get("iscrowd"):
            continue
        number, category = _field(annotation, "image_id", where), _field(annotation, "category_id", where)
        if number not in images or category not in categories:
            raise InputError(f"{where}: image {number!r} or category {category!r} is not listed in the file")
        prompts[number].append(_coco_prompt(annotation, frames[number], categories[category], where))
    entries = [
        OracleEntry(
            str(_field(image, "file_name", where)),
            None,
            Prompts(frames[number], tuple(prompts[number])),
            size=(frames[number].width, frames[number].height),
            where=where,
        )
        for number, (image, where) in images.items()
    ]
    return entries, frozenset(categories.values())


def _placed(document: object, name: str) -> Iterable[tuple[str, object]]:
    if isinstance(document, list):
        return [(f"{name}, entry {k}", record) for k, record in enumerate(document, start=1)]
    if isinstance(document, Lines):
        return [(f"{name}, line {number}", record) for number, record in document.records]
    return [(name, document)]


def _entry(record: Mapping[str, Any], where: str) -> OracleEntry:
    image, instruction = _field(record, "image", where), record.get("instruction")
    if not isinstance(image, str) or not (instruction is None or isinstance(instruction, str)):
        raise InputError(f"{where}: 'image' and 'instruction' need to be text, got {image!r} and {instruction!r}")
    frame, size = _record_frame(record, where)
    items = _field(record, "prompts", where)
    if not isinstance(items, list):
        raise InputError(f"{where}: 'prompts' needs to be a list, got {type(items).__name__}")
    prompts = [_prompt(item, frame, f"{where}, prompt {k}") for k, item in enumerate(items, start=1)]
    return OracleEntry(
        image, instruction, Prompts(frame, tuple(prompts)), _outcome(record, prompts, where), size, where
    )


def _outcome(record: Mapping[str, Any], prompts: list[Prompt], where: str) -> Outcome | None:
    """Keep how a recorded answer without prompts ended: a failure does not become "no target"."""
    said = record.get("outcome")
    if said is None:
        return None
    if said not in set(Outcome):
        raise InputError(f"{where}: unknown outcome {said!r}: known: {', '.join(Outcome)}")
    return None if prompts else Outcome(said)


def _record_frame(record: Mapping[str, Any], where: str) -> tuple[Frame, tuple[float, float] | None]:
    edges = record.get("frame")
    if edges is not None:
        if not isinstance(edges, list) or len(edges) != 4 or not all(map(_is_number, edges)):
            raise InputError(f"{where}: 'frame' needs four numbers left, top, right, bottom, got {edges!r}")
        try:
            return Frame(*edges), None
        except FrameError as error:
            raise InputError(f"{where}: {error}") from None
    frame = _sized(_field(record, "width", where), _field(record, "height", where), where)
    return frame, (frame.width, frame.height)


def _coco_frame(image: Mapping[str, Any], where: str) -> Frame:
    return _sized(_field(image, "width", where), _field(image, "height", where), where)


def _sized(width: Any, height: Any, where: str) -> Frame:
    if not (_is_number(width) and _is_number(height) and width > 0 and height > 0):
        raise InputError(f"{where}: 'width' and 'height' need to be positive numbers, got {width!r} and {height!r}")
    return Frame.pixels(width, height)


def _prompt(item: object, frame: Frame, where: str) -> Prompt:
    if not isinstance(item, Mapping):
        raise InputError(f"{where}: needs an object with 'box' or 'points', got {type(item).__name__}")
    label, score = item.get("label"), item.get("score")
    points, kinds = item.get("points") or [], item.get("point_labels")
    if not (label is None or isinstance(label, str)) or not (score is None or _is_number(score)):
        raise InputError(f"{where}: needs a text as label and a number as score, got {label!r} and {score!r}")
    if not isinstance(points, list) or not (kinds is None or _are_kinds(kinds)):
        raise InputError(f"{where}: needs lists of points and of point labels 1 or 0, got {points!r} and {kinds!r}")
    given = None if kinds is None else tuple(kinds)
    try:
        return Prompt(frame, item.get("box"), tuple(points), given, label, score)
    except (GeometryError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from None


def _coco_prompt(annotation: Mapping[str, Any], frame: Frame, label: str, where: str) -> Prompt:
    box = _field(annotation, "bbox", where)
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise InputError(f"{where}: 'bbox' needs four numbers x, y, width, height, got {box!r}")
    x, y, width, height = box
    try:
        return Prompt(frame, box=(x, y, x + width, y + height), label=label)
    except GeometryError as error:
        raise InputError(f"{where}: {error}") from None


def _listed(document: Mapping[str, Any], key: str, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    items = document.get(key)
    if not isinstance(items, list):
        raise InputError(f"{name}: COCO instances need a list of {key!r}")
    for k, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InputError(f"{name}, {key}[{k}]: needs an object, got {type(item).__name__}")
    return [(f"{name}, {key}[{k}]", item) for k, item in enumerate(items)]


def _field(record: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in record:
        raise InputError(f"{where}: {key!r} is missing (there is: {', '.join(map(str, record)) or 'nothing'})")
    return record[key]


def _is_number(value: object) -> bool:
    """Whether a JSON value is a number that fits a coordinate; true is none, and 1e400 neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e15 < value < 1e15


def _are_kinds(kinds: object) -> bool:
    return isinstance(kinds, list) and all(kind in (0, 1) for kind in kinds)
