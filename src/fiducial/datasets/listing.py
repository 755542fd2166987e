"""A dataset as a list of light rows, each turned into a sample when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

from fiducial.datasets.sample import Sample
from fiducial.errors import InputError

Row = TypeVar("Row")
Texts = Literal["all", "first"]


class Listing(Generic[Row]):
    """A dataset of rows: opening it reads annotations, asking for a sample decodes its masks.

    Args:
        name: what the dataset is called, for reports.
        root: where it lies, for messages.
        ids: one per row, all different.
        rows: what is known of each sample without decoding anything.
        make: turns an id and its row into a sample.

    Raises:
        InputError: no row at all, or an id that stands there twice.
    """

    def __init__(
        self, name: str, root: Path, ids: Sequence[str], rows: Sequence[Row], make: Callable[[str, Row], Sample]
    ) -> None:
        self.name = name
        self.root = root
        self.ids = tuple(ids)
        self._rows = rows
        self._make = make
        if not self.ids:
            raise InputError(f"{root}: the {name} dataset has no sample")
        if len(set(self.ids)) != len(self.ids):
            raise InputError(f"{root}: two samples of the {name} dataset share the id {_first_twin(self.ids)!r}")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (self._make(name, row) for name, row in zip(self.ids, self._rows, strict=True))

    def __getitem__(self, index: int) -> Sample:
        return self._make(self.ids[index], self._rows[index])

    def __repr__(self) -> str:
        return f"<{self.name} dataset at {self.root}: {len(self)} samples>"


def take_texts(texts: Sequence[str], which: Texts) -> list[str]:
    """Choose among several texts about one target: all are samples of their own, or the first only.

    Raises:
        InputError: ``which`` is neither ``"all"`` nor ``"first"``.
    """
    return list(texts[: None if require_choice("texts", which, ("all", "first")) == "all" else 1])


def named_texts(split: str, picture: str, texts: Sequence[str], which: Texts) -> Iterator[tuple[str, str]]:
    """Give each text about a picture the id ``SPLIT-PICTURE-POSITION``.

    Raises:
        InputError: as :func:`take_texts`.
    """
    for position, text in enumerate(take_texts(texts, which)):
        yield f"{split}-{picture}-{position}", text


def require_choice(option: str, value: str, known: Sequence[str]) -> str:
    """Return the value of an option if it is one of those known.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{option} is one of {', '.join(known)}, got {value!r}")
    return value


def _first_twin(ids: Sequence[str]) -> str:
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            return name
        seen.add(name)
    raise ValueError("no id stands there twice")
