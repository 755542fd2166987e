"""The REFER layout: RefCOCO, RefCOCO+, RefCOCOg, gRefCOCO and RRSIS-D.

A file of references names annotations of a COCO JSON file and says one or more sentences about each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fiducial.datasets.coco import Annotation, AnnotationFile, boxes_of, files_of_images, instances_of
from fiducial.datasets.configs import RefCocoConfig, Texts
from fiducial.datasets.files import LayoutError, choose_splits, count_of
from fiducial.datasets.pickles import load_plain
from fiducial.datasets.sample import Listing, Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_json

EXPECTED = """
root/
  NAME/                       refcoco, refcoco+, refcocog, grefcoco or rrsisd
    refs(unc).p               or refs(google).p, refs(umd).p, grefs(unc).json
    instances.json            COCO: images, annotations, categories
  images/
    rrsisd/JPEGImages/        RRSIS-D's pictures
    mscoco/images/train2014/  the others' pictures; also train2014/ or images/
"""
_REFERENCES = re.compile(r"g?refs\((?P<by>[^)]+)\)\.(p|json)")
_AERIAL_IMAGES = ("images/rrsisd/JPEGImages", "rrsisd/images/rrsisd/JPEGImages", "JPEGImages", "images")
_COCO_IMAGES = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images")
_NO_TARGET = -1


def open_refer(config: RefCocoConfig) -> Listing:
    """Open a dataset in the REFER layout; each sentence of a reference is a sample of its own."""
    root, name = config.path, config.name
    home = root if (root / "instances.json").is_file() else root / name
    if not (home / "instances.json").is_file():
        raise LayoutError(root, name, EXPECTED, f"{name}/instances.json is missing")
    source = _references_file(config, home)
    references = _read_references(source)
    file = AnnotationFile(home / "instances.json")
    chosen = choose_splits(sorted({reference["split"] for reference in references}), config.split, source)
    wanted = [reference for reference in references if reference["split"] in chosen]
    for reference in wanted:
        if reference["image_id"] not in file.images:
            where = f"{source}: reference {reference['ref_id']}"
            raise InputError(f"{where} names image {reference['image_id']}, which {file.path.name} does not list")
    usual = _AERIAL_IMAGES if name == "rrsisd" else _COCO_IMAGES
    folders = [base / folder for base in (root, home.parent) for folder in usual]
    names = sorted({file.images[reference["image_id"]].file_name for reference in wanted})
    folders = [root / config.images] if config.images else folders
    paths = files_of_images(config, source, "pictures", names, folders, EXPECTED)
    return Listing(name, root, _rows(wanted, file, source, config.texts, paths))


def is_refer(root: Path, name: str) -> bool:
    """Say whether ``NAME/`` holds references and instances."""
    homes = [root / name, *([root] if root.name == name else [])]
    return any((home / "instances.json").is_file() and bool(_found_references(home)) for home in homes)


def _found_references(home: Path) -> dict[str, Path]:
    matches = ((_REFERENCES.fullmatch(path.name), path) for path in sorted(home.iterdir()))
    return {match["by"]: path for match, path in matches if match}


def _references_file(config: RefCocoConfig, home: Path) -> Path:
    found, wanted = _found_references(home), config.split_by
    if not found:
        raise LayoutError(config.path, config.name, EXPECTED, f"{home.name}/refs(...).p is missing")
    if not wanted and len(found) > 1:
        raise InputError(f"{home}: several files of references: choose one with split_by={'|'.join(sorted(found))}")
    if wanted and wanted not in found:
        raise UnknownNameError(f"split_by of {home}", wanted, found)
    return found[wanted] if wanted else next(iter(found.values()))


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
    references: list[dict[str, Any]], file: AnnotationFile, source: Path, texts: Texts, paths: Mapping[str, Path]
) -> Iterator[tuple[str, Callable[[str], Sample]]]:
    for reference in references:
        image = file.images[reference["image_id"]]
        annotations = _annotations(reference, file, f"{source}: reference {reference['ref_id']}")
        labels = tuple(file.categories.get(annotation.category_id, "") for annotation in annotations)
        sentences = reference["sentences"]
        for position, sentence in enumerate(sentences if texts == "all" else sentences[:1]):
            meta = {
                "ref_id": reference["ref_id"],
                "image_id": image.id,
                "sent_id": sentence.get("sent_id"),
                "annotation_ids": [annotation.id for annotation in annotations],
            }
            about = paths[image.file_name], _words(sentence), reference["split"], meta
            # The file itself is not kept, so that annotations nobody refers to are forgotten.
            yield (
                f"{reference['ref_id']}-{position}",
                partial(_sample, file.path, image.size, annotations, labels, *about),
            )


def _annotations(reference: dict[str, Any], file: AnnotationFile, key: str) -> tuple[Annotation, ...]:
    given = reference["ann_id"]
    numbers = given if isinstance(given, list) else [given]
    if reference.get("no_target") or numbers == [_NO_TARGET]:
        return ()
    missing = [str(number) for number in numbers if number not in file.annotations]
    if missing or not numbers:
        raise InputError(f"{key} names annotation {count_of(missing) or 'none'}, which {file.path.name} does not list")
    return tuple(file.annotations[number] for number in numbers)


def _sample(
    where: Path,
    size: tuple[int, int],
    annotations: tuple[Annotation, ...],
    labels: tuple[str, ...],
    image: Path,
    sentence: str,
    split: str,
    meta: Mapping[str, Any],
    key: str,
) -> Sample:
    known = dict(zip((annotation.id for annotation in annotations), labels, strict=True))
    annotations, masks = instances_of(annotations, size, where)
    labels = tuple(known[annotation.id] for annotation in annotations)
    boxes = boxes_of(annotations, size, labels, where, needed=masks is None)
    return Sample(key, image, None, sentence, masks, size, labels, boxes, split=split, meta=meta)
