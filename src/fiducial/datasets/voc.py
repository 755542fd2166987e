"""Pascal VOC: instances in palette pictures, or boxes in XML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets.configs import VocConfig
from fiducial.datasets.files import (
    LayoutError,
    Pictures,
    choose_splits,
    count_of,
    picture_size,
    read_values,
    require_size,
)
from fiducial.datasets.sample import Listing, Sample
from fiducial.errors import InputError
from fiducial.files import read_text
from fiducial.geometry import Frame, Mask, Prompts

EXPECTED = """
root/                         such as VOC2012
  JPEGImages/ID.jpg
  SegmentationObject/ID.png   pixel = number of the instance, 255 = ignore
  SegmentationClass/ID.png    pixel = class, 255 = ignore
  Annotations/ID.xml          boxes; enough without the two folders above
  ImageSets/Segmentation/train.txt, val.txt     lists of ID; or ImageSets/Main/ for boxes
"""
CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor"),
)
VOID = 255
MAX_XML_BYTES = 4 * 2**20
MAX_XML_DEPTH = 32
_SPELLINGS = {name.replace(" ", ""): name for name in CLASSES}
_PARTS = ("train", "val", "test")


def open_voc(config: VocConfig) -> Listing:
    """Open a Pascal VOC year; each class that stands in a picture is a sample, its name the instruction.

    Without a split, train, val and test are read, so that no picture stands there twice. Void pixels are ignored.
    """
    root, truth, split = config.path, config.truth, config.split
    has_masks = (root / "SegmentationObject").is_dir() and (root / "SegmentationClass").is_dir()
    masks = truth == "masks" or (truth == "auto" and has_masks)
    needed = ["JPEGImages", *(["SegmentationObject", "SegmentationClass"] if masks else ["Annotations"])]
    lost = [f"{name}/" for name in needed if not (root / name).is_dir()]
    if lost:
        raise LayoutError(root, "voc", EXPECTED, f"{' and '.join(lost)} missing")
    lists = _lists(root, "Segmentation" if masks else "Main")
    chosen = choose_splits(lists, split, root) if split else [part for part in lists if part in ("", *_PARTS)]
    rows = (pair for part in chosen for pair in _rows(root, part, lists[part], masks))
    return Listing("voc", root, rows)


def is_voc(root: Path) -> bool:
    """Say whether pictures and one of the two kinds of truth are there."""
    truth = any((root / name).is_dir() for name in ("SegmentationObject", "Annotations"))
    return truth and (root / "JPEGImages").is_dir()


def _lists(root: Path, kind: str) -> dict[str, list[str]]:
    """Read the lists of pictures; a folder without any has one part, of all its truth files."""
    folder = root / "ImageSets" / kind
    found = {path.stem: path for path in sorted(folder.glob("*.txt")) if path.stem in (*_PARTS, "trainval")}
    if found:
        return {
            name: [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
            for name, path in found.items()
        }
    truth = root / ("SegmentationObject" if kind == "Segmentation" else "Annotations")
    return {"": sorted(path.stem for path in truth.iterdir() if path.suffix in (".png", ".xml"))}


def _rows(root: Path, split: str, names: list[str], masks: bool) -> Iterator[tuple[str, Callable[[str], Sample]]]:
    images = Pictures(root / "JPEGImages")
    folders = ("SegmentationObject", "SegmentationClass") if masks else ("Annotations",)
    suffix = ".png" if masks else ".xml"
    missing = [f"JPEGImages/{name}.jpg" for name in names if images.find(name) is None]
    for folder in folders:
        missing += [f"{folder}/{name}{suffix}" for name in names if not (root / folder / f"{name}{suffix}").is_file()]
    if missing:
        problem = f"{len(missing)} files of {split or 'the folder'} are missing: {count_of(missing)}"
        raise LayoutError(root, "voc", EXPECTED, problem)
    for name in names:
        objects = [] if masks else _objects(root / "Annotations" / f"{name}.xml")
        for label in _classes_in(root, name) if masks else dict.fromkeys(label for label, _, _ in objects):
            make = partial(_with_masks if masks else _with_boxes, root, images[name], name, label, split)
            yield f"{name}-{label.replace(' ', '')}", make


def _classes_in(root: Path, name: str) -> list[str]:
    path = root / "SegmentationClass" / f"{name}.png"
    numbers = _numbers(read_values(path))
    if numbers and numbers[-1] >= len(CLASSES):
        raise InputError(f"{path}: class {numbers[-1]} is not one of the {len(CLASSES)} of VOC")
    return [CLASSES[number] for number in numbers]


def _numbers(values: NDArray[Any]) -> list[int]:
    return [int(number) for number in np.flatnonzero(np.bincount(values.ravel())) if number not in (0, VOID)]


def _with_masks(root: Path, image: Path, name: str, label: str, split: str, key: str) -> Sample:
    size = picture_size(image)
    paths = [root / folder / f"{name}.png" for folder in ("SegmentationClass", "SegmentationObject")]
    classes, objects = (read_values(path) for path in paths)
    for path, values in zip(paths, (classes, objects), strict=True):
        require_size(path, values, size)
    inside = classes == CLASSES.index(label)
    instances = tuple(Mask.from_dense(inside & (objects == number)) for number in _numbers(objects[inside]))
    void = Mask.from_dense(classes == VOID)
    labels = (label,) * len(instances)
    return Sample(key, image, None, label, instances, size, labels, ignore=void or None, split=split)


def _objects(path: Path) -> list[tuple[str, tuple[float, ...], bool]]:
    """Read label, box and whether it is difficult; VOC counts pixels from 1 and includes the last."""
    found: list[tuple[str, tuple[float, ...], bool]] = []
    for entry in read_xml(path).iter("object"):
        label, box = (entry.findtext("name") or "").strip(), entry.find("bndbox")
        if not label or box is None:
            raise InputError(f"{path}: an object needs name and bndbox")
        x1, y1, x2, y2 = (_number(box, side, path) for side in ("xmin", "ymin", "xmax", "ymax"))
        if not (x1 - 1 < x2 and y1 - 1 < y2):
            raise InputError(f"{path}: the box of {label!r} has no extent")
        difficult = (entry.findtext("difficult") or "0").strip() == "1"
        found.append((_SPELLINGS.get(label, label), (x1 - 1, y1 - 1, x2, y2), difficult))
    return found


def _number(box: Element, side: str, path: Path) -> float:
    try:
        return float(box.findtext(side) or "")
    except ValueError:
        raise InputError(f"{path}: a box without a number for {side}") from None


def _with_boxes(root: Path, image: Path, name: str, label: str, split: str, key: str) -> Sample:
    size = picture_size(image)
    objects = [entry for entry in _objects(root / "Annotations" / f"{name}.xml") if entry[0] == label]
    labels = (label,) * len(objects)
    boxes = Prompts.from_boxes(Frame.pixels(size[1], size[0]), [box for _, box, _ in objects], labels=labels)
    meta = {"difficult": [difficult for _, _, difficult in objects]}
    return Sample(key, image, None, label, None, size, labels, boxes, split=split, meta=meta)


# -- XML -----------------------------------------------------------------------------------------


def read_xml(path: Path) -> Element:
    """Read a small XML file that others wrote.

    One with a document type is refused: its entities can be made to grow without end or to read other files.
    """
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            raise InputError(f"{path}: an XML file of more than {MAX_XML_BYTES >> 20} MiB is refused")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    builder, depth = ElementTree.TreeBuilder(), 0

    def refuse(*_: Any) -> int:
        raise InputError(f"{path}: XML with a document type or entities is refused")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_XML_DEPTH:
            raise InputError(f"{path}: XML nested more than {MAX_XML_DEPTH} deep is refused")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"{path}: not valid XML: {error}") from None
    return builder.close()
