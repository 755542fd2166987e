"""COCO panoptic: one JSON file of segments and PNG pictures whose colours are the segments' ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.datasets.files import locate, read_json, require_size
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing, require_choice
from fiducial.datasets.sample import Sample
from fiducial.errors import ImageError, InputError
from fiducial.geometry import Mask
from fiducial.images import DEFAULT_MAX_PIXELS

EXPECTED = """
folder/                       or the JSON file itself
  panoptic.json               or panoptic_SPLIT.json, or annotations/panoptic_SPLIT.json
  panoptic/                   or panoptic_SPLIT/, beside the JSON file or in the folder
    0001.png                  colour = segment: id = R + 256 G + 65536 B
  images/                     or SPLIT/, images/SPLIT/
    0001.jpg
"""
Per = Literal["category", "image"]
Void = Literal["background", "ignore"]
_SPLIT_FILE = re.compile(r"panoptic_(?P<split>.+)\.json")
# COCO's names of stuff end in how they came about: "wall-other-merged" is a wall to everybody else.
_BOOKKEEPING = re.compile(r"(-other|-merged|-stuff)+$")


@dataclass(frozen=True, slots=True)
class _Segment:
    id: int
    category_id: int
    crowd: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    """One entry of ``annotations`` with its image: names and height, width in pixels."""

    id: int
    image: str
    png: str
    size: tuple[int, int]
    segments: tuple[_Segment, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    picture: _Picture
    image: Path
    png: Path
    split: str
    instruction: str
    category_id: int | None
    segments: tuple[_Segment, ...]
    crowds: tuple[_Segment, ...]
    labels: tuple[str, ...]
    things: tuple[bool, ...]


def open_panoptic(
    root: Path,
    *,
    split: str | None = None,
    per: Per = "category",
    images: str | None = None,
    void: Void = "background",
) -> Listing[Any]:
    """Open a dataset in COCO's panoptic format.

    Each picture gives one sample per class in it, things and stuff alike, whose instances are the segments of the
    class and whose instruction is the class's name (without endings such as "-other-merged"; the labels keep them).
    Crowd segments are ignored, not targets; pictures without any other segment give no sample. Boxes are the tight
    ones of the masks.

    Args:
        root: the folder or the JSON file.
        split: one of the files ``panoptic_SPLIT.json``; None reads them all.
        per: ``"category"``, or ``"image"`` for one sample per picture with every segment in it, labelled.
        images: the folder of the pictures; default: where they usually lie.
        void: what pixels without a segment (id 0) are: ``"background"``, or ``"ignore"`` as in panoptic quality.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken.
    """
    require_choice("per", per, ("category", "image"))
    require_choice("void", void, ("background", "ignore"))
    files = _files(root)
    rows: list[_Row] = []
    for name in choose_splits(files, split, root):
        rows += _rows(root, _File(files[name]), name, per, images)
    # The samples of one picture follow one another: its PNG is decoded once for all of them.
    read = lru_cache(maxsize=1)(_read_ids)
    return Listing("panoptic", root, [_name(row) for row in rows], rows, partial(_sample, read=read, void=void))


def recognises(root: Path) -> bool:
    """Say whether a panoptic JSON file lies where it is expected."""
    return root.is_dir() and ((root / "panoptic.json").is_file() or bool(_split_files(root)))


class _File:
    """A panoptic JSON file, checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = read_json(path)
        for key in ("images", "annotations", "categories"):
            if not isinstance(found.get(key), list):
                raise InputError(f"{path}: no list {key!r}: is this a panoptic annotation file?")
        self._images = {image["id"]: image for image in self._checked(found["images"], "image", "id", "file_name")}
        categories = self._checked(found["categories"], "category", "id", "name")
        self.labels = {entry["id"]: str(entry["name"]) for entry in categories}
        self.things = {entry["id"]: bool(entry.get("isthing", 1)) for entry in categories}
        entries = self._checked(found["annotations"], "annotation", "image_id", "file_name", "segments_info")
        self.pictures = [self._picture(entry) for entry in entries]
        if not self.pictures:
            raise InputError(f"{path}: no image is annotated")

    def _checked(self, entries: list[Any], what: str, *keys: str) -> list[dict[str, Any]]:
        for entry in entries:
            if not isinstance(entry, dict) or any(key not in entry for key in keys):
                raise InputError(f"{self.path}: an entry of kind {what} needs {', '.join(keys)}, got {entry!r:.120}")
        return entries

    def _picture(self, entry: dict[str, Any]) -> _Picture:
        number = entry["image_id"]
        if number not in self._images:
            raise InputError(f"{self.path}: an annotation belongs to image {number}, which is not listed")
        image = self._images[number]
        try:
            size = (int(image["height"]), int(image["width"]))
            segments = tuple(
                _Segment(int(one["id"]), one["category_id"], bool(one.get("iscrowd", 0)))
                for one in entry["segments_info"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"{self.path}: image {number} needs height and width, and each of its segments id and category_id"
            ) from None
        lost = next((one for one in segments if one.category_id not in self.labels), None)
        if lost is not None:
            raise InputError(f"{self.path}: segment {lost.id} has the category {lost.category_id}, which is not listed")
        if min(size) <= 0 or len({one.id for one in segments}) != len(segments):
            raise InputError(f"{self.path}: image {number} has no extent, or two segments of one id")
        return _Picture(number, str(image["file_name"]), str(entry["file_name"]), size, segments)


def _files(root: Path) -> dict[str, Path]:
    if root.is_file():
        return {"": root}
    if (root / "panoptic.json").is_file():
        return {"": root / "panoptic.json"}
    found = _split_files(root)
    if not found:
        raise LayoutError(root, LAYOUT.name, EXPECTED, "there is no annotation file")
    return found


def _split_files(root: Path) -> dict[str, Path]:
    paths = [*sorted((root / "annotations").glob("panoptic_*.json")), *sorted(root.glob("panoptic_*.json"))]
    matches = ((_SPLIT_FILE.fullmatch(path.name), path) for path in paths)
    return {match["split"]: path for match, path in matches if match}


def _rows(root: Path, file: _File, split: str, per: Per, images: str | None) -> Iterator[_Row]:
    pictures, pngs = _located(root, file, split, images)
    for picture in file.pictures:
        categories = dict.fromkeys(one.category_id for one in picture.segments) if per == "category" else (None,)
        for category in categories:
            members = [one for one in picture.segments if category in (None, one.category_id)]
            single = tuple(one for one in members if not one.crowd)
            if single:
                yield _Row(
                    picture=picture,
                    image=pictures[picture.image],
                    png=pngs[picture.png],
                    split=split,
                    instruction="all objects" if category is None else _spoken(file.labels[category]),
                    category_id=category,
                    segments=single,
                    crowds=tuple(one for one in members if one.crowd),
                    labels=tuple(file.labels[one.category_id] for one in single),
                    things=tuple(file.things[one.category_id] for one in single),
                )


def _located(root: Path, file: _File, split: str, images: str | None) -> tuple[dict[str, Path], dict[str, Path]]:
    """Find the pictures and the PNG files of an annotation file."""
    beside = file.path.parent
    home = root if root.is_dir() else beside
    folders = [home / images] if images else [home / "images" / split, home / split, home / "images"]
    named = beside / file.path.stem
    masks = [named, home / "panoptic" / file.path.stem, home / "panoptic" / split, home / "panoptic", home / named.name]
    found = []
    for what, places, names in (
        ("pictures", folders, [picture.image for picture in file.pictures]),
        ("panoptic PNG files", masks, [picture.png for picture in file.pictures]),
    ):
        folder, paths, missing = locate(places, names)
        if missing:
            problem = f"{len(missing)} of {len(paths)} {what} of {file.path.name} are missing, such as in {folder}"
            raise LayoutError(root, LAYOUT.name, EXPECTED, f"{problem}: {count_of(missing)}")
        found.append(paths)
    return found[0], found[1]


def _name(row: _Row) -> str:
    parts = [row.split, str(row.picture.id), "" if row.category_id is None else str(row.category_id)]
    return "-".join(part for part in parts if part)


def _spoken(label: str) -> str:
    return _BOOKKEEPING.sub("", label).replace("_", " ")


def _sample(name: str, row: _Row, read: Callable[[Path], NDArray[np.uint32]], void: Void) -> Sample:
    ids = read(row.png)
    require_size(row.png, ids, row.picture.size)
    ignored = [_mask(ids, one, row.png) for one in row.crowds]
    if void == "ignore":
        ignored.append(Mask.from_dense(ids == 0))
    return Sample(
        id=name,
        image_path=row.image,
        picture=None,
        instruction=row.instruction,
        instances=tuple(_mask(ids, one, row.png) for one in row.segments),
        size=row.picture.size,
        labels=row.labels,
        ignore=Mask.empty(*row.picture.size).union(*ignored) if ignored else None,
        split=row.split,
        meta={
            "image_id": row.picture.id,
            "segment_ids": [one.id for one in row.segments],
            "things": list(row.things),
        },
    )


def _mask(ids: NDArray[np.uint32], segment: _Segment, path: Path) -> Mask:
    mask = Mask.from_dense(ids == segment.id)
    if not mask:
        raise InputError(f"{path}: no pixel has the id {segment.id} of a segment that the JSON file lists")
    return mask


def _read_ids(path: Path) -> NDArray[np.uint32]:
    """Read the segment id of each pixel: (H, W) uint32, 0 where there is no segment."""
    try:
        with PIL.Image.open(path) as picture:
            if picture.mode not in ("RGB", "RGBA"):
                raise ImageError(f"{path}: ids stand in red, green and blue, but this picture's mode is {picture.mode}")
            if picture.width * picture.height > DEFAULT_MAX_PIXELS:
                raise ImageError(f"{path}: {picture.width} x {picture.height} is more than the limit")
            colours = np.asarray(picture).astype(np.uint32)
    except (PIL.Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: the panoptic picture cannot be read ({error})") from None
    ids: NDArray[np.uint32] = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
    return ids


LAYOUT = Layout("panoptic", "COCO panoptic: segments of things and stuff", EXPECTED, open_panoptic, recognises)
