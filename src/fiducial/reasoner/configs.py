"""Descriptions of what belongs to CG-Reasoner: its questions about a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fiducial.config import option
from fiducial.datasets import Dataset, DatasetConfig, describe_dataset
from fiducial.datasets.configs import FolderConfig
from fiducial.errors import InputError
from fiducial.reasoner.questions import Phrasing, Sides


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedConfig(DatasetConfig):
    """Questions in PRS-Med's manner about the masks of another dataset, with true answers."""

    name: ClassVar[str] = "asked"

    path: Path | None = option(None, "the folder of the other dataset, whose layout is recognised", positional=True)
    source: DatasetConfig | None = option(None, "the other dataset, where a path does not say enough")
    target: str = option("", "what the masks show, such as polyp; empty: the row's field target, or the label")
    modality: str = option("", "kind of picture, such as endoscopy; empty: the one that has such a target")
    phrasing: Phrasing = option("training", "wordings to choose from")
    sides: Sides = option(
        "image",
        "whose left and right are named: the picture's, or the patient's, whose right lies at the picture's left "
        "(radiological) or right (neurological)",
    )
    apart: bool = option(
        False, "large connected pieces of a mask are targets of their own; PRS-Med takes them for one target"
    )
    questions: int = option(1, "questions about each sample", minimum=1)
    seed: int = option(0, "of all draws", minimum=0)

    def check(self) -> None:
        """Refuse no dataset, or two."""
        DatasetConfig.check(self)
        if (self.path is None) == (self.source is None):
            raise InputError("give the dataset to ask about either as a path (asked:FOLDER) or as source=")
        if self.phrasing == "published" and self.sides != "image":
            raise InputError("the published form names the picture's sides: take sides=image, or another phrasing")

    def described(self) -> DatasetConfig:
        """Return the description of the dataset that is asked about."""
        source = self.source if self.source is not None else describe_dataset(str(self.path))
        if isinstance(source, FolderConfig) and not source.instruction:
            source = source.with_settings({"instruction": "the target"})  # rows need one, and it is not what is asked
        return source if self.split is None else source.with_settings({"split": self.split})

    def open(self) -> Dataset:
        """Open the other dataset; questions are made when samples are asked for."""
        from fiducial.reasoner.asking import AskedDataset

        return AskedDataset(self.described().build(), self)
