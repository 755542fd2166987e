"""COCO JSON: entries are kept small as soon as they are read, and masks are made when they are asked for."""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fiducial.datasets.configs import CocoConfig, PathConfig
from fiducial.datasets.files import LayoutError, choose_splits, count_of, locate
from fiducial.datasets.sample import Listing, Sample
from fiducial.errors import GeometryError, InputError
from fiducial.files import read_json
from fiducial.geometry import Box, Frame, Mask, Prompts

EXPECTED = """
folder/                       or the JSON file itself
  instances.json              or annotations.json, _annotations.coco.json,
                              or annotations/instances_SPLIT.json, one per split
  images/                     or SPLIT/, images/SPLIT/, or beside the JSON file
    0001.jpg
"""
logger = logging.getLogger(__name__)

_PREFIXES = ("annotations/instances_",)
_SINGLE = ("instances.json", "annotations.json", "_annotations.coco.json")


def open_coco(config: CocoConfig) -> Listing:
    """Open a COCO dataset.

    Each picture gives one sample per class that stands in it (or one in all: ``per="image"``), whose instruction is
    the name of the class; crowd regions of the class are ignored, not targets, and pictures without any instance give
    no sample. Boxes are those of the file where it has one for every instance. Where no instance of a sample has a
    segmentation it has boxes and no masks; where some have one, the box of each other counts as its mask. An instance
    with neither, and a ring that is none, is left out and named in a warning.
    """
    files = annotation_files(config, _SINGLE, _PREFIXES, EXPECTED)
    splits = choose_splits(files, config.split, config.path)
    rows = (row for split in splits for row in _rows(config, AnnotationFile(files[split]), split))
    return Listing(config.name, config.path, rows)


def is_coco(root: Path) -> bool:
    """Say whether a COCO JSON file lies where it is expected."""
    if root.is_file():
        return root.suffix.lower() == ".json"
    if next(root.glob("*refs(*).*"), None) is not None:
        return False
    return any((root / name).is_file() for name in _SINGLE) or bool(split_files(root, _PREFIXES))


def annotation_files(
    config: CocoConfig, single: Sequence[str], prefixes: Sequence[str], expected: str
) -> dict[str, Path]:
    """Find the JSON file (the path itself, or one of the names), or one per split; by split, "" where there is one."""
    root = config.path
    if root.is_file():
        return {"": root}
    for name in single:
        if (root / name).is_file():
            return {"": root / name}
    found = split_files(root, prefixes)
    if not found:
        raise LayoutError(root, config.name, expected, "there is no annotation file")
    return found


def split_files(root: Path, prefixes: Sequence[str]) -> dict[str, Path]:
    """Find ``PREFIX + SPLIT + .json``, by split."""
    found = [(Path(prefix).name, path) for prefix in prefixes for path in sorted(root.glob(f"{prefix}?*.json"))]
    return {path.stem.removeprefix(prefix): path for prefix, path in found}


def sample_id(split: str, image: object, category: object) -> str:
    """Join what is known of split, image and category."""
    return "-".join(str(part) for part in (split, image, category) if part not in ("", None))


def files_of_images(
    config: PathConfig, source: Path, what: str, names: Sequence[str], folders: Sequence[Path], expected: str
) -> dict[str, Path]:
    """Find files that an annotation file names, where they usually lie; none may be missing."""
    folder, paths, missing = locate(folders, names)
    if missing:
        found = f"{len(missing)} of {len(paths)} {what} of {source.name} are not in {folder}"
        raise LayoutError(config.path, config.name, expected, f"{found}: {count_of(missing)}")
    return paths


def _rows(config: CocoConfig, file: AnnotationFile, split: str) -> Iterator[tuple[str, Callable[[str], Sample]]]:
    if not file.images:
        raise InputError(f"{file.path}: no image is listed")
    home = config.path if config.path.is_dir() else config.path.parent
    usual = [home / "images" / split, home / split, home / "images", home]
    folders = [home / config.images] if config.images else usual
    names = [image.file_name for image in file.images.values()]
    paths = files_of_images(config, file.path, "pictures", names, folders, EXPECTED)
    for number, present in file.by_image().items():
        groups: dict[str | None, list[Annotation]] = {None: present} if config.per == "image" else {}
        for annotation in present if config.per == "category" else ():
            groups.setdefault(file.label(annotation.category_id), []).append(annotation)
        for label, members in groups.items():
            single = tuple(one for one in members if not one.crowd)
            if single:
                image, crowds = file.images[number], tuple(one for one in members if one.crowd)
                key = sample_id(split, image.id, None if label is None else single[0].category_id)
                yield key, partial(_sample, file, image, paths[image.file_name], split, label, single, crowds)


def _sample(
    file: AnnotationFile,
    image: ImageEntry,
    path: Path,
    split: str,
    label: str | None,
    instances: tuple[Annotation, ...],
    crowds: tuple[Annotation, ...],
    key: str,
) -> Sample:
    size, where = image.size, file.path
    instances, masks = instances_of(instances, size, where)
    labels = tuple(file.label(annotation.category_id) for annotation in instances)
    ignored = [annotation.mask(size, where) for annotation in crowds if annotation.segmentation is not None]
    return Sample(
        id=key,
        image_path=path,
        picture=None,
        instruction="all objects" if label is None else label.replace("_", " "),
        instances=masks,
        size=size,
        labels=labels,
        boxes=boxes_of(instances, size, labels, where, needed=masks is None),
        ignore=Mask.empty(*size).union(*ignored) if ignored else None,
        split=split,
        meta={"image_id": image.id, "annotation_ids": [annotation.id for annotation in instances]},
    )


# -- annotation files ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One entry of ``images``: file name and height, width in pixels."""

    id: int
    file_name: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One entry of ``annotations``: an instance, or a crowd region that nobody outlined one by one.

    Args:
        segmentation: flat polygons, a run-length code, a list of codes, or None.
        bbox: x, y, width, height in pixels, as the file has it.
        instruction_id: which of several instructions about the picture it belongs to, in files of predictions.
        outcome: how asking ended, in files of predictions.
    """

    id: int
    image_id: int
    category_id: int | None
    segmentation: Any
    bbox: Any
    crowd: bool
    instruction_id: Any = None
    outcome: Any = None

    @property
    def box(self) -> Box | None:
        """Corners x1, y1, x2, y2 in pixels, or None where the file has no box with an extent."""
        try:
            x, y, width, height = (float(value) for value in self.bbox)
        except (TypeError, ValueError, OverflowError):
            return None
        corners = (x, y, x + width, y + height)
        return corners if width > 0 and height > 0 and all(map(math.isfinite, corners)) else None

    def mask(self, size: tuple[int, int], where: Path) -> Mask:
        """Decode the mask for a picture of height, width in pixels; errors name the file (``where``).

        A ring that is none is left out where others are fine, and named in a warning.
        """
        if self.segmentation is None:
            raise InputError(f"{where}: annotation {self.id} has no segmentation")
        try:
            return decode(self.segmentation, size, f"{where}: annotation {self.id}")
        except GeometryError as error:
            raise InputError(f"{where}: annotation {self.id}: {error}") from None


class AnnotationFile:
    """A COCO JSON file.

    Args:
        path: the file; ``images`` and ``annotations`` are needed, ``categories`` may be missing.
        results: the file may be one of predictions: a list of annotations alone, whose images are not listed or may
            have no file name, with ``instructions`` if there are several about one. Annotations are numbered by place.

    Raises:
        InputError: not such a file, or an entry in it is broken or stands there twice.
    """

    def __init__(self, path: Path, *, results: bool = False) -> None:
        self.path = path
        found = read_json(path, hook=_compact, kind=None if results else dict)
        if results:
            found = {"images": [], "instructions": [], **(found if isinstance(found, dict) else {"annotations": found})}
        for key in ("images", "annotations", *(["instructions"] if results else [])):
            if not isinstance(found.get(key), list):
                raise InputError(f"{path}: no list {key!r}: is this a COCO annotation file?")
        images = [self._image(entry, place, named=not results) for place, entry in enumerate(found["images"])]
        self.images = _by_id(images, "images", path)
        texts = {str(number): number for number in self.images}  # "7" in one place, 7 in another
        entries = [
            self._annotation(entry, place, texts, numbered=results) for place, entry in enumerate(found["annotations"])
        ]
        self.annotations = _by_id(entries, "annotations", path)
        self.instructions: list[Any] = found.get("instructions", [])
        self.categories = self._categories(found.get("categories") or [])
        lost = next((entry for entry in entries if entry.image_id not in self.images), None)
        if lost is not None and not results:
            raise InputError(f"{path}: annotation {lost.id} belongs to image {lost.image_id}, which is not listed")

    def by_image(self) -> dict[int, list[Annotation]]:
        """Group the annotations by picture, in the order of the file; pictures without any are there too."""
        groups: dict[int, list[Annotation]] = {number: [] for number in self.images}
        for annotation in self.annotations.values():
            groups[annotation.image_id].append(annotation)
        return groups

    def label(self, category_id: int | None) -> str:
        """Name a category; an InputError where the file has none such."""
        if category_id not in self.categories:
            texts = {str(number): name for number, name in self.categories.items()}
            if str(category_id) not in texts:
                raise InputError(f"{self.path}: category {category_id} is not listed")
            return texts[str(category_id)]
        return self.categories[category_id]

    def _image(self, entry: Any, place: int, *, named: bool) -> ImageEntry:
        try:
            number, name = entry["id"], entry["file_name"] if named else str(entry.get("file_name") or "")
            size = (int(entry["height"]), int(entry["width"]))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            needed = f"id, {'file_name, ' if named else ''}height and width"
            raise InputError(f"{self.path}, images[{place}]: needs {needed}, got {str(entry)[:120]}") from None
        if min(size) <= 0 or not isinstance(name, str) or not isinstance(number, (int, str)):
            raise InputError(f"{self.path}: image {number!r} has no name, or no extent ({size[0]} x {size[1]})")
        return ImageEntry(number, name, size)  # type: ignore[arg-type]

    def _annotation(self, entry: Any, place: int, images: Mapping[str, int], *, numbered: bool) -> Annotation:
        if not isinstance(entry, Annotation):
            raise InputError(f"{self.path}, annotations[{place}]: needs an image_id, got {str(entry)[:120]}")
        for key in ("id", "image_id", "category_id"):
            if not isinstance(value := getattr(entry, key), (int, str, float, type(None))):
                raise InputError(f"{self.path}, annotations[{place}]: {key} is a number or a text, got {value!r:.60}")
        if not isinstance(entry.crowd, bool):
            raise InputError(f"{self.path}, annotations[{place}]: iscrowd is 0 or 1, got {entry.crowd!r:.60}")
        image = entry.image_id if entry.image_id in self.images else images.get(str(entry.image_id), entry.image_id)
        return replace(entry, id=place if numbered or entry.id is None else entry.id, image_id=image)

    def _categories(self, entries: Any) -> dict[int | None, str]:
        try:
            return {entry["id"]: str(entry["name"]) for entry in entries}
        except (KeyError, TypeError):
            raise InputError(f"{self.path}: a category needs id and name") from None


def boxes_of(
    instances: Sequence[Annotation], size: tuple[int, int], labels: Sequence[str], where: Path, *, needed: bool = False
) -> Prompts | None:
    """Take the boxes of the file where it has one for each instance; else None, or an error where they are needed."""
    lost = next((annotation for annotation in instances if annotation.box is None), None)
    if lost is not None and needed:
        raise InputError(f"{where}: annotation {lost.id} has neither a segmentation nor a box with an extent")
    if lost is not None or not instances:
        return None
    boxes = [annotation.box for annotation in instances if annotation.box is not None]
    return Prompts.from_boxes(Frame.pixels(size[1], size[0]), boxes, labels=list(labels))


def instances_of(
    annotations: Sequence[Annotation], size: tuple[int, int], where: Path
) -> tuple[tuple[Annotation, ...], tuple[Mask, ...] | None]:
    """Return the instances that can be used and a mask of height, width each, or None where there are boxes alone.

    Where some have a segmentation, the box of each other counts as its mask, and a warning says so; what has neither
    is left out and named.

    Raises:
        InputError: a segmentation that cannot be read, or no instance that can be used.
    """
    kept = tuple(one for one in annotations if one.segmentation is not None or one.box is not None)
    lost = [
        f"annotation {one.id} has neither a segmentation nor a box with an extent"
        for one in annotations
        if one not in kept
    ]
    if annotations and not kept:
        raise InputError(f"{where}: {lost[0]}")
    for line in lost:
        warn(f"{where}: {line}: it is left out")
    if all(one.segmentation is None for one in kept):
        return kept, None if kept else ()
    return kept, tuple(_mask_or_box(one, size, where) for one in kept)


def _mask_or_box(annotation: Annotation, size: tuple[int, int], where: Path) -> Mask:
    if annotation.segmentation is not None or annotation.box is None:
        return annotation.mask(size, where)
    warn(f"{where}: annotation {annotation.id} has no segmentation, as others of its picture have: its box is its mask")
    return Mask.from_box(annotation.box, *size)


@lru_cache(maxsize=1 << 12)
def warn(text: str) -> None:
    """Say once what is odd in a file, however often it is read."""
    logger.warning("%s", text)


def decode(segmentation: Any, size: tuple[int, int] | None, where: str) -> Mask:
    """Turn polygons, a run-length code, or a list of codes into a mask of height, width; codes know their size too.

    A ring that is none (fewer than three points, numbers that are not finite) is left out where others are fine; a
    warning names it by ``where``.
    """
    height, width = size or (None, None)
    if isinstance(segmentation, Sequence) and segmentation and isinstance(segmentation[0], Mapping):
        first, *others = (Mask.from_coco(code, height, width) for code in segmentation)
        return first.union(*others)
    if not isinstance(segmentation, (Mapping, list)):
        raise GeometryError(f"a segmentation is a list of polygons or a run-length code, got {segmentation!r:.60}")
    try:
        return Mask.from_coco(segmentation, height, width)
    except (TypeError, ValueError, GeometryError) as error:
        parts = [] if isinstance(segmentation, Mapping) or size is None else _rings(segmentation, size, where)
        if parts:
            return parts[0].union(*parts[1:])
        if isinstance(error, GeometryError):
            raise
        raise GeometryError("a segmentation whose polygons are no lists of numbers") from None


def _rings(polygons: Sequence[Any], size: tuple[int, int], where: str) -> list[Mask]:
    """Fill those rings that are some, and name the others."""
    found, lost = list[Mask](), list[str]()
    for number, ring in enumerate(polygons, start=1):
        try:
            found.append(Mask.from_coco([ring], *size))
        except (TypeError, ValueError, GeometryError) as error:
            lost.append(f"{where}: ring {number} of {len(polygons)} is left out ({error})")
    for line in lost if found else ():
        warn(line)
    return found


def _compact(entry: dict[str, Any]) -> Any:
    """Make entries small as soon as the reader has them: numbers as arrays, annotations without extras."""
    if "counts" in entry and isinstance(entry["counts"], list):
        entry["counts"] = _packed(entry["counts"], "q")
    if "image_id" not in entry:
        return entry
    return Annotation(
        id=entry.get("id"),  # type: ignore[arg-type]
        image_id=entry["image_id"],
        category_id=entry.get("category_id"),
        segmentation=_segmentation(entry.get("segmentation")),
        bbox=_packed(entry["bbox"], "d") if isinstance(entry.get("bbox"), list) else entry.get("bbox"),
        crowd=_FLAGS.get(str(entry.get("iscrowd", 0)).strip().lower(), entry.get("iscrowd")),  # type: ignore[arg-type]
        instruction_id=entry.get("instruction_id"),
        outcome=entry.get("outcome"),
    )


_FLAGS = {"0": False, "0.0": False, "false": False, "none": False, "": False, "1": True, "1.0": True, "true": True}
"""How files write whether a region is a crowd."""


def _segmentation(given: Any) -> Any:
    if not given:
        return None
    if isinstance(given, list):
        return [_packed(part, "d") if isinstance(part, list) else part for part in given]
    return given


def _packed(numbers: list[Any], kind: str) -> Any:
    """Pack numbers into an array of C doubles or long integers; what is no number stays, to be refused later."""
    try:
        return array(kind, numbers)
    except (TypeError, OverflowError):
        return numbers


def _by_id(entries: Iterable[Any], what: str, path: Path) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for entry in entries:
        if entry.id in found:
            raise InputError(f"{path}: two {what} share the id {entry.id}")
        found[entry.id] = entry
    return found
