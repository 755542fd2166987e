"""Questions about pictures: EarthReason, ReasonSeg and PRS-Med (MMRS, PosMed)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets.configs import EarthReasonConfig, PrsMedConfig, ReasonSegConfig, Texts
from fiducial.datasets.files import LayoutError, Pictures, choose_splits, count_of, inside, picture_size, read_csv
from fiducial.datasets.sample import Listing, Sample, mask_sample
from fiducial.errors import InputError
from fiducial.files import read_json
from fiducial.geometry import Mask

SPLITS = ("train", "val", "test")
Rows = Iterator[tuple[str, Callable[[str], Sample]]]


def _numbered(split: str, picture: str, texts: list[str], which: Texts) -> Iterator[tuple[str, str]]:
    """Give each text about a picture the id ``SPLIT-PICTURE-POSITION``."""
    for position, text in enumerate(texts[: None if which == "all" else 1]):
        yield f"{split}-{picture}-{position}", text


# -- EarthReason ---------------------------------------------------------------------------------

EARTHREASON = """
root/
  train/, val/, test/         at least one of them, each with
    images/ID.jpg             or .png
    labels/ID.png             what is not zero is the target
    QAs/ID.json               {"questions": [...], "answer": [...]}
"""


def open_earthreason(config: EarthReasonConfig) -> Listing:
    """Open EarthReason; each question about a picture is a sample. Without an answer the mask may be missing."""
    root = config.path
    there = [name for name in SPLITS if (root / name / "QAs").is_dir()]
    if not there:
        raise LayoutError(root, config.name, EARTHREASON, "there is no SPLIT/QAs/")
    splits = choose_splits(there, config.split, root)
    return Listing(config.name, root, (pair for name in splits for pair in _earthreason_rows(config, name)))


def is_earthreason(root: Path) -> bool:
    """Say whether a split with questions and labels is there."""
    return any((root / name / "QAs").is_dir() and (root / name / "labels").is_dir() for name in SPLITS)


def _earthreason_rows(config: EarthReasonConfig, split: str) -> Rows:
    folder = config.path / split
    images, labels = Pictures(folder / "images"), Pictures(folder / "labels")
    sources = {path.stem: path for path in sorted((folder / "QAs").glob("*.json"))}
    if not sources:
        raise LayoutError(config.path, config.name, EARTHREASON, f"{split}/QAs/ holds no JSON file")
    said = {name: _questions_and_answers(source) for name, source in sources.items()}
    for pictures in (images, labels):
        missing = [name for name in sources if not pictures.find(name) and (pictures is images or said[name][1])]
        if missing:
            problem = f"{split}/{pictures.folder.name}/ lacks {len(missing)} of {len(sources)} files"
            raise LayoutError(config.path, config.name, EARTHREASON, f"{problem}: {count_of(missing)}")
    for name, (questions, answers) in said.items():
        sample = partial(
            mask_sample, image=images[name], mask=labels.find(name), split=split, meta={"answers": answers}
        )
        for key, question in _numbered(split, name, questions, config.texts):
            yield key, partial(sample, instruction=question)


def _questions_and_answers(source: Path) -> tuple[list[str], list[str]]:
    found = read_json(source, kind=dict)
    questions, answers = found.get("questions"), found.get("answer")
    if not _are_texts(questions) or not questions or not _are_texts(answers):
        raise InputError(f'{source}: {{"questions": [texts], "answer": [texts]}} is expected, with a question')
    return questions, answers


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


# -- ReasonSeg -----------------------------------------------------------------------------------

REASONSEG = """
root/
  train/, val/, test/         at least one of them, each with
    ID.jpg
    ID.json                   {"text": [...], "is_sentence": bool, "shapes": [{"label", "points"}]}
"""
_UNUSED = "flag"
# The first files of the dataset were written on Windows.
_OLD_ENCODING = "cp1252"


def open_reasonseg(config: ReasonSegConfig) -> Listing:
    """Open ReasonSeg; each text about a picture is a sample of its own.

    Polygons are filled as the dataset's own reader fills them (integer corners, outline included,
    largest first, so that smaller ones lie on top). Polygons whose label contains "ignore" make the
    ignore region; those labelled "flag" are left out.
    """
    root = config.path
    there = [name for name in SPLITS if next((root / name).glob("*.json"), None) is not None]
    if not there:
        raise LayoutError(root, config.name, REASONSEG, "there is no SPLIT/ID.json")
    splits = choose_splits(there, config.split, root)
    return Listing(config.name, root, (pair for name in splits for pair in _reasonseg_rows(config, name)))


def is_reasonseg(root: Path) -> bool:
    """Say whether a split holds a picture with a JSON file beside it that has shapes and a text."""
    for name in SPLITS:
        source = next(iter(sorted((root / name).glob("*.json"))), None)
        if source is not None and Pictures(root / name).find(source.stem) is not None:
            try:
                found = read_json(source, fallback=_OLD_ENCODING, kind=dict)
            except InputError:
                return False
            return "shapes" in found and "text" in found
    return False


def _reasonseg_rows(config: ReasonSegConfig, split: str) -> Rows:
    pictures = Pictures(config.path / split)
    sources = sorted((config.path / split).glob("*.json"))
    missing = [path.stem for path in sources if pictures.find(path.stem) is None]
    if missing:
        problem = f"{split}/ lacks {len(missing)} of {len(sources)} pictures: {count_of(missing)}"
        raise LayoutError(config.path, config.name, REASONSEG, problem)
    for source in sources:
        given = read_json(source, fallback=_OLD_ENCODING, kind=dict).get("text")
        texts = [given] if isinstance(given, str) else given
        if not texts or not _are_texts(texts):
            raise InputError(f'{source}: "text" needs to be a list of texts')
        for name, text in _numbered(split, source.stem, texts, config.texts):
            yield name, partial(_reasonseg, image=pictures[source.stem], source=source, text=text, split=split)


def _reasonseg(key: str, image: Path, source: Path, text: str, split: str) -> Sample:
    size = picture_size(image)
    found = read_json(source, fallback=_OLD_ENCODING, kind=dict)
    targets, ignored = _painted(_shapes(found, source), size)
    meta = {"is_sentence": bool(found.get("is_sentence", False))}
    return Sample(key, image, None, text, targets, size, ignore=ignored, split=split, meta=meta)


def _shapes(found: dict[str, Any], source: Path) -> list[tuple[str, NDArray[np.int32]]]:
    shapes = []
    for number, shape in enumerate(found.get("shapes") or []):
        try:
            label = str(shape["label"]).lower()
            points = np.array(shape["points"], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{source}: shape {number} needs a label and points") from None
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all() or np.abs(points).max() > 2**24:
            raise InputError(f"{source}: the points of shape {number} are no list of x, y in pixels")
        if label != _UNUSED:
            shapes.append((label, points.astype(np.int32)))
    return shapes


def _painted(
    shapes: list[tuple[str, NDArray[np.int32]]], size: tuple[int, int]
) -> tuple[tuple[Mask, ...], Mask | None]:
    """Paint the shapes, largest first, and say whose each pixel is in the end."""
    import cv2

    filled = []
    for _, points in shapes:
        canvas = np.zeros(size, dtype=np.uint8)
        cv2.polylines(canvas, [points], True, 1, 1)
        cv2.fillPoly(canvas, [points], 1)
        filled.append(canvas.astype(bool))
    owner = np.zeros(size, dtype=np.int32)
    for number in sorted(range(len(filled)), key=lambda number: -int(filled[number].sum())):
        owner[filled[number]] = number + 1
    parts = [(label, Mask.from_dense(owner == number)) for number, (label, _) in enumerate(shapes, start=1)]
    targets = tuple(mask for label, mask in parts if "ignore" not in label and mask)
    ignored = [mask for label, mask in parts if "ignore" in label]
    return targets, Mask.empty(*size).union(*ignored) if ignored else None


# -- PRS-Med -------------------------------------------------------------------------------------

PRSMED = """
root/                         or one CSV file
  *.csv                       also one folder down; columns image_path (of the MASK), image_name,
                              split, question, and where known answer, position, description, and
                              picture_path where the mask's path does not tell it
  GROUP/                      such as lung_CT, polyp_endoscopy
    train_masks/NAME.png      what is not zero is the target
    train_images/NAME.png     the path of the mask with "masks" read as "images"
"""
_NEEDED = ("image_path", "image_name", "split", "question")
_EXTRA = ("answer", "position", "description")
_MASK_ENDINGS = ("_Segmentation", "_segmentation")


def open_prsmed(config: PrsMedConfig) -> Listing:
    """Open PRS-Med's data; each row of its CSV files is a sample whose instruction is the question."""
    root = config.path
    sources = _csv_files(root)
    if not sources:
        raise LayoutError(root, config.name, PRSMED, "there is no CSV file")
    rows = [(source, row) for source in sources for row in read_csv(source, _NEEDED)]
    chosen = choose_splits(sorted({row["split"] for _, row in rows}), config.split, root)
    finder = _Finder(config.root or (root if root.is_dir() else root.parent))
    named = list(_prsmed_rows([pair for pair in rows if pair[1]["split"] in chosen], finder))
    if finder.missing:
        problem = f"{len(finder.missing)} files are missing: {count_of(finder.missing)}"
        raise LayoutError(root, config.name, PRSMED, problem)
    return Listing(config.name, root, named)


def is_prsmed(root: Path) -> bool:
    """Say whether a CSV file with the columns is there."""
    for source in _csv_files(root):
        with source.open("rb") as file:
            header = file.readline(4096).decode("utf-8-sig", errors="replace")
        if set(_NEEDED) <= {name.strip().strip('"') for name in header.split(",")}:
            return True
    return False


def _csv_files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix.lower() == ".csv" else []
    return sorted(root.glob("*.csv")) or sorted(root.glob("*/*.csv"))


class _Finder:
    """Find masks and pictures; each folder is listed once, and what is missing is collected."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.missing: list[str] = []
        self._folders: dict[Path, Pictures] = {}

    def pair(self, mask_path: str, picture_path: str) -> tuple[Path, Path] | None:
        """Find mask and picture of the path that the CSV gives for the mask, and for the picture where it does."""
        found = {path: self._file(path) for path in (mask_path, picture_path) if path}
        missing = [path for path, file in found.items() if file is None]
        mask, given = found.get(mask_path), found.get(picture_path)
        if missing or mask is None:
            self.missing += missing or [mask_path]
            return None
        if given is not None:
            return mask, given
        folder = mask.parent.parent / mask.parent.name.replace("masks", "images").replace("mask", "image")
        names = [mask.name, *(mask.stem.removesuffix(end) for end in _MASK_ENDINGS if mask.stem.endswith(end))]
        image = next((file for name in names if (file := self._listed(folder).find(name))), None)
        if image is None or folder == mask.parent:
            self.missing.append(f"{folder.name}/{mask.name}")
            return None
        return mask, image

    def _file(self, given: str) -> Path | None:
        """Leave out leading folders of the machine on which the CSV was written."""
        path = PurePosixPath(given.replace("\\", "/"))
        parts = [part for part in path.parts if part not in ("/", "..", ".")]
        for start in range(max(0, len(parts) - 6), len(parts)):
            file = inside(self.home, "/".join(parts[start:]))
            if file.parent in self._folders or file.parent.is_dir():
                found = self._listed(file.parent).find(file.name)
                if found is not None:
                    return found
        return None

    def _listed(self, folder: Path) -> Pictures:
        if folder not in self._folders:
            self._folders[folder] = Pictures(folder)
        return self._folders[folder]


def _prsmed_rows(rows: list[tuple[Path, dict[str, str]]], finder: _Finder) -> Rows:
    seen: Counter[str] = Counter()
    for source, row in rows:
        if not row["question"]:
            raise InputError(f"{source}: the row of {row['image_path']!r} has no question")
        found = finder.pair(row["image_path"], row.get("picture_path", ""))
        if found is None:
            continue
        mask, image = found
        group = mask.parent.parent.name if mask.parent.parent != finder.home else source.stem
        name = f"{group}-{row['split']}-{image.stem}"
        meta = {key: row[key] for key in _EXTRA if row.get(key)} | {"group": group, "image_name": row["image_name"]}
        about: dict[str, Any] = {"instruction": row["question"], "split": row["split"], "meta": meta}
        yield f"{name}-{seen[name]}", partial(mask_sample, image=image, mask=mask, **about)
        seen[name] += 1
