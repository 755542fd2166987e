"""RefSegRS and RISBench: text files of phrases, a picture and a mask of one name for each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fiducial.datasets.files import Pictures, picture_size, read_mask, read_text
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError

REFSEGRS_EXPECTED = """
root/
  images/ID.tif
  masks/ID.tif                first channel: what is not zero is the target
  output_phrase_train.txt     one line per sample: ID phrase
  output_phrase_val.txt
  output_phrase_test.txt
"""
RISBENCH_EXPECTED = """
root/
  img_rgb/NAME
  mask/NAME                   what is not zero is the target
  output_phrase_train.txt     one line per sample: NAME phrase
  output_phrase_val.txt
  output_phrase_test.txt
"""
SPLITS = ("train", "val", "test")
_FOLDERS = {"refsegrs": ("images", "masks"), "risbench": ("img_rgb", "mask")}


@dataclass(frozen=True, slots=True)
class _Row:
    image: Path
    mask: Path
    phrase: str
    split: str


def open_phrases(root: Path, *, name: str, split: str | None = None) -> Listing[Any]:
    """Open RefSegRS or RISBench; each line of a phrase file is a sample.

    Args:
        root: the folder of the phrase files.
        name: ``refsegrs`` or ``risbench``.
        split: ``train``, ``val`` or ``test``; None reads those that are there.

    Raises:
        LayoutError: files are missing.
        InputError: a line is broken.
    """
    layout = LAYOUTS[name]
    there = [part for part in SPLITS if _source(root, part).is_file()]
    lost = [f"{folder}/" for folder in _FOLDERS[name] if not (root / folder).is_dir()]
    lost += [] if there else ["output_phrase_SPLIT.txt"]
    if lost:
        raise LayoutError(root, name, layout.expected, f"{' and '.join(lost)} missing")
    images, masks = (Pictures(root / folder) for folder in _FOLDERS[name])
    named: list[tuple[str, _Row]] = []
    for part in choose_splits(there, split, root):
        lines = list(_lines(_source(root, part)))
        for pictures in (images, masks):
            missing = sorted({key for key, _ in lines if pictures.find(key) is None})
            if missing:
                problem = f"{pictures.folder.name}/ lacks {len(missing)} pictures of {part}: {count_of(missing)}"
                raise LayoutError(root, name, layout.expected, problem)
        named += _rows(lines, images, masks, part)
    return Listing(name, root, [key for key, _ in named], [row for _, row in named], partial(_sample, name=name))


def recognises(root: Path, *, name: str) -> bool:
    """Say whether the two folders and a phrase file are there."""
    folders = all((root / folder).is_dir() for folder in _FOLDERS[name])
    return folders and any(_source(root, part).is_file() for part in SPLITS)


def _source(root: Path, split: str) -> Path:
    return root / f"output_phrase_{split}.txt"


def _lines(source: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_text(source).splitlines(), start=1):
        if not line.strip():
            continue
        key, _, phrase = line.strip().partition(" ")
        if not phrase.strip():
            raise InputError(f"{source}, line {number}: a name and a phrase are expected, got {line.strip()[:80]!r}")
        yield key, phrase.strip()


def _rows(lines: list[tuple[str, str]], images: Pictures, masks: Pictures, split: str) -> Iterator[tuple[str, _Row]]:
    """Number the lines of one picture, so that each has an id of its own."""
    seen: Counter[str] = Counter()
    for key, phrase in lines:
        image, mask = images.find(key), masks.find(key)
        if image is not None and mask is not None:
            yield f"{split}-{image.stem}-{seen[image.stem]}", _Row(image, mask, phrase, split)
            seen[image.stem] += 1


def _sample(key: str, row: _Row, name: str) -> Sample:
    size = picture_size(row.image)
    mask = read_mask(row.mask, size, channel=0 if name == "refsegrs" else None)
    return Sample(
        id=key,
        image_path=row.image,
        picture=None,
        instruction=row.phrase,
        instances=(mask,) if mask else (),
        size=size,
        split=row.split,
    )


LAYOUTS = {
    name: Layout(name, summary, expected, partial(open_phrases, name=name), partial(recognises, name=name))
    for name, summary, expected in (
        ("refsegrs", "RefSegRS: phrases about aerial pictures", REFSEGRS_EXPECTED),
        ("risbench", "RISBench: phrases about aerial pictures", RISBENCH_EXPECTED),
    )
}
