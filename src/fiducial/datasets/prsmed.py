"""PRS-Med (MMRS, PosMed): CSV files of questions and answers about medical pictures with masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fiducial.datasets.files import Pictures, inside, picture_size, read_csv, read_mask
from fiducial.datasets.layout import Layout, LayoutError, choose_splits, count_of
from fiducial.datasets.listing import Listing
from fiducial.datasets.sample import Sample
from fiducial.errors import InputError

EXPECTED = """
root/                         or one CSV file
  *.csv                       also one folder down; columns image_path (of the MASK), image_name,
                              split, question, and where known answer, position, description
  GROUP/                      such as lung_CT, polyp_endoscopy
    train_masks/NAME.png      what is not zero is the target
    train_images/NAME.png     the path of the mask with "masks" read as "images"
"""
NEEDED = ("image_path", "image_name", "split", "question")
_EXTRA = ("answer", "position", "description")
_MASK_ENDINGS = ("_Segmentation", "_segmentation")


@dataclass(frozen=True, slots=True)
class _Row:
    image: Path
    mask: Path
    question: str
    split: str
    meta: dict[str, str]


def open_prsmed(root: Path, *, split: str | None = None) -> Listing[Any]:
    """Open PRS-Med's data; each row of its CSV files is a sample whose instruction is the question.

    Args:
        root: the folder of the CSV files and of the groups, or one CSV file in it.
        split: a value of the column ``split``; None reads them all.

    Raises:
        LayoutError: files are missing.
        InputError: a file is broken.
    """
    sources = _sources(root)
    if not sources:
        raise LayoutError(root, LAYOUT.name, EXPECTED, "there is no CSV file")
    home = root if root.is_dir() else root.parent
    rows = [(source, row) for source in sources for row in read_csv(source, NEEDED)]
    chosen = choose_splits(sorted({row["split"] for _, row in rows}), split, root)
    finder = _Finder(home)
    named = list(_rows([pair for pair in rows if pair[1]["split"] in chosen], finder))
    if finder.missing:
        problem = f"{len(finder.missing)} files are missing: {count_of(finder.missing)}"
        raise LayoutError(root, LAYOUT.name, EXPECTED, problem)
    return Listing("prs-med", root, [key for key, _ in named], [row for _, row in named], _sample)


def recognises(root: Path) -> bool:
    """Say whether a CSV file with the columns is there."""
    return any(_has_columns(source) for source in _sources(root))


def _sources(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix.lower() == ".csv" else []
    return sorted(root.glob("*.csv")) or sorted(root.glob("*/*.csv"))


def _has_columns(source: Path) -> bool:
    with source.open("rb") as file:
        header = file.readline(4096).decode("utf-8-sig", errors="replace")
    return set(NEEDED) <= {name.strip().strip('"') for name in header.split(",")}


class _Finder:
    """Find masks and pictures; each folder is listed once, and what is missing is collected."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.missing: list[str] = []
        self._folders: dict[Path, Pictures] = {}

    def pair(self, mask_path: str) -> tuple[Path, Path] | None:
        """Find mask and picture of the path that the CSV gives for the mask."""
        mask = self._mask(PurePosixPath(mask_path.replace("\\", "/")))
        if mask is None:
            self.missing.append(mask_path)
            return None
        folder = mask.parent.parent / mask.parent.name.replace("masks", "images").replace("mask", "image")
        names = [mask.name, *(mask.stem.removesuffix(end) for end in _MASK_ENDINGS if mask.stem.endswith(end))]
        image = next((found for name in names if (found := self._listed(folder).find(name))), None)
        if image is None or folder == mask.parent:
            self.missing.append(f"{folder.name}/{mask.name}")
            return None
        return mask, image

    def _mask(self, given: PurePosixPath) -> Path | None:
        """Leave out leading folders of the machine on which the CSV was written."""
        parts = [part for part in given.parts if part not in ("/", "..", ".")]
        for start in range(max(0, len(parts) - 6), len(parts)):
            path = inside(self.home, "/".join(parts[start:]))
            if path.parent in self._folders or path.parent.is_dir():
                found = self._listed(path.parent).find(path.name)
                if found is not None:
                    return found
        return None

    def _listed(self, folder: Path) -> Pictures:
        if folder not in self._folders:
            self._folders[folder] = Pictures(folder)
        return self._folders[folder]


def _rows(rows: list[tuple[Path, dict[str, str]]], finder: _Finder) -> Iterator[tuple[str, _Row]]:
    seen: Counter[str] = Counter()
    for source, row in rows:
        if not row["question"]:
            raise InputError(f"{source}: the row of {row['image_path']!r} has no question")
        found = finder.pair(row["image_path"])
        if found is None:
            continue
        mask, image = found
        group = mask.parent.parent.name if mask.parent.parent != finder.home else source.stem
        name = f"{group}-{row['split']}-{image.stem}"
        meta = {key: row[key] for key in _EXTRA if row.get(key)} | {"group": group, "image_name": row["image_name"]}
        yield f"{name}-{seen[name]}", _Row(image, mask, row["question"], row["split"], meta)
        seen[name] += 1


def _sample(key: str, row: _Row) -> Sample:
    size = picture_size(row.image)
    mask = read_mask(row.mask, size)
    return Sample(
        id=key,
        image_path=row.image,
        picture=None,
        instruction=row.question,
        instances=(mask,) if mask else (),
        size=size,
        split=row.split,
        meta=row.meta,
    )


LAYOUT = Layout("prs-med", "PRS-Med, MMRS, PosMed: questions about medical pictures", EXPECTED, open_prsmed, recognises)
