"""Descriptions of the datasets that are made: drawn scenes, and referring expressions about another dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fiducial.config import option
from fiducial.datasets import Dataset, DatasetConfig
from fiducial.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenesConfig(DatasetConfig):
    """Drawn scenes, each with an instruction and its exact truth; nothing but a seed is needed."""

    name: ClassVar[str] = "scenes"

    style: Literal["shapes", "aerial", "phantom"] = option(help="what the scenes look like", positional=True)
    count: int = option(1000, "number of samples", minimum=0)
    seed: int = option(0, "of all draws", minimum=0)
    size: int | None = option(
        None, "side of the square picture; none: 512 for aerial, 256 for others", unit="pixels", maximum=8192
    )

    families: tuple[str, ...] = option((), "kinds of instruction, such as class or order; none: all")

    def check(self) -> None:
        """Refuse splits."""
        DatasetConfig.check(self)
        if self.split is not None:
            raise InputError("scenes have no splits: take another seed")

    def open(self) -> Dataset:
        """Return the scenes; each is drawn when it is asked for."""
        from fiducial.synthetic.scenes import SceneDataset

        return SceneDataset(self.style, self.count, self.seed, self.size, self.families or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferringConfig(DatasetConfig):
    """Referring expressions of a JSONL file, about the dataset that they were made from."""

    name: ClassVar[str] = "referring"

    path: Path = option(help="the JSONL file that fiducial refer wrote", positional=True)
    source: DatasetConfig | None = option(
        None, "the dataset they were made from; none: the one named in FILE.source.json"
    )

    def open(self) -> Dataset:
        """Read the expressions and open their source."""
        from fiducial.synthetic.referring import ReferringDataset, read_expressions, read_source

        source = self.source or read_source(self.path)
        if source is None:
            raise InputError(
                f"{self.path}: there is no .source.json beside it that names its dataset: write "
                f"referring:{self.path}?source=DATASET"
            )
        if self.split is not None:
            source = source.with_settings({"split": self.split})
        return ReferringDataset(source.build(), read_expressions(self.path), name=self.path.stem)
