"""Values of more than 8 bits: the one rule by which those of files and of arrays in memory become 8-bit ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import ImageError

UPPER_BITS = "the upper 8 of 16 bits per channel were taken"

_FILLERS = (-9999, -99999, -32768, -2147483648)
"""Numbers that stand for "nothing was measured" in files that do not declare them."""
_BEYOND = 1e19
"""No measurement reaches it: floating point fillers (-3.4e38, 9.97e36, 1e20) do."""
_MOST, _DARK, _FLOOR = 99.5, 8, 32
"""Where so many percent of the values lie in one eighth of the range, the range ends there, or at a 32nd of it."""
_SAMPLED, _AT_ONCE = 1 << 20, 1 << 20


def to_eight_bits(
    values: NDArray[Any], missing: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Make 8-bit values of wider ones; what was done is said in words.

    The smallest..largest value is scaled to 0..255, that of all channels together, so that colours keep their balance.
    Two kinds of colours have a range of their own: those of 16 bits that use the upper half of it lose their lower 8
    bits, and floating point ones in 0..1 that reach past 0.5 are multiplied by 255.

    - Places without data are black and do not count: those of ``missing``, what is not finite or beyond 1e19, and what
      looks like a filler (-9999, -99999, the least of 16 or 32 bits) and lies further below all else than all else
      spreads.
    - Where 99.5 % of the values lie in the lowest eighth of the range, or all greys but those at the end of their type
      (saturated pixels above a picture that would be nearly black), the range ends there, but not below a 32nd of it;
      what lies above is white.

    Args:
        values: (H, W) grey or (H, W, 3) colours of any real numbers.
        missing: (H, W), True where there is no data.

    Returns:
        uint8 values of the same shape, and what was done.

    Raises:
        ImageError: nothing but places without data.
    """
    known = _known(values) if missing is None else _known(values) & ~missing
    if not known.any():
        raise ImageError("its values are not finite, or stand for missing data: there is nothing to see")
    low, high = _reach(values, known)
    filler = _filler(values, known, low)
    if filler is not None:
        known &= values > filler if values.ndim == 2 else (values > filler).all(axis=2)
        low, high = _reach(values, known)
    end = _end(values, known, low, high)
    without = int(np.count_nonzero(~known))
    lost = (f"{without:,} pixel{'s' * (without > 1)} without data {'are' if without > 1 else 'is'} black",)
    said = lost if without else ()
    whole = values.ndim == 3 and end == high
    if whole and values.dtype == np.uint16 and high >= 1 << 15:
        scaled = (values >> np.uint16(8)).astype(np.uint8)
        said = (UPPER_BITS, *said)
    else:
        if whole and np.issubdtype(values.dtype, np.floating) and low >= 0 and 0.5 < high <= 1:
            low, end = 0.0, 1.0
        scaled = _scaled(values, low, end)
        above = f", larger ones (up to {high:g}) are white" if end < high else ""
        said = (f"values {low:g}..{end:g} scaled to 0..255{above}", *said)
    scaled[~known] = 0
    return scaled, said


def alpha_to_eight_bits(alpha: NDArray[Any], largest: float) -> NDArray[np.uint8]:
    """Make 8-bit opacity of an unsigned one whose solid value is that of its bits, or of the bits its colours use."""
    if alpha.dtype == np.uint8:
        return alpha.astype(np.uint8)
    if np.issubdtype(alpha.dtype, np.floating):
        return np.rint(np.clip(np.nan_to_num(alpha.astype(np.float64)), 0, 1) * 255).astype(np.uint8)
    used = int(max(float(alpha.max()), largest)).bit_length()
    full = np.iinfo(alpha.dtype).max if used >= np.iinfo(alpha.dtype).bits else (1 << max(used, 1)) - 1
    return np.rint(np.clip(alpha.astype(np.float64) / full, 0, 1) * 255).astype(np.uint8)


def over_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay (H, W, 3) colours with (H, W) opacity over white."""
    share = alpha[..., None].astype(np.float32) / 255.0
    laid: NDArray[np.uint8] = np.rint(colours * share + 255.0 * (1.0 - share)).astype(np.uint8)
    return laid


def _known(values: NDArray[Any]) -> NDArray[np.bool_]:
    if not np.issubdtype(values.dtype, np.floating):
        return np.ones(values.shape[:2], dtype=bool)
    known: NDArray[np.bool_] = np.isfinite(values)
    if values.dtype.itemsize > 2:
        known &= np.abs(values) < _BEYOND
    return known if values.ndim == 2 else np.asarray(known.all(axis=2))


def _reach(values: NDArray[Any], known: NDArray[np.bool_]) -> tuple[float, float]:
    chosen = values if known.all() else values[known]
    return float(chosen.min()), float(chosen.max())


def _filler(values: NDArray[Any], known: NDArray[np.bool_], low: float) -> float | None:
    """Return the smallest value where it is a filler that lies further below the others than these spread."""
    if low not in _FILLERS:
        return None
    rest = values[known]
    rest = rest[rest > low]
    if not rest.size:
        return None
    least, most = float(rest.min()), float(rest.max())
    return low if most > least and least - low > most - least else None


def _end(values: NDArray[Any], known: NDArray[np.bool_], low: float, high: float) -> float:
    """Return the value that becomes white."""
    chosen = values.reshape(-1) if known.all() else values[known].reshape(-1)
    sample = chosen[:: max(1, chosen.size // _SAMPLED)].astype(np.float64)
    ends = [float(np.percentile(sample, _MOST))]
    if (
        values.ndim == 2
        and np.issubdtype(values.dtype, np.integer)
        and high == np.iinfo(values.dtype).max
        and (chosen < high).any()
    ):
        ends.append(float(chosen[chosen < high].max()))  # saturated, or a filler: however many there are
    end, span = min(ends), high - low
    if low < end < low + span / _DARK:
        return max(end, low + span / _FLOOR)
    return high


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale low..high to 0..255, some rows at a time, as double precision takes 8 bytes a value."""
    scaled = np.zeros(values.shape, dtype=np.uint8)
    span = high - low if high > low else 1.0
    step = max(1, _AT_ONCE // max(1, values[0].size))
    for start in range(0, len(values), step):
        part = np.nan_to_num(values[start : start + step].astype(np.float64), posinf=high, neginf=low)
        scaled[start : start + step] = np.rint(np.clip((part - low) / span, 0, 1) * 255)
    return scaled
