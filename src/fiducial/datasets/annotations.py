"""Annotation files in COCO's JSON: images, categories and annotations, kept small, masks made on demand."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.datasets.files import read_json
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompts


@dataclass(frozen=True, slots=True)
class Picture:
    """One entry of ``images``: file name and height, width in pixels."""

    id: int
    file_name: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One entry of ``annotations``: an instance, or a crowd region.

    Args:
        id: the annotation's number.
        image_id: the picture it belongs to.
        category_id: its class, or None.
        segmentation: flat polygons, a run-length code, a list of codes, or None.
        box: x1, y1, x2, y2 in pixels, or None where the file has no box with an extent.
        crowd: whether it covers a group that nobody outlined one by one.
    """

    id: int
    image_id: int
    category_id: int | None
    segmentation: Any
    box: tuple[float, float, float, float] | None
    crowd: bool

    def mask(self, size: tuple[int, int], where: Path) -> Mask:
        """Decode the mask; several polygons or codes are joined.

        Args:
            size: height, width of its picture in pixels.
            where: the file, for messages.

        Raises:
            InputError: there is no segmentation, or it is broken.
        """
        if self.segmentation is None:
            raise InputError(f"{where}: annotation {self.id} has no segmentation")
        try:
            return decode(self.segmentation, size)
        except GeometryError as error:
            raise InputError(f"{where}: annotation {self.id}: {error}") from None


class AnnotationFile:
    """A COCO JSON file.

    Args:
        path: the file; ``images`` and ``annotations`` are needed, ``categories`` may be missing.

    Raises:
        InputError: not such a file, or an entry in it is broken or stands there twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = read_json(path, hook=_compact)
        for key in ("images", "annotations"):
            if not isinstance(found.get(key), list):
                raise InputError(f"{path}: no list {key!r}: is this a COCO annotation file?")
        self.pictures = _by_id([self._picture(entry) for entry in found["images"]], "images", path)
        entries = [self._annotation(entry, number) for number, entry in enumerate(found["annotations"])]
        self.annotations = _by_id(entries, "annotations", path)
        self.categories = self._categories(found.get("categories") or [])
        lost = next((entry for entry in entries if entry.image_id not in self.pictures), None)
        if lost is not None:
            raise InputError(f"{path}: annotation {lost.id} belongs to image {lost.image_id}, which is not listed")

    def of_pictures(self) -> dict[int, list[Annotation]]:
        """Group the annotations by picture, in the order of the file; pictures without any are there too."""
        groups: dict[int, list[Annotation]] = {number: [] for number in self.pictures}
        for annotation in self.annotations.values():
            groups[annotation.image_id].append(annotation)
        return groups

    def label(self, category_id: int | None) -> str:
        """Name a category.

        Raises:
            InputError: the file has no such category.
        """
        if category_id not in self.categories:
            raise InputError(f"{self.path}: category {category_id} is not listed")
        return self.categories[category_id]

    def _picture(self, entry: Any) -> Picture:
        try:
            number, name = entry["id"], entry["file_name"]
            size = (int(entry["height"]), int(entry["width"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{self.path}: an image needs id, file_name, height and width, got {str(entry)[:120]}"
            ) from None
        if min(size) <= 0 or not isinstance(name, str) or not isinstance(number, (int, str)):
            raise InputError(f"{self.path}: image {number!r} has no name, or no extent ({size[0]} x {size[1]})")
        return Picture(number, name, size)  # type: ignore[arg-type]

    def _annotation(self, entry: Any, number: int) -> Annotation:
        if not isinstance(entry, Annotation):
            raise InputError(f"{self.path}: an annotation needs image_id, got {str(entry)[:120]}")
        if entry.id is None:
            return Annotation(number, entry.image_id, entry.category_id, entry.segmentation, entry.box, entry.crowd)
        return entry

    def _categories(self, entries: Any) -> dict[int | None, str]:
        try:
            return {entry["id"]: str(entry["name"]) for entry in entries}
        except (KeyError, TypeError):
            raise InputError(f"{self.path}: a category needs id and name") from None


def truth_boxes(
    instances: Sequence[Annotation],
    size: tuple[int, int],
    labels: Sequence[str],
    where: Path,
    *,
    needed: bool = False,
) -> Prompts | None:
    """Take the boxes that the file gives, where it gives one for each instance; else None.

    Args:
        instances: the annotations.
        size: height, width of their picture in pixels.
        labels: one per annotation.
        where: the file, for messages.
        needed: there are no masks, so a box that is missing is an error.

    Raises:
        InputError: a box is needed and missing.
    """
    lost = next((annotation for annotation in instances if annotation.box is None), None)
    if lost is not None and needed:
        raise InputError(f"{where}: annotation {lost.id} has neither a segmentation nor a box with an extent")
    if lost is not None or not instances:
        return None
    boxes = [annotation.box for annotation in instances if annotation.box is not None]
    return Prompts.from_boxes(Frame.pixels(size[1], size[0]), boxes, labels=list(labels))


def decode(segmentation: Any, size: tuple[int, int]) -> Mask:
    """Turn a COCO ``segmentation`` into a mask: polygons, a run-length code, or a list of codes.

    Args:
        segmentation: as in the file, or compacted.
        size: height, width of the picture in pixels.

    Raises:
        GeometryError: it is none of these, or of another size.
    """
    if isinstance(segmentation, Sequence) and segmentation and isinstance(segmentation[0], Mapping):
        return Mask.empty(*size).union(*(Mask.from_coco(code, *size) for code in segmentation))
    if not isinstance(segmentation, (Mapping, list)):
        raise GeometryError(f"a segmentation is a list of polygons or a run-length code, got {segmentation!r:.60}")
    try:
        return Mask.from_coco(segmentation, *size)
    except (TypeError, ValueError):
        raise GeometryError("a segmentation whose polygons are no lists of numbers") from None


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
        box=_box(entry.get("bbox")),
        crowd=bool(entry.get("iscrowd", 0)),
    )


def _segmentation(given: Any) -> Any:
    if not given:
        return None
    if isinstance(given, list):
        return [_packed(part, "d") if isinstance(part, list) else part for part in given]
    return given


def _packed(numbers: list[Any], kind: str) -> Any:
    """Pack numbers into an array of C doubles or long integers; what is no number stays, to be told of later."""
    try:
        return array(kind, numbers)
    except (TypeError, OverflowError):
        return numbers


def _box(given: Any) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(value) for value in given)
    except (TypeError, ValueError):
        return None
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _by_id(entries: Iterable[Any], what: str, path: Path) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for entry in entries:
        if entry.id in found:
            raise InputError(f"{path}: two {what} share the id {entry.id}")
        found[entry.id] = entry
    return found
