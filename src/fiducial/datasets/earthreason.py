"""EarthReason: one picture, one mask, several questions whose answer has to be reasoned out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.datasets.files import Pictures, picture_size, read_json, read_mask
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing, Texts, named_texts
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError

EXPECTED = """
root/
  train/, val/, test/         at least one of them, each with
    images/ID.jpg             or .png
    labels/ID.png             what is not zero is the target
    QAs/ID.json               {"questions": [...], "answer": [...]}
"""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class _Row:
    image: Path
    label: Path | None
    question: str
    answers: tuple[str, ...]
    split: str


def open_earthreason(root: Path, *, split: str | None = None, texts: Texts = "all") -> Listing[Any]:
    """Open EarthReason; each question about a picture is a sample of its own.

    The truth is the mask, as one instance; an empty one means that there is no target. Where the list
    of answers is empty, the mask may be missing.

    Args:
        root: the folder of the splits.
        split: ``train``, ``val`` or ``test``; None reads those that are there.
        texts: ``"first"`` asks the first question only, as the published evaluations do.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken.
    """
    there = [name for name in SPLITS if (root / name / "QAs").is_dir()]
    if not there:
        raise LayoutError(root, LAYOUT.name, EXPECTED, "there is no SPLIT/QAs/")
    named = [pair for name in choose_splits(there, split, root) for pair in _rows(root, name, texts)]
    return Listing("earthreason", root, [key for key, _ in named], [row for _, row in named], _sample)


def recognises(root: Path) -> bool:
    """Say whether a split with questions and labels is there."""
    return any((root / name / "QAs").is_dir() and (root / name / "labels").is_dir() for name in SPLITS)


def _rows(root: Path, split: str, texts: Texts) -> Iterator[tuple[str, _Row]]:
    folder = root / split
    images, labels = Pictures(folder / "images"), Pictures(folder / "labels")
    sources = sorted((folder / "QAs").glob("*.json"))
    if not sources:
        raise LayoutError(root, LAYOUT.name, EXPECTED, f"{split}/QAs/ holds no JSON file")
    for pictures in (images, labels):
        missing = [path.stem for path in sources if pictures.find(path.stem) is None]
        if pictures is labels:
            missing = [name for name in missing if _read(folder / "QAs" / f"{name}.json")[1]]
        if missing:
            problem = f"{split}/{pictures.folder.name}/ lacks {len(missing)} of {len(sources)} files: "
            raise LayoutError(root, LAYOUT.name, EXPECTED, problem + count_of(missing))
    for source in sources:
        questions, answers = _read(source)
        image = images.find(source.stem)
        if image is not None:
            for name, question in named_texts(split, source.stem, questions, texts):
                yield name, _Row(image, labels.find(source.stem), question, answers, split)


def _read(source: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = read_json(source)
    questions, answers = found.get("questions"), found.get("answer")
    if not _are_texts(questions) or not questions or not _are_texts(answers):
        raise InputError(f'{source}: {{"questions": [texts], "answer": [texts]}} is expected, with a question')
    return tuple(questions), tuple(answers)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _sample(key: str, row: _Row) -> Sample:
    size = picture_size(row.image)
    mask = read_mask(row.label, size) if row.label is not None else None
    return Sample(
        id=key,
        image_path=row.image,
        picture=None,
        instruction=row.question,
        instances=(mask,) if mask else (),
        size=size,
        split=row.split,
        meta={"answers": list(row.answers)},
    )


LAYOUT = Layout("earthreason", "EarthReason: questions about aerial pictures", EXPECTED, open_earthreason, recognises)
