"""Description of a benchmark's questions as a dataset to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fiducial.config import option
from fiducial.datasets import Dataset, DatasetConfig
from fiducial.errors import UnknownNameError
from fiducial.misground.items import KINDS

ReplyForm = Literal["letter", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MisgroundConfig(DatasetConfig):
    """Questions of `fiducial misground build`, answered in words; cut by group=volume or group=situation."""

    name: ClassVar[str] = "misground"

    path: Path = option(help="a folder of fiducial misground build", positional=True)
    reply: ReplyForm = option(
        "letter", "what is right to say: the option's letter, as the questions ask for, or its text, which is read too"
    )
    kinds: tuple[str, ...] = option((), f"kinds of question that are kept: {', '.join(KINDS)} (none: all)")

    def check(self) -> None:
        """Refuse kinds that nobody knows."""
        DatasetConfig.check(self)
        for kind in self.kinds:
            if kind not in KINDS:
                raise UnknownNameError("kind of question", kind, KINDS)

    def open(self) -> Dataset:
        """Read the questions; pictures are read when samples are asked for."""
        from fiducial.misground.questions_dataset import open_questions

        return open_questions(self)
