"""ReasonSeg: LabelMe-like JSON next to each picture, with targets, regions to ignore and questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets.files import Pictures, picture_size, read_json
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing, Texts, named_texts
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask

EXPECTED = """
root/
  train/, val/, test/         at least one of them, each with
    ID.jpg
    ID.json                   {"text": [...], "is_sentence": bool, "shapes": [{"label", "points"}]}
"""
SPLITS = ("train", "val", "test")
_UNUSED = "flag"
# The first files of the dataset were written on Windows.
_OLD_ENCODING = "cp1252"


@dataclass(frozen=True, slots=True)
class _Row:
    image: Path
    source: Path
    text: str
    split: str


def open_reasonseg(root: Path, *, split: str | None = None, texts: Texts = "all") -> Listing[Any]:
    """Open ReasonSeg; each text about a picture is a sample of its own.

    Polygons are filled as the dataset's own reader fills them (integer corners, outline included,
    largest first, so that smaller ones lie on top). Polygons whose label contains "ignore" make the
    ignore region; those labelled "flag" are left out.

    Args:
        root: the folder of the splits.
        split: ``train``, ``val`` or ``test``; None reads those that are there.
        texts: ``"first"`` asks the first text only, as LISA's validation does.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken.
    """
    there = [name for name in SPLITS if next((root / name).glob("*.json"), None) is not None]
    if not there:
        raise LayoutError(root, LAYOUT.name, EXPECTED, "there is no SPLIT/ID.json")
    named = [pair for name in choose_splits(there, split, root) for pair in _rows(root, name, texts)]
    return Listing("reasonseg", root, [key for key, _ in named], [row for _, row in named], _sample)


def recognises(root: Path) -> bool:
    """Say whether a split holds a picture with a JSON file beside it that has shapes and a text."""
    for name in SPLITS:
        source = next(iter(sorted((root / name).glob("*.json"))), None)
        if source is not None and Pictures(root / name).find(source.stem) is not None:
            try:
                found = read_json(source, fallback=_OLD_ENCODING)
            except InputError:
                return False
            return "shapes" in found and "text" in found
    return False


def _rows(root: Path, split: str, texts: Texts) -> Iterator[tuple[str, _Row]]:
    pictures = Pictures(root / split)
    sources = sorted((root / split).glob("*.json"))
    missing = [path.stem for path in sources if pictures.find(path.stem) is None]
    if missing:
        problem = f"{split}/ lacks {len(missing)} of {len(sources)} pictures: {count_of(missing)}"
        raise LayoutError(root, LAYOUT.name, EXPECTED, problem)
    for source in sources:
        image = pictures.find(source.stem)
        if image is not None:
            for name, text in named_texts(split, source.stem, _texts(source), texts):
                yield name, _Row(image, source, text, split)


def _texts(source: Path) -> list[str]:
    given = read_json(source, fallback=_OLD_ENCODING).get("text")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f'{source}: "text" needs to be a list of texts')
    return texts


def _sample(key: str, row: _Row) -> Sample:
    size = picture_size(row.image)
    found = read_json(row.source, fallback=_OLD_ENCODING)
    targets, ignored = _masks(_shapes(found, row.source), size)
    return Sample(
        id=key,
        image_path=row.image,
        picture=None,
        instruction=row.text,
        instances=targets,
        size=size,
        ignore=ignored,
        split=row.split,
        meta={"is_sentence": bool(found.get("is_sentence", False))},
    )


def _shapes(found: dict[str, Any], source: Path) -> list[tuple[str, NDArray[np.int32]]]:
    shapes = []
    for number, shape in enumerate(found.get("shapes") or []):
        try:
            label = str(shape["label"]).lower()
            points = np.array(shape["points"], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{source}: shape {number} needs a label and points") from None
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all() or np.abs(points).max() > 2**24:
            raise InputError(f"{source}: the points of shape {number} are no list of x, y in pixels")
        if label != _UNUSED:
            shapes.append((label, points.astype(np.int32)))
    return shapes


def _masks(shapes: list[tuple[str, NDArray[np.int32]]], size: tuple[int, int]) -> tuple[tuple[Mask, ...], Mask | None]:
    """Paint the shapes, largest first, and say whose each pixel is in the end."""
    filled = [(label, _fill(points, size)) for label, points in shapes]
    owner = np.zeros(size, dtype=np.int32)
    order = sorted(range(len(filled)), key=lambda number: -int(filled[number][1].sum()))
    for number in order:
        owner[filled[number][1].astype(bool)] = number + 1
    parts = [(label, Mask.from_dense(owner == number)) for number, (label, _) in enumerate(filled, start=1)]
    targets = tuple(mask for label, mask in parts if "ignore" not in label and mask)
    ignored = [mask for label, mask in parts if "ignore" in label]
    return targets, Mask.empty(*size).union(*ignored) if ignored else None


def _fill(points: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    canvas = np.zeros(size, dtype=np.uint8)
    cv2.polylines(canvas, [points], True, 1, 1)
    cv2.fillPoly(canvas, [points], 1)
    return canvas


LAYOUT = Layout("reasonseg", "ReasonSeg: questions whose target is reasoned out", EXPECTED, open_reasonseg, recognises)
