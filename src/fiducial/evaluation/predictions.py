"""Predictions and truth made elsewhere: COCO JSON, or folders of mask PNGs with the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fiducial.datasets.files import read_values
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Box, Mask
from fiducial.language import Outcome

INSTRUCTION = "instruction_id"
"""Key of an annotation that names the instruction it belongs to, where a picture has several."""

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """What is predicted, or true, for one sample.

    Args:
        size: height, width of the picture in pixels; None where nothing tells it.
        masks: each predicted or true mask.
        boxes: x1, y1, x2, y2 in pixels where there are boxes and no masks.
        outcome: how asking ended, where the file tells; None: it follows from what there is.
        ignore: pixels that count for nothing (crowds of COCO).
    """

    size: tuple[int, int] | None
    masks: tuple[Mask, ...] = ()
    boxes: tuple[Box, ...] = ()
    outcome: Outcome | None = None
    ignore: Mask | None = None

    @property
    def mask(self) -> Mask | None:
        """The union of the masks; None where there is none."""
        return self.masks[0].union(*self.masks[1:]) if self.masks else None


Sizes = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Side:
    """Predictions, or the truth.

    Args:
        entries: by sample: the instruction's id where there is one, else the image's id, or a mask file's name
            without its suffix.
        sizes: height, width by image id.
        by: what the samples are named by, for messages.
    """

    entries: Mapping[str, Entry]
    sizes: Sizes
    by: str


def read_side(path: str | Path, sizes: Sizes | None = None) -> Side:
    """Read predictions or truth.

    Args:
        path: a COCO JSON file (instances, or a bare list of results), or a folder of masks.
        sizes: height, width per image id, for polygons in a list of results.

    Raises:
        InputError: nothing there, or something that is neither; the message names the place.
    """
    path = Path(path)
    if path.is_dir():
        return read_folder(path)
    return read_coco(path, sizes or {})


# -- folders ----------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Side:
    """Read a folder of masks, one picture per sample; what is not zero is on the mask."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in MASK_SUFFIXES)
    if not files:
        raise InputError(f"{folder}: holds no mask pictures ({', '.join(sorted(MASK_SUFFIXES))})")
    found: dict[str, Entry] = {}
    for path in files:
        if path.stem in found:
            raise InputError(f"{folder}: two masks are called {path.stem}")
        found[path.stem] = _mask_file(path)
    return Side(found, {}, "file name")


def _mask_file(path: Path) -> Entry:
    values = read_values(path)
    return Entry((values.shape[0], values.shape[1]), (Mask.from_dense(values != 0),))


# -- COCO -------------------------------------------------------------------------------------------


def read_coco(path: Path, sizes: Sizes) -> Side:
    """Read COCO instances (images and annotations), or the list of annotations that result files are."""
    document = _load(path)
    if isinstance(document, list):
        return _gather(path, document, {}, sizes)
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise InputError(f"{path}: needs COCO JSON: an object with images and annotations, or a list of results")
    images = document.get("images", [])
    instructions = document.get("instructions")
    if not isinstance(images, list) or not isinstance(instructions, list | None):
        raise InputError(f"{path}: its images and instructions are lists")
    known = dict(_image(path, place, image) for place, image in enumerate(images))
    if instructions is None:
        started = {name: Entry(size) for name, size in known.items()}
    else:
        started = _instructions(path, instructions, known)
    return _gather(path, document["annotations"], started, {**sizes, **known})


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None


def _image(path: Path, place: int, image: Any) -> tuple[str, tuple[int, int]]:
    try:
        return str(image["id"]), (int(image["height"]), int(image["width"]))
    except (TypeError, KeyError, ValueError):
        raise InputError(f"{path}, images[{place}]: needs id, height and width") from None


def _instructions(path: Path, listed: Sequence[Any], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Entry]:
    """Read the list of instructions, through which a sample without an annotation (no target) is known."""
    found: dict[str, Entry] = {}
    for place, told in enumerate(listed):
        try:
            found[str(told["id"])] = Entry(sizes[str(told["image_id"])])
        except (TypeError, KeyError):
            raise InputError(f"{path}, instructions[{place}]: needs an id and the image_id of a listed image") from None
    return found


def _gather(path: Path, annotations: Sequence[Any], started: Mapping[str, Entry], sizes: Sizes) -> Side:
    """Unite annotations per instruction, or per image where they name none."""
    for place, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or "image_id" not in annotation:
            raise InputError(f"{path}, annotations[{place}]: needs an image_id")
    named = any(INSTRUCTION in annotation for annotation in annotations)
    # Where annotations name instructions, these are the samples, and not the images that were listed.
    found = dict(started) if not named or not set(started) <= set(sizes) else {}
    for place, annotation in enumerate(annotations):
        where = f"{path}, annotations[{place}]"
        if named and INSTRUCTION not in annotation:
            raise InputError(f"{where}: has no {INSTRUCTION}, which others here have")
        name = str(annotation[INSTRUCTION if named else "image_id"])
        size = sizes.get(str(annotation["image_id"]))
        found[name] = _joined(found.get(name, Entry(size)), annotation, size, where)
    return Side(found, sizes, INSTRUCTION if named else "image_id")


def _joined(entry: Entry, annotation: Mapping[str, Any], size: tuple[int, int] | None, where: str) -> Entry:
    outcome = _outcome(annotation.get("outcome"), where)
    entry = replace(entry, outcome=outcome or entry.outcome)
    try:
        if annotation.get("segmentation"):
            return _with_mask(entry, annotation, size)
        if annotation.get("bbox"):
            x, y, width, height = (float(value) for value in annotation["bbox"])
            return replace(entry, boxes=(*entry.boxes, (x, y, x + width, y + height)))
    except (GeometryError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from None
    return entry


def _with_mask(entry: Entry, annotation: Mapping[str, Any], size: tuple[int, int] | None) -> Entry:
    mask = Mask.from_coco(annotation["segmentation"], *(size or (None, None)))
    held = (mask.height, mask.width)
    if entry.size not in (None, held):
        raise GeometryError(f"a mask of {held[0]} x {held[1]} in a sample of {entry.size}")
    if not annotation.get("iscrowd"):
        return replace(entry, masks=(*entry.masks, mask), size=held)
    return replace(entry, ignore=mask if entry.ignore is None else entry.ignore.union(mask), size=held)


def _outcome(text: Any, where: str) -> Outcome | None:
    if text is None:
        return None
    try:
        return Outcome(text)
    except ValueError:
        raise InputError(f"{where}: its outcome is one of {', '.join(Outcome)}, got {text!r}") from None


def listed(names: Sequence[str]) -> str:
    """Name the first few of many."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
