"""Sums that do not depend on their order."""

from __future__ import annotations

import math

from fiducial.errors import InputError

_BITS = 1074  # every finite double is a whole multiple of 2**-1074


class ExactSum:
    """A sum of numbers without any rounding, so that neither order nor grouping matters.

    A double is a whole number times 2**-1074; the sum is kept as such a whole number, however long (a few hundred
    bytes whatever the count). Only :meth:`over` rounds, once, to the nearest double.

    Example:
        >>> total = ExactSum()
        >>> for value in (1e16, 1.0, -1e16):
        ...     total.add(value)
        >>> total.over(1)
        1.0
    """

    __slots__ = ("scaled",)

    def __init__(self, scaled: int = 0) -> None:
        """Start from a sum times 2**1074."""
        self.scaled = scaled

    def add(self, value: float) -> None:
        """Add a whole number or a finite double.

        Raises:
            InputError: infinite, or not a number.
        """
        if isinstance(value, int):
            self.scaled += value << _BITS
            return
        if not math.isfinite(value):
            raise InputError(f"a sum needs finite numbers, got {value}")
        top, bottom = value.as_integer_ratio()
        self.scaled += top << (_BITS + 1 - bottom.bit_length())

    def merge(self, other: ExactSum) -> None:
        """Add another sum."""
        self.scaled += other.scaled

    def over(self, count: int) -> float:
        """Divide by a whole number that is not 0, rounding once to the nearest double."""
        return self.scaled / (count << _BITS)

    def __eq__(self, other: object) -> bool:
        return self.scaled == other.scaled if isinstance(other, ExactSum) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.scaled)

    def __repr__(self) -> str:
        return f"ExactSum({self.over(1)!r})"
