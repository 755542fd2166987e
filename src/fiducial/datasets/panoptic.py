"""COCO panoptic: one JSON file of segments and PNG pictures whose colours are the segments' ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fiducial.datasets.coco import annotation_files, files_of_images, sample_id, split_files
from fiducial.datasets.configs import PanopticConfig
from fiducial.datasets.files import choose_splits, require_size
from fiducial.datasets.sample import Listing, Sample
from fiducial.errors import ImageError, InputError
from fiducial.files import read_json
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
_SINGLE = ("panoptic.json",)
_PREFIXES = ("annotations/panoptic_", "panoptic_")
# COCO's names of stuff end in how they came about: "wall-other-merged" is a wall to everybody else.
_BOOKKEEPING = re.compile(r"(-other|-merged|-stuff)+$")


@dataclass(frozen=True, slots=True)
class _Segment:
    id: int
    category_id: int
    crowd: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of ``annotations`` with its image: names and height, width in pixels."""

    id: int
    image: str
    png: str
    size: tuple[int, int]
    segments: tuple[_Segment, ...]


def open_panoptic(config: PanopticConfig) -> Listing:
    """Open a dataset in COCO's panoptic format.

    Each picture gives one sample per class in it (or one in all: ``per="image"``), things and stuff alike, whose
    instances are the segments of the class and whose instruction is the class's name (without endings such as
    "-other-merged"; the labels keep them). Crowd segments are ignored, not targets; pictures without any other segment
    give no sample.
    """
    files = annotation_files(config, _SINGLE, _PREFIXES, EXPECTED)
    # The samples of one picture follow one another: its PNG is decoded once for all of them.
    read = lru_cache(maxsize=1)(_read_ids)
    splits = choose_splits(files, config.split, config.path)
    rows = (row for split in splits for row in _rows(config, _File(files[split]), split, read))
    return Listing(config.name, config.path, rows)


def is_panoptic(root: Path) -> bool:
    """Say whether a panoptic JSON file lies where it is expected."""
    return root.is_dir() and ((root / _SINGLE[0]).is_file() or bool(split_files(root, _PREFIXES)))


class _File:
    """A panoptic JSON file, checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = read_json(path, kind=dict)
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

    def _picture(self, entry: dict[str, Any]) -> _Entry:
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
        return _Entry(number, str(image["file_name"]), str(entry["file_name"]), size, segments)


def _rows(
    config: PanopticConfig, file: _File, split: str, read: Callable[[Path], NDArray[np.uint32]]
) -> Iterator[tuple[str, Callable[[str], Sample]]]:
    parent, name = file.path.parent, file.path.stem
    home = config.path if config.path.is_dir() else parent
    usual = [home / "images" / split, home / split, home / "images"]
    folders = [home / config.images] if config.images else usual
    masks = [parent / name, *(home / "panoptic" / one for one in (name, split, "")), home / name]
    names = [picture.image for picture in file.pictures], [picture.png for picture in file.pictures]
    images = files_of_images(config, file.path, "pictures", names[0], folders, EXPECTED)
    pngs = files_of_images(config, file.path, "panoptic PNG files", names[1], masks, EXPECTED)
    for picture in file.pictures:
        categories = dict.fromkeys(one.category_id for one in picture.segments)
        for category in categories if config.per == "category" else (None,):
            members = [one for one in picture.segments if category in (None, one.category_id)]
            if not all(one.crowd for one in members):
                said = "all objects" if category is None else _BOOKKEEPING.sub("", file.labels[category])
                paths = images[picture.image], pngs[picture.png]
                make = partial(_sample, config, file, split, said.replace("_", " "), picture, paths, members, read)
                yield sample_id(split, picture.id, category), make


def _sample(
    config: PanopticConfig,
    file: _File,
    split: str,
    instruction: str,
    picture: _Entry,
    paths: tuple[Path, Path],
    members: list[_Segment],
    read: Callable[[Path], NDArray[np.uint32]],
    key: str,
) -> Sample:
    image, png = paths
    ids = read(png)
    require_size(png, ids, picture.size)
    single = [one for one in members if not one.crowd]
    ignored = [_mask(ids, one, png) for one in members if one.crowd]
    if config.void == "ignore":
        ignored.append(Mask.from_dense(ids == 0))
    return Sample(
        id=key,
        image_path=image,
        picture=None,
        instruction=instruction,
        instances=tuple(_mask(ids, one, png) for one in single),
        size=picture.size,
        labels=tuple(file.labels[one.category_id] for one in single),
        ignore=Mask.empty(*picture.size).union(*ignored) if ignored else None,
        split=split,
        meta={
            "image_id": picture.id,
            "segment_ids": [one.id for one in single],
            "things": [file.things[one.category_id] for one in single],
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
