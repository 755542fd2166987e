"""Questions in PRS-Med's manner about any dataset of masks: as samples, and as files."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fiducial.datasets import Dataset, Sample, sample_ids
from fiducial.errors import InputError
from fiducial.reasoner.configs import AskedConfig
from fiducial.reasoner.questions import ask, random_for, with_article
from fiducial.reasoner.subjects import Subject, subject_for

COLUMNS = ("image_path", "image_name", "split", "description", "position", "question", "answer", "picture_path")
"""Those of PRS-Med's CSV files, where ``image_path`` is the mask's, and the picture's own path."""


class AskedDataset:
    """Each sample of another dataset, asked for in PRS-Med's manner.

    A sample's instruction is the question; its meta has, besides what the source says, ``answer``, ``description``,
    ``position``, ``centroid`` (x, y in the centred frame, or None), ``target`` and ``modality``. The same sample with
    the same seed gets the same questions, whatever else is in the dataset.

    Args:
        source: samples with masks, each about one kind of target.
        config: what is asked, and how.
    """

    def __init__(self, source: Dataset, config: AskedConfig) -> None:
        self.name = f"{source.name}, asked"
        self.config = config
        self._source = source
        count = config.questions
        self.ids = tuple(f"{key}#{n}" if count > 1 else key for key in sample_ids(source) for n in range(count))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        numbers = range(self.config.questions)
        return (self._asked(sample, n) for sample in self._source for n in numbers)

    def __getitem__(self, index: int) -> Sample:
        whole = range(len(self))[index]
        return self._asked(self._source[whole // self.config.questions], whole % self.config.questions)

    def _asked(self, sample: Sample, number: int) -> Sample:
        if sample.instances is None:
            raise InputError(f"sample {sample.id}: its dataset has boxes but no masks to say where things lie")
        config = self.config
        subject = self._subject(sample)
        key = f"{sample.id}#{number}" if config.questions > 1 else sample.id
        random = random_for(config.seed, key)
        if config.sides != "image" and subject.modality.moves == "all":
            raise InputError(
                f"sample {sample.id}: {with_article(subject.modality.name)} picture shows no sides of the patient, "
                "for it is taken from any direction: leave sides at image"
            )
        how: Any = {"phrasing": config.phrasing, "sides": config.sides, "apart": config.apart}
        said = ask(sample.instances, subject, random, **how)
        about = {
            **{"answer": said.answer, "description": said.description, "position": said.position},
            **{"centroid": said.centroid and [*said.centroid], "phrasing": config.phrasing, "sides": config.sides},
            **{"target": subject.target.name, "modality": subject.modality.name},
        }
        return replace(
            sample,
            id=key,
            instruction=said.question,
            labels=(subject.target.name,) * len(sample.instances),
            meta={**sample.meta, **about},
        )

    def _subject(self, sample: Sample) -> Subject:
        """Say what a sample shows: what the configuration says, its field ``target``, or the one label that it has."""
        named = self.config.target or str(sample.meta.get("target") or "")
        labels = sorted(set(sample.labels))
        if not named and len(labels) == 1:
            named = labels[0]
        if not named:
            problem = f"it has several labels ({', '.join(labels)})" if labels else "its dataset does not say"
            raise InputError(f"sample {sample.id}: what does it show? {problem}: name its target, such as polyp")
        try:
            return subject_for(named, self.config.modality or str(sample.meta.get("modality") or ""))
        except InputError as error:
            raise InputError(f"sample {sample.id}: {error}") from None


# -- files ----------------------------------------------------------------------------------------


def question_lines(samples: Iterable[Sample]) -> str:
    """Return asked samples as JSON Lines; those about a plain folder are read by ``folder:FOLDER?table=FILE``."""
    return "".join(json.dumps(_line(sample), ensure_ascii=False) + "\n" for sample in samples)


def question_table(samples: Iterable[Sample], root: Path) -> str:
    """Return asked samples as a CSV table with PRS-Med's columns; paths are relative to a folder.

    Args:
        samples: with the files of picture and mask; one without a split is of the split ``train``.
        root: the folder that holds them all.

    Raises:
        InputError: a sample whose truth is not one mask picture, or files outside the folder.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for sample in samples:
        if sample.image_path is None or sample.mask_path is None:
            raise InputError(
                f"sample {sample.id}: PRS-Med's table names a mask picture, and this sample has none: "
                "write JSON Lines (--out FILE.jsonl)"
            )
        known = {name: sample.meta[name] for name in ("description", "position", "answer")}
        picture = _relative(sample.image_path, root)
        table.writerow(
            {
                **{"image_path": _relative(sample.mask_path, root), "image_name": sample.image_path.name},
                **{"split": sample.split or "train", "question": sample.instruction, "picture_path": picture, **known},
            }
        )
    return text.getvalue()


def shared_folder(samples: Iterable[Sample]) -> Path:
    """Return the folder that holds the pictures and masks of all samples."""
    folders = {
        str(path.absolute().parent)
        for sample in samples
        for path in (sample.image_path, sample.mask_path)
        if path is not None
    }
    if not folders:
        raise InputError("none of the samples has a file")
    return Path(os.path.commonpath(folders))


def _relative(path: Path, root: Path) -> str:
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        raise InputError(f"{path} does not lie in {root}") from None


def _line(sample: Sample) -> dict[str, Any]:
    files = {"image": sample.image_path and sample.image_path.name}
    if sample.image_path is not None:  # no mask picture: there is no target
        files["mask"] = sample.mask_path.name if sample.mask_path else ""
    named = {"id": sample.id, **files, "instruction": sample.instruction, "split": sample.split}
    return {**named, "label": sample.meta["target"], **sample.meta}
