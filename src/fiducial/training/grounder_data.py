"""What the nano grounder learns from: names with their phrases, pictures with named things, and batches of crops."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.datasets import Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError, UnknownNameError
from fiducial.synthetic.scenes import SceneDataset
from fiducial.training.configs import GrounderConfig, GrounderSource
from fiducial.training.grounder_crops import IGNORED, Seen, Targets, Thing, View, draw_view, targets_of
from fiducial.training.sources import expand_data_folder, hazed, recoloured, shares
from fiducial.training.trainer import StepBatches

Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Pixels (B, S, S, 3) uint8, phrase vectors (B, N, D), and of the targets heat (B, N, h, w), boxes (B, 4, h, w) and
weight (B, h, w)."""
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Phrases in, unit vectors (n, D) out."""

_PLAIN = 0.3
"""How often the name itself is asked for, rather than any of its phrases."""


# -- words ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Names with their phrases."""

    names: tuple[str, ...]  # what can be asked for, singular, each once
    domains: tuple[str, ...]  # the kind of picture that each belongs to
    vectors: tuple[NDArray[np.float32], ...]  # of each (k, D) unit vectors of its phrases, the name itself first

    @classmethod
    def of(cls, phrases: Mapping[str, Sequence[str]], domains: Mapping[str, str], embed: Embed) -> Lexicon:
        """Embed the phrases of each name, the name itself first."""
        vectors = tuple(np.asarray(embed(list(said)), np.float32) for said in phrases.values())
        return cls(tuple(phrases), tuple(domains[name] for name in phrases), vectors)

    @classmethod
    def shipped(cls) -> Lexicon:
        """Read the vocabulary and the word table of the package."""
        from fiducial.prompters.grounder.vocabulary import Vocabulary
        from fiducial.prompters.grounder.words import phrase_vectors

        vocabulary = Vocabulary.read()
        entries = {name: vocabulary.entry(name) for name in vocabulary.names}
        return cls.of(
            {name: entry.phrases for name, entry in entries.items()},
            {name: entry.domain for name, entry in entries.items()},
            phrase_vectors,
        )

    @property
    def size(self) -> int:
        """Dimensions of a phrase vector."""
        return int(self.vectors[0].shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 of names and vectors, in hex: a run is only gone on with when its words are the same."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        for vectors in self.vectors:
            digest.update(np.ascontiguousarray(vectors, np.float32).tobytes())
        return digest.hexdigest()

    def only(self, names: Sequence[str]) -> Lexicon:
        """Keep some of the names, in the order of the lexicon."""
        kept = [index for index, name in enumerate(self.names) if name in set(names)]
        parts = (self.names, self.domains, self.vectors)
        return Lexicon(*(tuple(part[index] for index in kept) for part in parts))  # type: ignore[arg-type]

    def mean_vectors(self) -> NDArray[np.float32]:
        """Return (N, D) the mean direction of each name's phrases, which is what is asked for at run time."""
        means = np.stack([vectors.mean(axis=0) for vectors in self.vectors])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-9), np.float32)

    def drawn_vectors(self, random: np.random.Generator) -> NDArray[np.float32]:
        """Return (N, D) the vector of one phrase per name: the name itself now and then, else any of its phrases."""
        plain = random.random(len(self.names)) < _PLAIN
        rows = zip(plain, self.vectors, strict=True)
        return np.stack([one[0 if own else int(random.integers(len(one)))] for own, one in rows])


# -- pictures -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """A held-out picture with its truth."""

    sample: Sample
    things: tuple[Thing, ...]  # every named thing in it, and ignored ones
    names: tuple[str, ...]  # what can be asked for: the names of its dataset


@dataclass(slots=True, eq=False)
class Store:
    """Everything of one source; pictures without a thing are among those that are trained on."""

    source: GrounderSource
    names: tuple[str, ...] = ()  # of the things that are trained on
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)  # (H, W, 3) each, of the training part
    things: list[tuple[Thing, ...]] = field(default_factory=list)  # in each of them
    held_out: list[LabelledPicture] = field(default_factory=list)
    by_name: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # picture and thing, by index

    def draw(self, balanced: bool, random: np.random.Generator) -> tuple[int, Thing | None]:
        """Draw a picture by its index, and a thing in it to look at.

        Balanced is: a name first, each as likely, then a thing of it; else a picture, then half of the time a thing.
        """
        if balanced:
            name = self.names[int(random.integers(len(self.names)))]
            places = self.by_name[name]
            picture, index = places[int(random.integers(len(places)))]
            return picture, self.things[picture][index]
        picture = int(random.integers(len(self.pictures)))
        things = self.things[picture]
        if things and random.random() < 0.5:
            return picture, things[int(random.integers(len(things)))]
        return picture, None


def read_store(source: GrounderSource, data: Path, vocabulary: Sequence[str]) -> Store:
    """Read a dataset into memory; ``vocabulary`` is every name that there is.

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
        for index, thing in enumerate(things):
            if thing.name != IGNORED:
                store.by_name.setdefault(thing.name, []).append((len(store.pictures), index))
        store.things.append(things)
        store.pictures.append(sample.image().pixels)
    if not store.by_name:
        raise InputError(f"{source.dataset}: no thing with a name is left to train on")
    store.names = tuple(name for name in vocabulary if name in store.by_name)
    store.held_out = [LabelledPicture(sample, things, store.names) for sample, things in held_out]
    return store


def things_of(sample: Sample, source: GrounderSource, vocabulary: Sequence[str]) -> tuple[Thing, ...]:
    """Return the things of a sample under the vocabulary's names.

    Raises:
        UnknownNameError: a label that is no name of the vocabulary and that ``source.names`` does not pair with one.
    """
    hulls, pairs, found = _hulls(sample), dict(source.names), []
    for label, hull in zip(sample.labels or (source.label,) * len(hulls), hulls, strict=True):
        if hull is None:
            continue
        name = pairs.get(label, label.replace("_", " "))
        if name != IGNORED and name not in vocabulary:
            raise UnknownNameError("label (data: names pairs labels with names of the vocabulary)", label, vocabulary)
        found.append(Thing(name, hull))
    return tuple(found)


def _samples(source: GrounderSource, data: Path) -> Iterator[Sample]:
    dataset = open_dataset(expand_data_folder(source.dataset, data))
    if isinstance(dataset, SceneDataset):
        return (dataset.everything(index) for index in range(len(dataset)))
    return iter(dataset)


def _hulls(sample: Sample) -> list[NDArray[np.float64] | None]:
    """Return the hull of each mask, None for an empty one; or the corners of boxes where there are no masks."""
    if sample.instances is None:
        boxes = [prompt.box for prompt in sample.prompts()]
        return [None if box is None else np.array([(x, y) for x in box[::2] for y in box[1::2]]) for box in boxes]
    return [mask.convex_hull() if mask else None for mask in sample.instances]


# -- batches --------------------------------------------------------------------------------------


class GrounderBatches(StepBatches[Batch]):
    """The batch of each step; the stores are in the order of ``config.data``, the lexicon holds what is learned."""

    def __init__(self, config: GrounderConfig, stores: Sequence[Store], lexicon: Lexicon) -> None:
        super().__init__(config.steps, config.num_workers)
        self._config, self._stores, self._lexicon = config, stores, lexicon
        self._shares = shares(config.data)

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)  # many small pictures: threads cost more than they bring
        size = self._config.phases[self._config.phase_index(step)].size
        seeds = ([self._config.seed, step, index] for index in range(self._config.batch_size))
        pixels, phrases, targets = zip(*(self.crop(np.random.default_rng(seed), size) for seed in seeds), strict=True)
        rows = (pixels, phrases, *zip(*targets, strict=True))
        return tuple(torch.from_numpy(np.stack(row)) for row in rows)  # type: ignore[return-value]

    def crop(self, random: np.random.Generator, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], Targets]:
        """Draw one crop: pixels (size, size, 3), a phrase vector per name (N, D), and what is to be said of it."""
        store = self._stores[int(random.choice(len(self._stores), p=self._shares))]
        source = store.source
        picture, thing = store.draw(bool(random.random() < self._config.balanced), random)
        pixels = store.pictures[picture]
        view = draw_view(pixels.shape, thing, size, source.scale, source.rotation, random)
        counted = np.array([name in store.names for name in self._lexicon.names])
        if random.random() < self._config.negatives:
            counted[:] = True
        targets = targets_of(self._seen(store.things[picture], view), counted, size)
        colours = view.pixels(pixels).astype(np.float32)
        if random.random() < source.haze:
            colours = hazed(colours, random)
        colours = recoloured(colours, random)
        return np.asarray(np.rint(colours), np.uint8), self._lexicon.drawn_vectors(random), targets

    def _seen(self, things: Sequence[Thing], view: View) -> list[Seen]:
        seen = []
        for thing in things:
            box, part = view.shown(thing.hull)
            if box is None:
                continue
            longest = max(box[2] - box[0], box[3] - box[1])
            learned = thing.name != IGNORED and part >= self._config.min_visible and longest >= self._config.min_size
            name = None if thing.name == IGNORED else self._lexicon.names.index(thing.name)
            seen.append(Seen(name, box, learned))
        return seen
