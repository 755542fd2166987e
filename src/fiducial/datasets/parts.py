"""One part of a dataset, cut by picture or patient: what weights never saw, or what they were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fiducial.datasets.sample import Dataset, Sample
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError

Part = Literal["held_out", "rest"]


class PartDataset:
    """The samples of another dataset whose pictures are on one side of a cut, in their order.

    Args:
        source: any dataset.
        held_out: how much is held out, in 0..1 (see :func:`fiducial.datasets.splits.is_held_out`).
        group: key of the samples' meta that must not be cut through, such as ``"patient"``; "" cuts by picture.
        part: ``"held_out"``, or ``"rest"`` for what the cut leaves to train on.

    Raises:
        InputError: a held-out part outside 0..1, samples without the group's key, or nothing is left.
    """

    def __init__(self, source: Dataset, *, held_out: float, group: str = "", part: Part = "held_out") -> None:
        self.name = f"{source.name}, {'held out' if part == 'held_out' else 'the rest'}"
        wanted = part == "held_out"
        self._samples = [one for one in source if is_held_out(group_of(one, group), held_out) == wanted]
        self.ids = tuple(sample.id for sample in self._samples)
        if not self.ids:
            raise InputError(f"{source.name}: no sample is in the part asked for")

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]
