"""Pictures: a dataset's samples gathered by the picture that they speak of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fiducial.datasets.referring.view import View
from fiducial.datasets.sample import Dataset, Sample
from fiducial.errors import InputError
from fiducial.geometry import Box, Mask
from fiducial.images import Image


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture with all its instances.

    Args:
        key: its file below the folder that all pictures of the dataset share, or the sample's id where there is
            no file; unique in its dataset.
        sample: a sample of it, for the picture itself, its size and split.
        labels: one per instance.
        masks: one per instance, or None where the dataset has boxes only.
        boxes: one per instance, x1, y1, x2, y2 in pixels.
        crowded: whether one of its samples has pixels that count for nothing: nobody knows how many things are there.
    """

    key: str
    sample: Sample
    labels: tuple[str, ...]
    masks: tuple[Mask, ...] | None
    boxes: tuple[Box, ...]
    crowded: bool

    def view(self) -> View:
        """Return the picture's things, named and measured; the picture is read only when colours are asked for."""
        read: list[Image] = []

        def once() -> Image:
            if not read:
                read.append(self.sample.image())
            return read[0]

        return View.of(self.sample.size, self.labels, masks=self.masks, boxes=self.boxes, read=once)


@dataclass(frozen=True, slots=True)
class Index:
    """Which samples of a dataset belong to which picture.

    Args:
        samples: numbers of the samples, by the picture's key, in the dataset's order.
        labels: every label of the picture.
    """

    samples: dict[str, tuple[int, ...]]
    labels: dict[str, frozenset[str]]


def index_pictures(dataset: Dataset) -> Index:
    """Gather a dataset's samples by picture: one pass; no picture is decoded.

    Raises:
        InputError: a sample with instances but without their labels.
    """
    paths: list[Path | None] = []
    ids, names = [], []
    for sample in dataset:
        paths.append(sample.image_path)
        ids.append(sample.id)
        names.append(frozenset(_labels(sample)))
    keys = _keys(paths, ids)
    numbers: dict[str, list[int]] = {}
    labels: dict[str, frozenset[str]] = {}
    for number, (key, found) in enumerate(zip(keys, names, strict=True)):
        numbers.setdefault(key, []).append(number)
        labels[key] = labels.get(key, frozenset()) | found
    return Index({key: tuple(members) for key, members in numbers.items()}, labels)


def pictures(dataset: Dataset, index: Index) -> Iterator[Picture]:
    """Yield the pictures of a dataset one by one, in its order."""
    for key in index.samples:
        yield read_picture(dataset, index, key)


def read_picture(dataset: Dataset, index: Index, key: str) -> Picture:
    """Put together all instances that the samples of one picture have, each once.

    Raises:
        InputError: the dataset has no such picture, or its samples know masks in part.
    """
    if key not in index.samples:
        raise InputError(f"the dataset '{dataset.name}' has no picture '{key}': is it the one meant?")
    samples = [dataset[number] for number in index.samples[key]]
    labels: list[str] = []
    masks: list[Mask] = []
    boxes: list[Box] = []
    seen: set[tuple[str, Box, Mask | None]] = set()
    for sample in samples:
        own_masks = sample.instances if sample.instances is not None else ()
        places = _boxes(sample)
        for number, (label, box) in enumerate(zip(_labels(sample), places, strict=True)):
            mask = own_masks[number] if own_masks else None
            if box is None or (label, box, mask) in seen:
                continue
            seen.add((label, box, mask))
            labels.append(label)
            boxes.append(box)
            if mask is not None:
                masks.append(mask)
    if masks and len(masks) != len(boxes):
        raise InputError(f"{key}: {len(boxes)} instances, but masks for {len(masks)} of them")
    crowded = any(sample.ignore for sample in samples)
    known = tuple(masks) if masks or not boxes else None
    return Picture(key, samples[0], tuple(labels), known, tuple(boxes), crowded)


def _boxes(sample: Sample) -> list[Box | None]:
    """Return tight boxes of the masks (None where a mask is empty), or the dataset's own where there are no masks."""
    if sample.instances is not None:
        return [mask.box for mask in sample.instances]
    return [prompt.box for prompt in sample.boxes or ()]


def _labels(sample: Sample) -> tuple[str, ...]:
    count = len(sample.instances) if sample.instances is not None else len(sample.boxes or ())
    if len(sample.labels) != count:
        raise InputError(
            f"sample {sample.id}: {count} instances but {len(sample.labels)} labels: "
            "referring expressions need to know what each instance is called"
        )
    return tuple(sample.labels)


def _keys(paths: list[Path | None], ids: list[str]) -> list[str]:
    """Name each sample's picture: its path below what all paths share, or the sample's id."""
    files = {path for path in paths if path is not None}
    folders = {str(path.parent) for path in files}
    shared = Path(os.path.commonpath(folders)) if folders else Path()
    return [
        sample_id if path is None else path.relative_to(shared).as_posix()
        for path, sample_id in zip(paths, ids, strict=True)
    ]
