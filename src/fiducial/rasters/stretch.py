"""Stretch: one rule for the whole raster by which values of more than 8 bits become 8-bit ones."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import ImageError, InputError
from fiducial.files import json_text, read_json

PERCENTILES = (2.0, 98.0)
"""Of each band's values; what lies beyond is black and white."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """For each band the value that becomes 0, and the one that becomes 255.

    Example:
        >>> Stretch((100.0,), (300.0,)).apply(np.array([[[50, 100, 200, 900]]])).tolist()
        [[[0, 0, 128, 255]]]
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise InputError(f"a stretch needs as many highs as lows, got {len(self.low)} and {len(self.high)}")
        for low, high in zip(self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise InputError(f"a stretch needs finite low < high, got {low:g},{high:g}")

    @classmethod
    def given(cls, text: str, bands: int) -> Stretch:
        """Read ``LOW,HIGH`` for all bands, as many pairs as there are bands, or the path of a ``stretch.json``.

        Raises:
            InputError: it is none of these.
        """
        if os.path.isfile(text):
            values = read_json(Path(text), kind=dict)
            try:
                numbers = [float(one) for pair in zip(values["low"], values["high"], strict=True) for one in pair]
            except (KeyError, TypeError, ValueError):
                raise InputError(f"{text}: is no stretch.json, which holds a low and a high for each band") from None
        else:
            try:
                numbers = [float(one) for one in text.split(",")]
            except ValueError:
                raise InputError(f"--stretch is LOW,HIGH, or the path of a stretch.json, got {text!r}") from None
        if len(numbers) not in (2, 2 * bands):
            raise InputError(
                f"--stretch needs LOW,HIGH once, or for each of the {bands} bands, got {len(numbers)} numbers"
            )
        pairs = numbers if len(numbers) == 2 * bands else numbers * bands
        return cls(tuple(pairs[0::2]), tuple(pairs[1::2]))

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Scale values (bands, h, w) to 0..255; what is no number becomes 0."""
        low, high = (np.array(one, np.float32)[:, None, None] for one in (self.low, self.high))
        scaled = (values.astype(np.float32) - low) * (np.float32(255) / (high - low))
        return np.asarray(np.rint(np.clip(np.nan_to_num(scaled, posinf=255), 0, 255)), dtype=np.uint8)

    def text(self) -> str:
        """Return the file that can be given again."""
        return json_text({"low": [*self.low], "high": [*self.high]})


def measure(sample: Iterable[tuple[NDArray[Any], NDArray[np.bool_]]], what: str) -> Stretch:
    """Measure a stretch.

    Args:
        sample: values (bands, h, w) of parts of the raster, each with (h, w) where there is data.
        what: names them in errors.

    Raises:
        ImageError: there is no data in any of them.
    """
    parts = [values[:, valid] for values, valid in sample]
    known = np.concatenate(parts, axis=1).astype(np.float64) if parts else np.empty((1, 0))
    if not known.size:
        raise ImageError(f"{what} hold no data where they were looked at: say --stretch LOW,HIGH, or take other bands")
    low, high = np.percentile(known, PERCENTILES, axis=1)
    flat = high <= low  # one value nearly everywhere: what differs from it is still told apart
    low, high = np.where(flat, known.min(axis=1), low), np.where(flat, known.max(axis=1), high)
    high = np.where(high <= low, low + 1, high)
    return Stretch(tuple(low.tolist()), tuple(high.tolist()))
