"""Making: referring expressions for every picture of a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fiducial.datasets.referring.expressions import FAMILIES, VERSION, say
from fiducial.datasets.referring.pictures import Index, Picture, index_pictures, pictures
from fiducial.datasets.referring.vocabulary import spoken
from fiducial.datasets.sample import Dataset
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Box

_PLAUSIBLE = 6
"""Names of absent things offered per picture."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One instruction about one picture, with its truth.

    Args:
        id: unique in its dataset.
        image: the picture's key; see :class:`fiducial.datasets.referring.pictures.Picture`.
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
    index = index_pictures(dataset)
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
    picture: Picture, company: Mapping[str, Mapping[str, int]], seed: int, count: int, families: Sequence[str]
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


def _company(index: Index) -> dict[str, dict[str, int]]:
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
