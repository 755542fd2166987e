"""Opening what the command line names: a benchmark folder, scenes drawn on the spot, or referring expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fiducial.datasets import Dataset
from fiducial.errors import InputError

SCENES, REFERRING, OBJECTS, PART = "scenes:", "referring:", "objects:", "part:"


def open_spec(spec: str, split: str | None = None) -> Dataset:
    """Open a dataset.

    Args:
        spec: as :func:`fiducial.datasets.open_dataset` takes it; or ``scenes:STYLE?count=50&seed=1&size=512``; or
            ``referring:FILE.jsonl?source=SPEC`` for referring expressions, with the dataset they were made from; or
            ``objects:held_out=0.15&group=patient&least=16?source=SPEC`` for one sample per object (every option
            may be left out; see :class:`fiducial.datasets.objects.ObjectDataset`); or
            ``part:held_out=0.15&group=patient?source=SPEC`` for the pictures that weights never saw (see
            :class:`fiducial.datasets.parts.PartDataset`).
        split: part of the dataset; None reads all.

    Raises:
        InputError: no such dataset, or options that make no sense.
    """
    if spec.startswith(SCENES):
        if split is not None:
            raise InputError("scenes have no splits: take another seed")
        return _scenes(spec.removeprefix(SCENES))
    if spec.startswith(REFERRING):
        return _referring(spec.removeprefix(REFERRING), split)
    if spec.startswith(OBJECTS):
        return _objects(spec.removeprefix(OBJECTS), split)
    if spec.startswith(PART):
        return _held_out(spec.removeprefix(PART), split)
    from fiducial.datasets import open_dataset

    return open_dataset(spec, split=split)


def _objects(text: str, split: str | None) -> Dataset:
    from fiducial.datasets.objects import ObjectDataset

    usage = "objects are written as objects:held_out=0.15&group=patient&part=rest&least=16?source=DATASET"
    given, source = _options(text, _OBJECT_OPTIONS, f"{usage} (any of the options)")
    dataset: Dataset = ObjectDataset(open_spec(source, split), **given)
    return dataset


def _held_out(text: str, split: str | None) -> Dataset:
    from fiducial.datasets.parts import PartDataset

    usage = "a part is written as part:held_out=0.15&group=patient&part=rest?source=DATASET"
    given, source = _options(text, _PART_OPTIONS, f"{usage} (held_out has to be there)")
    if "held_out" not in given:
        raise InputError(f"{usage} (held_out has to be there), got {text!r}")
    dataset: Dataset = PartDataset(open_spec(source, split), **given)
    return dataset


def _options(text: str, known: Mapping[str, Callable[[str], Any]], usage: str) -> tuple[dict[str, Any], str]:
    """Read ``KEY=VALUE&KEY=VALUE?source=DATASET``."""
    options, _, source = text.partition("?source=")
    wrong = InputError(f"{usage}, got {text!r}")
    if not source:
        raise wrong
    try:
        return {key: known[key](value) for key, value in parse_qsl(options, keep_blank_values=True)}, source
    except (KeyError, ValueError):
        raise wrong from None


def _part(text: str) -> str:
    if text not in ("held_out", "rest"):
        raise ValueError(text)
    return text


_PART_OPTIONS: dict[str, Callable[[str], Any]] = {"held_out": float, "group": str, "part": _part}
_OBJECT_OPTIONS: dict[str, Callable[[str], Any]] = {**_PART_OPTIONS, "least": float}


def _referring(text: str, split: str | None) -> Dataset:
    from fiducial.synthetic import ReferringDataset, read_expressions

    file, _, source = text.partition("?source=")
    if not source:
        raise InputError(f"referring expressions are written as referring:FILE.jsonl?source=DATASET, got {text!r}")
    dataset: Dataset = ReferringDataset(open_spec(source, split), read_expressions(file), name=Path(file).stem)
    return dataset


def _scenes(text: str) -> Dataset:
    from fiducial.synthetic import SceneDataset

    style, _, query = text.partition("?")
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in ("count", "seed", "size") or not value.isdecimal():
            raise InputError(f"scenes are written as scenes:STYLE?count=50&seed=1&size=512, got {key}={value}")
        options[key] = int(value)
    dataset: Dataset = SceneDataset(style, **options)
    return dataset
