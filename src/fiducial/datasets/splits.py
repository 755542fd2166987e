"""Parts of a dataset: what is held out, cut by picture or patient alike on every machine, and its single objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from fiducial.datasets.sample import Dataset, Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask


def group_of(sample: Sample, key: str = "") -> str:
    """Name what a sample must not be separated from: ``sample.meta[key]``, such as its patient, or its picture."""
    if key:
        if key not in sample.meta:
            raise InputError(f"sample {sample.id}: its meta has no {key!r} to group by, only {sorted(sample.meta)}")
        return str(sample.meta[key])
    return sample.id if sample.image_path is None else sample.image_path.name


def is_held_out(group: str, part: float, salt: str = "") -> bool:
    """Say whether a group belongs to the held-out part.

    The answer depends on the name alone (the first 8 bytes of the SHA-256 of ``salt/group`` as a fraction),
    so that adding pictures moves none from one part to the other. ``part`` is how much is held out, in 0..1; another
    salt gives another cut.

    Example:
        >>> [name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg") if is_held_out(name, 0.5)]
        ['a.jpg', 'c.jpg']
    """
    if not 0 <= part <= 1:
        raise InputError(f"the held-out part lies in 0..1, got {part}")
    digest = hashlib.sha256(f"{salt}/{group}".encode()).digest()
    return Fraction(int.from_bytes(digest[:8], "big"), 2**64) < Fraction(part)


def in_fraction(group: str, part: float, salt: str = "fraction") -> bool:
    """Say whether a group belongs to the fraction of the training data that is used; smaller ones are subsets."""
    return is_held_out(group, part, salt)


class Selection(list[Sample]):
    """Samples in memory as a dataset: masks are kept as runs, pictures are read when asked for."""

    def __init__(self, name: str, samples: Iterable[Sample]) -> None:
        super().__init__(samples)
        self.name = name
        self.ids = tuple(sample.id for sample in self)


def held_out_part(
    source: Dataset, *, held_out: float, group: str = "", part: Literal["held_out", "rest"] = "held_out"
) -> Selection:
    """Take the samples on one side of a cut, in their order: what weights never saw, or what they may be trained on.

    ``held_out`` and ``group`` are those of :func:`is_held_out` and :func:`group_of`; an empty part is an InputError.
    """
    wanted = part == "held_out"
    name = f"{source.name}, {'held out' if wanted else 'the rest'}"
    found = Selection(name, (one for one in source if is_held_out(group_of(one, group), held_out) == wanted))
    if not found.ids:
        raise InputError(f"{source.name}: no sample is in the part asked for")
    return found


def objects_in(source: Dataset, min_size: float = 0.0, *, name: str = "") -> Selection:
    """Take every object as a sample of its own, in the order of the pictures, as box-prompted segmenters need them.

    Objects whose box has a longest edge below ``min_size`` pixels are left out; none left is an InputError.
    """
    objects = (one for whole in source for one in objects_of(whole, min_size))
    found = Selection(name or f"{source.name} objects", objects)
    if not found.ids:
        raise InputError(f"{source.name}: no object of at least {min_size:g} pixels is in the part asked for")
    return found


def objects_of(sample: Sample, min_size: float = 0.0) -> list[Sample]:
    """Make one sample per object of a sample: instructed by its label, its mask the truth, ``#NUMBER`` ends its id."""
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
        if mask and longest_edge(mask) >= min_size
    ]


def longest_edge(mask: Mask) -> float:
    """Return the longer edge of a mask's box in pixels; 0 for an empty mask."""
    box = mask.box
    return 0.0 if box is None else max(box[2] - box[0], box[3] - box[1])
