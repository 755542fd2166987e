"""Checking the options of refiners."""

from __future__ import annotations

import math
from typing import Any

from fiducial.errors import InputError


def require_number(option: str, value: Any, least: float, most: float = math.inf, *, whole: bool = False) -> None:
    """Check that an option is a number in a range.

    Args:
        option: how the message names it, such as ``"cfpg: least_area"``.
        value: what was given.
        least: the smallest value allowed.
        most: the largest value allowed.
        whole: only whole numbers.

    Raises:
        InputError: no number, no whole one, or outside the range.
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most:
        return
    kind = "a whole number" if whole else "a number"
    limits = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
    raise InputError(f"{option} needs {kind} {limits}, got {value!r}")
