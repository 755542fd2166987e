"""Referring expressions for every picture of a dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.datasets.sample import Dataset, Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Box, Mask
from fiducial.synthetic.expressions import FAMILIES, VERSION, say
from fiducial.synthetic.view import View
from fiducial.synthetic.vocabulary import spoken


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedImage:
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
        return View.of(self.sample.size, self.labels, masks=self.masks, boxes=self.boxes, read=self.sample.image)


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """Which samples of a dataset belong to which picture.

    Args:
        samples: numbers of the samples, by the picture's key, in the dataset's order.
        labels: every label of the picture.
    """

    samples: dict[str, tuple[int, ...]]
    labels: dict[str, frozenset[str]]


def index_images(dataset: Dataset) -> ImageIndex:
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
    return ImageIndex({key: tuple(members) for key, members in numbers.items()}, labels)


def pictures(dataset: Dataset, index: ImageIndex) -> Iterator[AnnotatedImage]:
    """Yield the pictures of a dataset one by one, in its order."""
    for key in index.samples:
        yield read_image_of(dataset, index, key)


def read_image_of(dataset: Dataset, index: ImageIndex, key: str) -> AnnotatedImage:
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
    return AnnotatedImage(key, samples[0], tuple(labels), known, tuple(boxes), crowded)


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


_PLAUSIBLE = 6
"""Names of absent things offered per picture."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One instruction about one picture, with its truth.

    Args:
        id: unique in its dataset.
        image: the picture's key; see :class:`AnnotatedImage`.
        instruction: what is said.
        family: what kind of phrase it is, one of ``FAMILIES``.
        instances: numbers of the picture's instances that it names, in the source's order; ``()``: no target.
        boxes: their tight boxes x1, y1, x2, y2 in pixels, by which a changed source is noticed.
        version: of the generator.
        seed: of the run.
    """

    id: str
    image: str
    instruction: str
    family: str
    instances: tuple[int, ...]
    boxes: tuple[Box, ...]
    version: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "id": self.id,
            "image": self.image,
            "instruction": self.instruction,
            "family": self.family,
            "instances": [*self.instances],
            "boxes": [[*box] for box in self.boxes],
            "version": self.version,
            "seed": self.seed,
        }


def referring_expressions(
    dataset: Dataset,
    seed: int = 0,
    *,
    per_image: int = 6,
    limit: int | None = None,
    families: Sequence[str] | None = None,
) -> list[Expression]:
    """Make instructions with exact truth from a dataset's instances.

    Every instruction is true of exactly the instances that it names, with room to spare: nothing is called the
    largest that is not larger by 30 %, nothing left that is not clearly left, nothing red that could be called
    orange. Pictures with regions to be ignored (crowds) are left out, since nobody knows what is in them, and so
    are the things of a name of which some are too small to be noticed.

    The same picture with the same seed gets the same instructions, whatever else is in the dataset, except that
    what is absent is drawn from all of the dataset's labels.

    Args:
        dataset: samples with labels and masks or boxes; samples of one picture are put together.
        seed: any number from 0.
        per_image: the most instructions per picture.
        limit: stop after this many instructions.
        families: which families to use, default all of ``FAMILIES``.

    Raises:
        UnknownNameError: a family that there is not.
        InputError: samples without labels, or a number below zero.
    """
    wanted = tuple(FAMILIES) if families is None else tuple(families)
    for family in wanted:
        if family not in FAMILIES:
            raise UnknownNameError("family", family, FAMILIES)
    if seed < 0 or per_image < 0:
        raise InputError(f"seed and per_image are numbers from 0, got {seed} and {per_image}")
    index = index_images(dataset)
    company = _company(index)
    found: list[Expression] = []
    for picture in pictures(dataset, index):
        if picture.crowded:
            continue
        found += _about(picture, company, seed, per_image, wanted)
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


def generator_for(seed: int, key: str) -> np.random.Generator:
    """Return the random generator of one picture: it depends on the seed and the picture's name alone."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])


def _about(
    picture: AnnotatedImage, company: Mapping[str, Mapping[str, int]], seed: int, count: int, families: Sequence[str]
) -> list[Expression]:
    rng = generator_for(seed, picture.key)
    view = picture.view()
    vocabulary = _plausible(view.names, company, rng)
    return [
        Expression(
            id=f"{picture.key}#{number}",
            image=picture.key,
            instruction=said.instruction,
            family=said.family,
            instances=said.chosen,
            boxes=tuple(picture.boxes[k] for k in said.chosen),
            version=VERSION,
            seed=seed,
        )
        for number, said in enumerate(say(view, rng, count, vocabulary=vocabulary, families=families))
    ]


def _company(index: ImageIndex) -> dict[str, dict[str, int]]:
    """Count, for each spoken name, in how many pictures each other name stands beside it."""
    company: dict[str, dict[str, int]] = {}
    for labels in index.labels.values():
        names = {spoken(label) for label in labels}
        for name in names:
            beside = company.setdefault(name, {})
            for other in names - {name}:
                beside[other] = beside.get(other, 0) + 1
    return company


def _plausible(
    present: frozenset[str], company: Mapping[str, Mapping[str, int]], rng: np.random.Generator
) -> list[str]:
    """Draw names that are not in a picture, those more often that stand beside its things elsewhere."""
    absent = sorted(set(company) - present)
    if not absent:
        return []
    weights = np.array([1.0 + 10.0 * sum(company[name].get(other, 0) for other in present) for name in absent])
    count = min(_PLAUSIBLE, len(absent))
    drawn = rng.choice(len(absent), size=count, replace=False, p=weights / weights.sum())
    return [absent[int(k)] for k in drawn]
