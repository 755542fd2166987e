"""Referring expressions for every picture of a dataset: made, kept as JSON Lines, and read as a dataset again."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.config import as_plain, read
from fiducial.datasets import Dataset, DatasetConfig, Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_json, read_json_lines, write_atomically
from fiducial.geometry import Box, Mask, Prompts
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


class ImageIndex:
    """The pictures of a dataset by their keys, in its order: one pass over the samples; no picture is decoded."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._samples: dict[str, list[int]] = {}
        self.labels: dict[str, frozenset[str]] = {}
        found = [(sample.image_path, sample.id, frozenset(_labels(sample))) for sample in dataset]
        folders = {str(path.parent) for path, _, _ in found if path is not None}
        shared = Path(os.path.commonpath(folders)) if folders else Path()
        for number, (path, name, labels) in enumerate(found):
            key = name if path is None else path.relative_to(shared).as_posix()
            self._samples.setdefault(key, []).append(number)
            self.labels[key] = self.labels.get(key, frozenset()) | labels

    def read(self, key: str) -> AnnotatedImage:
        """Put together all instances that the samples of one picture have, each once."""
        samples = [self._dataset[number] for number in self._samples[key]]
        found: dict[tuple[str, Box, Mask | None], None] = {}
        for sample in samples:
            masks: Sequence[Mask | None] = sample.instances or (None,) * len(sample.labels)
            if sample.instances is not None:  # tight boxes; None where a mask is empty
                boxes = [mask.box for mask in sample.instances]
            else:
                boxes = [prompt.box for prompt in sample.boxes or ()]
            for label, box, mask in zip(_labels(sample), boxes, masks, strict=True):
                if box is not None:
                    found[label, box, mask] = None
        known = tuple(mask for _, _, mask in found if mask is not None)
        if known and len(known) != len(found):
            raise InputError(f"{key}: {len(found)} instances, but masks for {len(known)} of them")
        crowded = any(sample.ignore for sample in samples)
        labels, all_boxes = tuple(label for label, _, _ in found), tuple(box for _, box, _ in found)
        return AnnotatedImage(key, samples[0], labels, known if known or not found else None, all_boxes, crowded)


def _labels(sample: Sample) -> tuple[str, ...]:
    count = len(sample.instances) if sample.instances is not None else len(sample.boxes or ())
    if len(sample.labels) != count:
        raise InputError(
            f"sample {sample.id}: {count} instances but {len(sample.labels)} labels: "
            "referring expressions need to know what each instance is called"
        )
    return tuple(sample.labels)


_PLAUSIBLE = 6
"""Names of absent things offered per picture."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One instruction about one picture, with its truth.

    Args:
        image: the picture's key; see :class:`AnnotatedImage`.
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


def referring_expressions(
    dataset: Dataset,
    seed: int = 0,
    *,
    per_image: int = 6,
    limit: int | None = None,
    families: Sequence[str] | None = None,
    on_picture: Callable[[int, int], None] | None = None,
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
        on_picture: called after every picture with how many are done, and of how many.
    """
    wanted = tuple(FAMILIES) if families is None else tuple(families)
    for family in wanted:
        if family not in FAMILIES:
            raise UnknownNameError("family", family, FAMILIES)
    if seed < 0 or per_image < 0:
        raise InputError(f"seed and per_image are numbers from 0, got {seed} and {per_image}")
    index = ImageIndex(dataset)
    company = _company(index)
    found: list[Expression] = []
    for done, picture in enumerate(map(index.read, index.labels), start=1):
        if not picture.crowded:
            found += _about(picture, company, seed, per_image, wanted)
        if on_picture is not None:
            on_picture(done, len(index.labels))
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


def _about(
    picture: AnnotatedImage, company: Mapping[str, Counter[str]], seed: int, count: int, families: Sequence[str]
) -> list[Expression]:
    # What is drawn depends on the seed and the picture's name alone.
    digest = hashlib.sha256(picture.key.encode()).digest()
    rng = np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])
    sample = picture.sample
    view = View.of(sample.size, picture.labels, masks=picture.masks, boxes=picture.boxes, read=sample.image)
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


def _company(index: ImageIndex) -> Mapping[str, Counter[str]]:
    """Count, for each spoken name, in how many pictures each other name stands beside it."""
    company: dict[str, Counter[str]] = defaultdict(Counter)
    for labels in index.labels.values():
        names = {spoken(label) for label in labels}
        for name in names:
            company[name].update(names - {name})
    return company


def _plausible(present: frozenset[str], company: Mapping[str, Counter[str]], rng: np.random.Generator) -> list[str]:
    """Draw names that are not in a picture, those more often that stand beside its things elsewhere."""
    absent = sorted(set(company) - present)
    if not absent:
        return []
    weights = np.array([1.0 + 10.0 * sum(company[name][other] for other in present) for name in absent])
    count = min(_PLAUSIBLE, len(absent))
    drawn = rng.choice(len(absent), size=count, replace=False, p=weights / weights.sum())
    return [absent[int(k)] for k in drawn]


# -- files and dataset ----------------------------------------------------------------------------

_TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "image", "instruction", "family"), str),
    **dict.fromkeys(("instances", "boxes"), list),
    **dict.fromkeys(("version", "seed"), int),
}


def expression_lines(expressions: Iterable[Expression]) -> str:
    """Return expressions as JSON Lines, one line each, keys in a fixed order."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in expressions)


def write_expressions(path: Path, expressions: Iterable[Expression], source: DatasetConfig) -> None:
    """Write expressions as JSON Lines, and beside them (``NAME.source.json``) the dataset that they are about."""
    plain = as_plain(source)
    if "path" in plain:
        plain["path"] = str(Path(plain["path"]).resolve())
    write_atomically(path, expression_lines(expressions))
    write_atomically(path.with_suffix(".source.json"), json.dumps(plain, indent=1) + "\n")


def read_expressions(path: str | Path) -> list[Expression]:
    """Read what :func:`expression_lines` gave."""
    path = Path(path)
    found = [_expression(row, f"{path}, line {number}") for number, row in read_json_lines(path)]
    repeated = len(found) - len({one.id for one in found})
    if repeated:
        raise InputError(f"{path}: {repeated} ids occur more than once")
    return found


def read_source(path: Path) -> DatasetConfig | None:
    """Read what a file of expressions is about; None where nothing beside it says so."""
    beside = path.with_suffix(".source.json")
    return read(DatasetConfig, read_json(beside, kind=dict), str(beside)) if beside.is_file() else None


class ReferringDataset:
    """Referring expressions as samples over the dataset that they were made from.

    The source is as it was when the expressions were made; default of the name: that of the source and "referring".
    """

    def __init__(self, source: Dataset, expressions: Sequence[Expression], *, name: str | None = None) -> None:
        self.name = name or f"{source.name}-referring"
        self.expressions = tuple(expressions)
        index = ImageIndex(source)
        unknown = sorted({one.image for one in self.expressions} - set(index.labels))
        if unknown:
            raise InputError(
                f"{len(unknown)} pictures of the expressions are not in '{source.name}', the first is {unknown[0]!r}"
            )
        # neighbours in the list speak of one picture: it is put together once for all of them
        self._picture = lru_cache(maxsize=8)(index.read)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all samples, in order."""
        return tuple(one.id for one in self.expressions)

    def __len__(self) -> int:
        return len(self.expressions)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def picture_of(self, index: int) -> AnnotatedImage:
        """Return the picture of a sample with all its instances, those too that the expression leaves out."""
        return self._picture(self.expressions[index].image)

    def __getitem__(self, index: int) -> Sample:
        one = self.expressions[index]
        picture = self._picture(one.image)
        for number, box in zip(one.instances, one.boxes, strict=True):
            if number >= len(picture.boxes) or picture.boxes[number] != box:
                raise InputError(
                    f"{one.id}: instance {number} of {one.image} is not where it was when the expressions were made: "
                    "use the same dataset, or make them again"
                )
        chosen = one.instances
        masks = None if picture.masks is None else tuple(picture.masks[k] for k in chosen)
        labels = tuple(picture.labels[k] for k in chosen)
        boxes = None
        if masks is None:
            boxes = Prompts.from_boxes(picture.sample.frame, [picture.boxes[k] for k in chosen], labels=labels)
        return Sample(
            id=one.id,
            image_path=picture.sample.image_path,
            picture=picture.sample.picture,
            instruction=one.instruction,
            instances=masks,
            size=picture.sample.size,
            labels=labels,
            boxes=boxes,
            split=picture.sample.split,
            meta={"family": one.family, "instances": [*chosen], "version": one.version, "seed": one.seed},
        )


def _expression(values: dict[str, Any], where: str) -> Expression:
    for key, kind in _TYPES.items():
        if not isinstance(values.get(key), kind) or isinstance(values.get(key), bool):
            raise InputError(f"{where}: '{key}' has to be a {kind.__name__}, got {values.get(key)!r}")
    numbers = values["instances"]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise InputError(f"{where}: 'instances' has to hold numbers from 0, got {numbers!r}")
    for box in values["boxes"]:
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, int | float) for value in box):
            raise InputError(f"{where}: a box has four numbers, got {box!r}")
    boxes = tuple(tuple(map(float, box)) for box in values["boxes"])
    if len(boxes) != len(numbers):
        raise InputError(f"{where}: {len(numbers)} instances but {len(boxes)} boxes")
    kept = {key: values[key] for key in _TYPES}
    return Expression(**{**kept, "instances": tuple(numbers), "boxes": boxes})
