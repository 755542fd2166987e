"""One sample per object: what box-prompted segmenters are trained on and measured by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fiducial.datasets.parts import Part, PartDataset
from fiducial.datasets.sample import Dataset, Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask


class ObjectDataset:
    """Every object of another dataset as a sample of its own, in the order of the pictures.

    The instruction is the object's label, the truth its mask alone and the mask's tight box. Masks are
    decoded when the dataset is opened and kept as runs; pictures are read when asked for.

    Args:
        source: a dataset whose samples have masks.
        held_out: cut the dataset by picture (or ``group``) and keep the held-out part, of about this size in 0..1
            (see :func:`fiducial.datasets.splits.is_held_out`); None keeps everything.
        group: key of the samples' meta that must not be cut through, such as ``"patient"``.
        part: ``"held_out"``, or ``"rest"`` for what the cut leaves to train on.
        least: leave out objects whose box has a longest edge below so many pixels.

    Raises:
        InputError: the dataset knows boxes only, or no object is left.
    """

    def __init__(
        self,
        source: Dataset,
        *,
        held_out: float | None = None,
        group: str = "",
        part: Part = "held_out",
        least: float = 0.0,
    ) -> None:
        self.name = f"{source.name} objects"
        whole = source if held_out is None else PartDataset(source, held_out=held_out, group=group, part=part)
        self._samples = [one for sample in whole for one in objects_of(sample, least)]
        self.ids = tuple(sample.id for sample in self._samples)
        if not self.ids:
            raise InputError(f"{source.name}: no object of at least {least:g} pixels is in the part asked for")

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


def objects_of(sample: Sample, least: float = 0.0) -> list[Sample]:
    """Make one sample per object of a sample; their ids end in ``#`` and the object's number.

    Raises:
        InputError: the dataset has boxes but no masks.
    """
    if sample.instances is None:
        raise InputError(f"sample {sample.id}: its dataset has boxes but no masks")
    labels = sample.labels or (sample.instruction,) * len(sample.instances)
    return [
        replace(
            sample,
            id=f"{sample.id}#{number}",
            instruction=label.replace("_", " ") or "the object",
            instances=(mask,),
            labels=(label,),
            boxes=None,
        )
        for number, (mask, label) in enumerate(zip(sample.instances, labels, strict=True))
        if mask and longest_edge(mask) >= least
    ]


def longest_edge(mask: Mask) -> float:
    """Return the longer edge of a mask's box in pixels; 0 for an empty mask."""
    box = mask.box
    return 0.0 if box is None else max(box[2] - box[0], box[3] - box[1])
