"""The REFER layout: RefCOCO, RefCOCO+, RefCOCOg, gRefCOCO and RRSIS-D.

A file of references names annotations of a COCO JSON file and says one or more sentences about each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fiducial.datasets.annotations import Annotation, AnnotationFile, Picture, truth_boxes
from fiducial.datasets.files import locate, read_json
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing, Texts, take_texts
from fiducial.datasets.pickles import load_plain
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError, UnknownNameError

EXPECTED = """
root/
  NAME/                       refcoco, refcoco+, refcocog, grefcoco or rrsisd
    refs(unc).p               or refs(google).p, refs(umd).p, grefs(unc).json
    instances.json            COCO: images, annotations, categories
  images/
    rrsisd/JPEGImages/        RRSIS-D's pictures
    mscoco/images/train2014/  the others' pictures; also train2014/ or images/
"""
NAMES = ("refcoco", "refcoco+", "refcocog", "grefcoco", "rrsisd")
_REFERENCES = re.compile(r"g?refs\((?P<by>[^)]+)\)\.(p|json)")
_IMAGES = {
    "rrsisd": ("images/rrsisd/JPEGImages", "rrsisd/images/rrsisd/JPEGImages", "JPEGImages", "images"),
}
_COCO_IMAGES = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images")
_NO_TARGET = -1


@dataclass(frozen=True, slots=True)
class _Row:
    picture: Picture
    path: Path
    annotations: tuple[Annotation, ...]
    sentence: str
    split: str
    meta: Mapping[str, Any]


def open_refer(
    root: Path,
    *,
    name: str,
    split: str | None = None,
    split_by: str | None = None,
    texts: Texts = "all",
    images: str | None = None,
) -> Listing[Any]:
    """Open a dataset in the REFER layout; each sentence of a reference is a sample of its own.

    Args:
        root: the folder that holds ``NAME/`` and ``images/``, or ``NAME/`` itself.
        name: one of ``NAMES``.
        split: ``train``, ``val``, ``test``, ``testA``, ``testB``; None reads them all.
        split_by: which file of references, where there are several (``unc``, ``google``, ``umd``).
        texts: all sentences of a reference, or its first only.
        images: the folder of the pictures, from ``root``; default: where they usually lie.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken or hostile.
    """
    layout = LAYOUTS[name].name
    home = root if (root / "instances.json").is_file() else root / name
    if not (home / "instances.json").is_file():
        raise LayoutError(root, layout, EXPECTED, f"{name}/instances.json is missing")
    source = _references_file(root, home, layout, split_by)
    references = _read_references(source)
    file = AnnotationFile(home / "instances.json")
    chosen = choose_splits(sorted({reference["split"] for reference in references}), split, source)
    wanted = [reference for reference in references if reference["split"] in chosen]
    rows = list(_rows(wanted, file, source, texts))
    paths = _locate(root, home, name, images, {row.picture.file_name for _, row in rows})
    placed = [(key, row, paths[row.picture.file_name]) for key, row in rows]
    return Listing(
        name,
        root,
        [key for key, _, _ in placed],
        [_Row(row.picture, path, row.annotations, row.sentence, row.split, row.meta) for _, row, path in placed],
        partial(_sample, categories=file.categories, where=file.path),
    )


def recognises(root: Path, *, name: str) -> bool:
    """Say whether ``NAME/`` holds references and instances."""
    homes = [root / name, *([root] if root.name == name else [])]
    return any((home / "instances.json").is_file() and bool(_found_references(home)) for home in homes)


def _found_references(home: Path) -> dict[str, Path]:
    matches = ((_REFERENCES.fullmatch(path.name), path) for path in sorted(home.iterdir()))
    return {match["by"]: path for match, path in matches if match}


def _references_file(root: Path, home: Path, layout: str, split_by: str | None) -> Path:
    found = _found_references(home)
    if not found:
        raise LayoutError(root, layout, EXPECTED, f"{home.name}/refs(...).p is missing")
    if split_by is None:
        if len(found) > 1:
            raise InputError(f"{home}: several files of references: choose one with split_by={'|'.join(sorted(found))}")
        return next(iter(found.values()))
    if split_by not in found:
        raise UnknownNameError(f"split_by of {home}", split_by, found)
    return found[split_by]


def _read_references(source: Path) -> list[dict[str, Any]]:
    references = load_plain(source) if source.suffix == ".p" else read_json(source, kind=list)
    if not isinstance(references, list):
        raise InputError(f"{source}: a list of references is expected, got {type(references).__name__}")
    for number, reference in enumerate(references):
        problem = _problem(reference)
        if problem:
            raise InputError(f"{source}: reference {number}: {problem}")
    return references


def _problem(reference: Any) -> str:
    """Say in what a reference is not what it should be, or ''."""
    if not isinstance(reference, dict):
        return f"an object is expected, got {type(reference).__name__}"
    kinds = {"ref_id": (int, str), "image_id": (int, str), "ann_id": (int, list), "split": str, "sentences": list}
    for key, kind in kinds.items():
        if not isinstance(reference.get(key), kind):  # type: ignore[arg-type]
            return f"{key} is missing or of the wrong type"
    for sentence in reference["sentences"]:
        if not isinstance(sentence, dict) or not isinstance(_words(sentence), str):
            return "a sentence without text"
    return ""


def _words(sentence: dict[str, Any]) -> Any:
    """Return what was said: the cleaned sentence as evaluations use it, or the raw one."""
    return sentence.get("sent", sentence.get("raw"))


def _rows(
    references: list[dict[str, Any]], file: AnnotationFile, source: Path, texts: Texts
) -> Iterator[tuple[str, _Row]]:
    for reference in references:
        key = f"{source}: reference {reference['ref_id']}"
        picture = file.pictures.get(reference["image_id"])
        if picture is None:
            raise InputError(f"{key} names image {reference['image_id']}, which {file.path.name} does not list")
        annotations = _annotations(reference, file, key)
        sentences = reference["sentences"]
        for position, sentence in enumerate(take_texts([_words(one) for one in sentences], texts)):
            meta = {
                "ref_id": reference["ref_id"],
                "image_id": picture.id,
                "sent_id": sentences[position].get("sent_id"),
                "annotation_ids": [annotation.id for annotation in annotations],
            }
            row = _Row(picture, Path(), annotations, sentence, reference["split"], meta)
            yield f"{reference['ref_id']}-{position}", row


def _annotations(reference: dict[str, Any], file: AnnotationFile, key: str) -> tuple[Annotation, ...]:
    given = reference["ann_id"]
    numbers = given if isinstance(given, list) else [given]
    if reference.get("no_target") or numbers == [_NO_TARGET]:
        return ()
    missing = [str(number) for number in numbers if number not in file.annotations]
    if missing or not numbers:
        raise InputError(f"{key} names annotation {count_of(missing) or 'none'}, which {file.path.name} does not list")
    return tuple(file.annotations[number] for number in numbers)


def _locate(root: Path, home: Path, name: str, images: str | None, names: set[str]) -> dict[str, Path]:
    usual = _IMAGES.get(name, _COCO_IMAGES)
    folders = [root / images] if images else [base / folder for base in (root, home.parent) for folder in usual]
    folder, paths, missing = locate(folders, sorted(names))
    if missing:
        problem = f"{len(missing)} of {len(paths)} pictures are not in {folder}: {count_of(missing)}"
        raise LayoutError(root, LAYOUTS[name].name, EXPECTED, problem)
    return paths


def _sample(key: str, row: _Row, categories: Mapping[int | None, str], where: Path) -> Sample:
    """Make a sample; the file itself is not kept, so that annotations nobody refers to are forgotten."""
    masks = tuple(annotation.mask(row.picture.size, where) for annotation in row.annotations)
    labels = tuple(categories.get(annotation.category_id, "") for annotation in row.annotations)
    return Sample(
        id=key,
        image_path=row.path,
        picture=None,
        instruction=row.sentence,
        instances=masks,
        size=row.picture.size,
        labels=labels,
        boxes=truth_boxes(row.annotations, row.picture.size, labels, where),
        split=row.split,
        meta=row.meta,
    )


LAYOUTS = {
    name: Layout(name, summary, EXPECTED, partial(open_refer, name=name), partial(recognises, name=name))
    for name, summary in {
        "refcoco": "RefCOCO: short phrases about objects in COCO pictures",
        "refcoco+": "RefCOCO+: phrases without words of place",
        "refcocog": "RefCOCOg: longer descriptions",
        "grefcoco": "gRefCOCO: phrases about one, several or no target",
        "rrsisd": "RRSIS-D: phrases about objects in aerial pictures",
    }.items()
}
