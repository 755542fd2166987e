"""Held-out parts, cut by picture or patient, the same on every machine."""

from __future__ import annotations

import hashlib
from fractions import Fraction

from fiducial.datasets.sample import Sample
from fiducial.errors import InputError


def group_of(sample: Sample, key: str = "") -> str:
    """Name what a sample must not be separated from.

    Args:
        sample: the sample.
        key: a key of ``sample.meta`` such as ``"patient"``; "" groups by picture.

    Raises:
        InputError: the sample has no such key.
    """
    if key:
        if key not in sample.meta:
            raise InputError(f"sample {sample.id}: its meta has no {key!r} to group by, only {sorted(sample.meta)}")
        return str(sample.meta[key])
    return sample.id if sample.image_path is None else sample.image_path.name


def is_held_out(group: str, part: float, salt: str = "") -> bool:
    """Say whether a group belongs to the held-out part.

    The answer depends on the name alone (the first 8 bytes of the SHA-256 of ``salt/group`` as a fraction),
    so that adding pictures moves none from one part to the other.

    Args:
        group: as :func:`group_of` names it.
        part: how much is held out, in 0..1.
        salt: another salt gives another cut.

    Example:
        >>> [name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg") if is_held_out(name, 0.5)]
        ['a.jpg', 'c.jpg']
    """
    if not 0 <= part <= 1:
        raise InputError(f"the held-out part lies in 0..1, got {part}")
    digest = hashlib.sha256(f"{salt}/{group}".encode()).digest()
    return Fraction(int.from_bytes(digest[:8], "big"), 2**64) < Fraction(part)


def in_fraction(group: str, part: float, salt: str = "fraction") -> bool:
    """Say whether a group belongs to the fraction of the training data that is used.

    Smaller fractions are subsets of larger ones.
    """
    return is_held_out(group, part, salt)
