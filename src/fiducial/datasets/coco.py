"""COCO JSON: instances with polygons or run-length codes, in one file or one per split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fiducial.datasets.annotations import Annotation, AnnotationFile, Picture, truth_boxes
from fiducial.datasets.files import locate
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing, require_choice
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask

EXPECTED = """
folder/                       or the JSON file itself
  instances.json              or annotations.json, _annotations.coco.json,
                              or annotations/instances_SPLIT.json, one per split
  images/                     or SPLIT/, images/SPLIT/, or beside the JSON file
    0001.jpg
"""
Per = Literal["category", "image"]
_SINGLE = ("instances.json", "annotations.json", "_annotations.coco.json")
_SPLIT_FILE = re.compile(r"instances_(?P<split>.+)\.json")


@dataclass(frozen=True, slots=True)
class _Row:
    file: AnnotationFile
    picture: Picture
    path: Path
    split: str
    label: str | None
    instances: tuple[Annotation, ...]
    crowds: tuple[Annotation, ...]


def open_coco(
    root: Path, *, split: str | None = None, per: Per = "category", images: str | None = None
) -> Listing[Any]:
    """Open a COCO dataset.

    Each picture gives one sample per class that stands in it, whose instruction is the name of the
    class; crowd regions of the class are ignored, not targets, and pictures without any instance give
    no sample. Boxes are those of the file where it has one for every instance. Annotations without a
    segmentation give samples with boxes and no masks.

    Args:
        root: the folder or the JSON file.
        split: one of the files ``annotations/instances_SPLIT.json``; None reads them all.
        per: ``"category"``, or ``"image"`` for one sample per picture with every instance in it,
            labelled, crowds ignored.
        images: the folder of the pictures; default: where they usually lie.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken.
    """
    require_choice("per", per, ("category", "image"))
    files = _files(root)
    rows: list[_Row] = []
    for name in choose_splits(files, split, root):
        rows += _rows(root, AnnotationFile(files[name]), name, per, images)
    ids = [_name(row) for row in rows]
    return Listing("coco", root, ids, rows, partial(_sample, per=per))


def recognises(root: Path) -> bool:
    """Say whether a COCO JSON file lies where it is expected."""
    if root.is_file():
        return root.suffix.lower() == ".json"
    if next(root.glob("*refs(*).*"), None) is not None:
        return False
    return any((root / name).is_file() for name in _SINGLE) or bool(_split_files(root))


def _files(root: Path) -> dict[str, Path]:
    if root.is_file():
        return {"": root}
    for name in _SINGLE:
        if (root / name).is_file():
            return {"": root / name}
    found = _split_files(root)
    if not found:
        raise LayoutError(root, LAYOUT.name, EXPECTED, "there is no annotation file")
    return found


def _split_files(root: Path) -> dict[str, Path]:
    matches = ((_SPLIT_FILE.fullmatch(path.name), path) for path in sorted((root / "annotations").glob("*.json")))
    return {match["split"]: path for match, path in matches if match}


def _rows(root: Path, file: AnnotationFile, split: str, per: Per, images: str | None) -> Iterator[_Row]:
    paths = _located(root, file, split, images)
    for number, present in file.of_pictures().items():
        groups: dict[str | None, list[Annotation]] = {None: present} if per == "image" else {}
        for annotation in present if per == "category" else ():
            groups.setdefault(file.label(annotation.category_id), []).append(annotation)
        for label, members in groups.items():
            single = tuple(one for one in members if not one.crowd)
            if single:
                crowds = tuple(one for one in members if one.crowd)
                yield _Row(file, file.pictures[number], paths[number], split, label, single, crowds)


def _located(root: Path, file: AnnotationFile, split: str, images: str | None) -> dict[int, Path]:
    """Find the files of all pictures of an annotation file."""
    home = root if root.is_dir() else root.parent
    folders = [home / images] if images else [home / "images" / split, home / split, home / "images", home]
    if not file.pictures:
        raise InputError(f"{file.path}: no image is listed")
    folder, paths, missing = locate(folders, [picture.file_name for picture in file.pictures.values()])
    if missing:
        found = f"{len(missing)} of {len(paths)} pictures of {file.path.name} are not in {folder}"
        raise LayoutError(root, LAYOUT.name, EXPECTED, f"{found}: {count_of(missing)}")
    return {number: paths[picture.file_name] for number, picture in file.pictures.items()}


def _name(row: _Row) -> str:
    parts = [row.split, str(row.picture.id), "" if row.label is None else str(row.instances[0].category_id)]
    return "-".join(part for part in parts if part)


def _sample(name: str, row: _Row, per: Per) -> Sample:
    size, where = row.picture.size, row.file.path
    if row.instances[0].segmentation is None:
        masks = None
    else:
        masks = tuple(annotation.mask(size, where) for annotation in row.instances)
    labels = tuple(row.file.label(annotation.category_id) for annotation in row.instances)
    crowds = [annotation.mask(size, where) for annotation in row.crowds if annotation.segmentation is not None]
    return Sample(
        id=name,
        image_path=row.path,
        picture=None,
        instruction="all objects" if row.label is None else row.label.replace("_", " "),
        instances=masks,
        size=size,
        labels=labels,
        boxes=truth_boxes(row.instances, size, labels, where, needed=masks is None),
        ignore=Mask.empty(*size).union(*crowds) if crowds else None,
        split=row.split,
        meta={"image_id": row.picture.id, "annotation_ids": [annotation.id for annotation in row.instances]},
    )


LAYOUT = Layout("coco", "COCO JSON: instances with polygons or run-length codes", EXPECTED, open_coco, recognises)
