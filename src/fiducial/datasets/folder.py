"""Folders of pictures and masks of the same names: a plain one with instructions in a table, RefSegRS, RISBench."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fiducial.datasets.configs import FolderConfig, RefSegRsConfig
from fiducial.datasets.files import (
    LayoutError,
    Pictures,
    choose_splits,
    count_of,
    picture_size,
    read_csv,
    read_mask,
    read_values,
    require_size,
)
from fiducial.datasets.sample import Listing, Sample, mask_sample
from fiducial.errors import InputError
from fiducial.files import read_json, read_json_lines, read_text
from fiducial.geometry import Mask

EXPECTED = """
root/
  images/NAME.png
  masks/NAME.png              what is not zero is the target
  instructions.jsonl          or instructions.csv, or manifest.json (a list); fields: image,
                              instruction, and if wanted id, mask, ignore, split, label, spacing;
                              none of them: give instruction=... for every picture
other names: image_folder=, mask_folder=, mask_ending=, table=
"""
_TABLES = ("instructions.jsonl", "instructions.csv", "manifest.json")
_FIELD = re.compile(r"\{(\w+)\}")
_OWN = frozenset({"id", "image", "mask", "ignore", "instruction", "split", "label"})


def open_folder(config: FolderConfig) -> Listing:
    """Open a plain folder.

    Without a table each picture is a sample. A field ``mask`` that is there and empty means that there
    is no target; without the field the mask has the picture's name. A field ``ignore`` names a picture
    in ``ignore/`` whose non-zero pixels count for nothing. What else a table says goes to ``meta``; of that, a field
    ``spacing`` (height and width of a pixel in mm, such as ``"0.5 0.5"``) gives Hausdorff 95 in mm.
    """
    root = config.path
    lost = [f"{name}/" for name in (config.image_folder, config.mask_folder) if not (root / name).is_dir()]
    if lost:
        raise LayoutError(root, config.name, EXPECTED, f"{' and '.join(lost)} missing")
    source, entries = _entries(config)
    reader = _Reader(config, source)
    rows = [reader.row(entry, number) for number, entry in enumerate(entries, start=1)]
    if reader.missing:
        problem = f"{len(reader.missing)} files are missing: {count_of(reader.missing)}"
        raise LayoutError(root, config.name, EXPECTED, problem)
    names = _names(entries, [image.stem for image, _, _ in rows])
    chosen = choose_splits(sorted({split for _, split, _ in rows}), config.split, source)
    kept = ((name, make) for name, (_, split, make) in zip(names, rows, strict=True) if split in chosen)
    return Listing(root.name, root, kept)


def is_folder(root: Path) -> bool:
    """Say whether ``images/`` and ``masks/`` are there, and no list of phrases (RefSegRS)."""
    folders = (root / "images").is_dir() and (root / "masks").is_dir()
    return folders and next(root.glob("output_phrase_*.txt"), None) is None


def _entries(config: FolderConfig) -> tuple[Path, list[dict[str, Any]]]:
    """Read the table, or list the pictures where there is none."""
    root, table = config.path, config.table
    found = [root / name for name in _TABLES if (root / name).is_file()] if table is None else [table]
    if len(found) > 1:
        raise InputError(f"{root}: more than one table: {', '.join(path.name for path in found)}; keep one")
    if not found:
        folder = root / config.image_folder
        return folder, [{"image": path.name} for path in Pictures(folder)]
    source = found[0]
    if source.suffix == ".csv":
        return source, list(read_csv(source, ("image",)))
    if source.suffix == ".jsonl":
        return source, [row for _, row in read_json_lines(source)]
    entries = read_json(source, kind=list)
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{source}: a list of objects is expected")
    return source, entries


class _Reader:
    """Turn entries of the table into rows; what is missing is collected."""

    def __init__(self, config: FolderConfig, source: Path) -> None:
        self.config = config
        self.source = source
        self.missing: list[str] = []
        folders = {"images": config.image_folder, "masks": config.mask_folder, "ignore": "ignore"}
        self._folders = {kind: (name, Pictures(config.path / name)) for kind, name in folders.items()}

    def row(self, entry: dict[str, Any], number: int) -> tuple[Path, str, Callable[[str], Sample]]:
        """Return the picture and the split of an entry, and what makes its sample."""
        image = self._text(entry, "image", number)
        if not image:
            raise InputError(f"{self.source}, row {number}: no image is named")
        said = self._text(entry, "instruction", number) or self._instruction(entry, number)
        if not said:
            raise InputError(
                f"{self.source}, row {number}: no instruction: give the table a field 'instruction', "
                "or say instruction=... for every picture"
            )
        ending = self.config.mask_ending
        named = str(PurePosixPath(image).with_suffix("")) + ending if ending else image
        mask = self._text(entry, "mask", number) if "mask" in entry else named
        ignore = self._text(entry, "ignore", number)
        path, split = self._find("images", image) or Path(image), self._text(entry, "split", number)
        return (
            path,
            split,
            partial(
                _sample,
                image=path,
                mask=self._find("masks", mask) if mask else None,
                apart=self.config.masks == "instances",
                ignore=self._find("ignore", ignore) if ignore else None,
                instruction=said,
                label=self._text(entry, "label", number),
                split=split,
                meta={key: value for key, value in entry.items() if key not in _OWN},
            ),
        )

    def _instruction(self, entry: dict[str, Any], number: int) -> str:
        """Fill what is said of every picture with an entry's fields."""

        def value(found: re.Match[str]) -> str:
            if not (said := self._text(entry, found[1], number)):
                raise InputError(
                    f"{self.source}, row {number}: nothing stands in field {found[1]!r}, which the "
                    f"instruction {self.config.instruction!r} names"
                )
            return said

        return _FIELD.sub(value, self.config.instruction)

    def _find(self, kind: str, name: str) -> Path | None:
        folder, pictures = self._folders[kind]
        found = pictures.find(name.removeprefix(f"{folder}/"))
        if found is None:
            self.missing.append(f"{folder}/{name}")
        return found

    def _text(self, entry: dict[str, Any], key: str, number: int) -> str:
        value = entry.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InputError(f"{self.source}, row {number}: {key} needs to be a text, got {value!r:.60}")
        return value.strip()


def _names(entries: list[dict[str, Any]], stems: Sequence[str]) -> list[str]:
    """Take the ids that the table gives; else number the rows of one picture where it has several."""
    seen: Counter[str] = Counter()
    several = Counter(stems)
    names = []
    for entry, stem in zip(entries, stems, strict=True):
        given = entry.get("id")
        names.append(str(given) if given not in (None, "") else stem if several[stem] == 1 else f"{stem}-{seen[stem]}")
        seen[stem] += 1
    return names


def _sample(
    id: str,
    image: Path,
    mask: Path | None,
    apart: bool,
    ignore: Path | None,
    instruction: str,
    label: str,
    split: str,
    meta: dict[str, Any],
) -> Sample:
    size = picture_size(image)
    instances: tuple[Mask, ...] = ()
    if mask is not None and apart:
        values = read_values(mask)
        require_size(mask, values, size)
        instances = tuple(Mask.from_dense(values == number) for number in np.unique(values) if number != 0)
    elif mask is not None and (whole := read_mask(mask, size)):
        instances = (whole,)
    labels = (label,) * len(instances) if label else ()
    ignored = read_mask(ignore, size) if ignore else None
    about: dict[str, Any] = {"ignore": ignored, "split": split, "meta": meta, "mask_path": mask}
    return Sample(id, image, None, instruction, instances, size, labels, **about)


# -- RefSegRS and RISBench -----------------------------------------------------------------------

REFSEGRS = """
root/
  images/ID.tif
  masks/ID.tif                first channel: what is not zero is the target
  output_phrase_train.txt     one line per sample: ID phrase
  output_phrase_val.txt
  output_phrase_test.txt
"""
RISBENCH = """
root/
  img_rgb/NAME
  mask/NAME                   what is not zero is the target
  output_phrase_train.txt     one line per sample: NAME phrase
  output_phrase_val.txt
  output_phrase_test.txt
"""
_SPLITS = ("train", "val", "test")
_PHRASES: dict[str, tuple[tuple[str, str], str, int | None]] = {
    "refsegrs": (("images", "masks"), REFSEGRS, 0),
    "risbench": (("img_rgb", "mask"), RISBENCH, None),
}


def open_phrases(config: RefSegRsConfig) -> Listing:
    """Open RefSegRS or RISBench; each line of a phrase file is a sample."""
    root, name = config.path, config.name
    folders, expected, channel = _PHRASES[name]
    there = [split for split in _SPLITS if _phrase_file(root, split).is_file()]
    lost = [f"{folder}/" for folder in folders if not (root / folder).is_dir()]
    lost += [] if there else ["output_phrase_SPLIT.txt"]
    if lost:
        raise LayoutError(root, name, expected, f"{' and '.join(lost)} missing")
    images, masks = (Pictures(root / folder) for folder in folders)
    rows: list[tuple[str, Callable[[str], Sample]]] = []
    for split in choose_splits(there, config.split, root):
        lines = list(_phrases(_phrase_file(root, split)))
        for pictures in (images, masks):
            missing = sorted({key for key, _ in lines if pictures.find(key) is None})
            if missing:
                problem = f"{pictures.folder.name}/ lacks {len(missing)} pictures of {split}: {count_of(missing)}"
                raise LayoutError(root, name, expected, problem)
        seen: Counter[str] = Counter()  # the lines of one picture are numbered, so that each has an id of its own
        for key, phrase in lines:
            stem = images[key].stem
            about: dict[str, Any] = {"instruction": phrase, "split": split, "meta": {}, "channel": channel}
            rows.append(
                (f"{split}-{stem}-{seen[stem]}", partial(mask_sample, image=images[key], mask=masks[key], **about))
            )
            seen[stem] += 1
    return Listing(name, root, rows)


def is_phrases(root: Path, name: str) -> bool:
    """Say whether the two folders and a phrase file are there."""
    folders = all((root / folder).is_dir() for folder in _PHRASES[name][0])
    return folders and any(_phrase_file(root, split).is_file() for split in _SPLITS)


def _phrase_file(root: Path, split: str) -> Path:
    return root / f"output_phrase_{split}.txt"


def _phrases(source: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_text(source).splitlines(), start=1):
        if not line.strip():
            continue
        key, _, phrase = line.strip().partition(" ")
        if not phrase.strip():
            raise InputError(f"{source}, line {number}: a name and a phrase are expected, got {line.strip()[:80]!r}")
        yield key, phrase.strip()
