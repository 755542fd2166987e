"""Referring expressions as JSON Lines, and as a dataset over their source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from fiducial.config import as_plain, read
from fiducial.datasets import Dataset, DatasetConfig, Sample
from fiducial.errors import InputError
from fiducial.files import read_json, read_json_lines, write_atomically
from fiducial.geometry import Prompts
from fiducial.synthetic.referring import AnnotatedImage, Expression, index_images, read_image_of

_TYPES: dict[str, type] = {
    "id": str,
    "image": str,
    "instruction": str,
    "family": str,
    "instances": list,
    "boxes": list,
    "version": int,
    "seed": int,
}


def expression_lines(expressions: Iterable[Expression]) -> str:
    """Return expressions as JSON Lines, one line each, keys in a fixed order."""
    return "".join(json.dumps(one.as_json(), ensure_ascii=False) + "\n" for one in expressions)


def write_expressions(path: Path, expressions: Iterable[Expression], source: DatasetConfig) -> None:
    """Write expressions as JSON Lines, and beside them (``NAME.source.json``) the dataset that they are about."""
    plain = as_plain(source)
    if "path" in plain:
        plain["path"] = str(Path(plain["path"]).resolve())
    write_atomically(path, expression_lines(expressions))
    write_atomically(path.with_suffix(".source.json"), json.dumps(plain, indent=1) + "\n")


def read_expressions(path: str | Path) -> list[Expression]:
    """Read what :func:`expression_lines` gave.

    Raises:
        InputError: the file is missing, a line is not JSON, or a value is missing or of another kind.
    """
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

    Args:
        source: the dataset with the instances, as it was when the expressions were made.
        expressions: the expressions.
        name: what this dataset is called; default: that of the source and "referring".

    Raises:
        InputError: an expression is about a picture that the source does not have.
    """

    def __init__(self, source: Dataset, expressions: Sequence[Expression], *, name: str | None = None) -> None:
        self.name = name or f"{source.name}-referring"
        self.expressions = tuple(expressions)
        index = index_images(source)
        unknown = sorted({one.image for one in self.expressions} - set(index.samples))
        if unknown:
            raise InputError(
                f"{len(unknown)} pictures of the expressions are not in '{source.name}', the first is {unknown[0]!r}"
            )
        # neighbours in the list speak of one picture: it is put together once for all of them
        self._picture = lru_cache(maxsize=8)(lambda key: read_image_of(source, index, key))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all samples, in order."""
        return tuple(one.id for one in self.expressions)

    def __len__(self) -> int:
        return len(self.expressions)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        one = self.expressions[index]
        picture = self._picture(one.image)
        _require_same(one, picture)
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


def _require_same(one: Expression, picture: AnnotatedImage) -> None:
    """Make sure that an expression's instances are still what they were."""
    for number, box in zip(one.instances, one.boxes, strict=True):
        if number >= len(picture.boxes) or picture.boxes[number] != box:
            raise InputError(
                f"{one.id}: instance {number} of {one.image} is not where it was when the expressions were made: "
                "use the same dataset, or make them again"
            )


def _expression(values: dict[str, Any], where: str) -> Expression:
    for key, kind in _TYPES.items():
        if not isinstance(values.get(key), kind) or isinstance(values.get(key), bool):
            raise InputError(f"{where}: '{key}' has to be a {kind.__name__}, got {values.get(key)!r}")
    numbers = values["instances"]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise InputError(f"{where}: 'instances' has to hold numbers from 0, got {numbers!r}")
    boxes = tuple(_box(box, where) for box in values["boxes"])
    if len(boxes) != len(numbers):
        raise InputError(f"{where}: {len(numbers)} instances but {len(boxes)} boxes")
    kept = {key: values[key] for key in _TYPES}
    return Expression(**{**kept, "instances": tuple(numbers), "boxes": boxes})


def _box(values: Any, where: str) -> tuple[float, float, float, float]:
    sound = isinstance(values, list) and len(values) == 4
    if not sound or not all(isinstance(value, int | float) for value in values):
        raise InputError(f"{where}: a box has four numbers, got {values!r}")
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2
