"""Pictures with named things in them, which the grounder is trained and scored on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Box
from fiducial.synthetic import SceneDataset
from fiducial.training.grounder.config import Source
from fiducial.training.sources import hull_of, spelled_out

IGNORED = ""
"""The name of things that are neither learned nor taken for background."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing in a picture.

    Args:
        name: as the vocabulary calls it, or :data:`IGNORED`.
        hull: (K, 2) corners x, y of its convex hull, in pixels of the picture.
    """

    name: str
    hull: NDArray[np.float64]

    @property
    def box(self) -> Box:
        """The tight box, xyxy in pixels of the picture."""
        (x1, y1), (x2, y2) = self.hull.min(axis=0).tolist(), self.hull.max(axis=0).tolist()
        return x1, y1, x2, y2


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A held-out picture with its truth.

    Args:
        sample: the picture.
        things: every named thing in it, and ignored ones.
        names: what can be asked for: the names of its dataset.
    """

    sample: Sample
    things: tuple[Thing, ...]
    names: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Store:
    """Everything of one source.

    Args:
        source: where it comes from.
        names: the names of the things in it, training and held-out part together.
        pictures: (H, W, 3) uint8 each, of the training part; pictures without a thing are among them.
        things: the things in each picture.
        held_out: what is never trained on.
    """

    source: Source
    names: tuple[str, ...] = ()
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    things: list[tuple[Thing, ...]] = field(default_factory=list)
    held_out: list[Labelled] = field(default_factory=list)
    by_name: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The source's name for reports."""
        return self.source.name or self.source.dataset.partition("?")[0].rstrip("/").rpartition("/")[2]

    def draw(self, balanced: bool, random: np.random.Generator) -> tuple[int, Thing | None]:
        """Draw a picture, and a thing in it to look at.

        Args:
            balanced: draw a name first, each as likely, then a thing of it; else a picture first, then half of the
                time a thing in it.
            random: where chance comes from.
        """
        if balanced:
            name = self.names[int(random.integers(len(self.names)))]
            places = self.by_name[name]
            picture, number = places[int(random.integers(len(places)))]
            return picture, self.things[picture][number]
        picture = int(random.integers(len(self.pictures)))
        things = self.things[picture]
        if things and random.random() < 0.5:
            return picture, things[int(random.integers(len(things)))]
        return picture, None


def read_store(source: Source, data: Path, vocabulary: Sequence[str]) -> Store:
    """Read a dataset into memory.

    Args:
        source: the dataset, with its held-out part.
        data: the folder that ``DATA/`` stands for.
        vocabulary: every name that there is.

    Raises:
        InputError: the dataset cannot be opened, or no thing is left to train on.
        UnknownNameError: a label that the vocabulary does not know.
    """
    store = Store(source)
    held_out = []
    for sample in _samples(source, data):
        things = things_of(sample, source, vocabulary)
        if is_held_out(group_of(sample, source.group), source.held_out):
            held_out.append((sample, things))
            continue
        for number, thing in enumerate(things):
            if thing.name != IGNORED:
                store.by_name.setdefault(thing.name, []).append((len(store.pictures), number))
        store.things.append(things)
        store.pictures.append(sample.image().pixels)
    if not store.by_name:
        raise InputError(f"{source.dataset}: no thing with a name is left to train on")
    store.names = tuple(name for name in vocabulary if name in store.by_name)
    store.held_out = [Labelled(sample, things, store.names) for sample, things in held_out]
    return store


def things_of(sample: Sample, source: Source, vocabulary: Sequence[str]) -> tuple[Thing, ...]:
    """Return the things of a sample under the vocabulary's names.

    Raises:
        UnknownNameError: a label that is no name of the vocabulary and that ``source.names`` does not pair with one.
    """
    hulls = _hulls(sample)
    labels = sample.labels or (source.label,) * len(hulls)
    pairs = dict(source.names)
    named = zip(labels, hulls, strict=True)
    return tuple(Thing(_name(label, pairs, vocabulary), hull) for label, hull in named if hull is not None)


def _samples(source: Source, data: Path) -> Iterator[Sample]:
    dataset = open_dataset(spelled_out(source.dataset, data))
    if isinstance(dataset, SceneDataset):
        return (dataset.everything(number) for number in range(len(dataset)))
    return iter(dataset)


def _hulls(sample: Sample) -> list[NDArray[np.float64] | None]:
    """Return the hull of each mask, None for an empty one; or the corners of boxes where there are no masks."""
    if sample.instances is None:
        return [None if prompt.box is None else _corners(prompt.box) for prompt in sample.prompts()]
    return [hull_of(mask) if mask else None for mask in sample.instances]


def _corners(box: Box) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _name(label: str, pairs: Mapping[str, str], vocabulary: Sequence[str]) -> str:
    name = pairs.get(label, label.replace("_", " "))
    if name != IGNORED and name not in vocabulary:
        raise UnknownNameError("label (data: names pairs labels with names of the vocabulary)", label, vocabulary)
    return name
