"""Windows: which values of a scan are shown as black and white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError, UnknownNameError

Window = tuple[float, float]
"""The values shown as black and as white."""

CT_WINDOWS: dict[str, Window] = {
    "soft-tissue": (-160.0, 240.0),
    "lung": (-1350.0, 150.0),
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
    "liver": (-45.0, 105.0),
    "mediastinum": (-125.0, 225.0),
}
"""The usual windows of CT, in Hounsfield units: level 40 and width 400 for soft tissue, and so on."""

PERCENTILES = (0.5, 99.5)
_MOST_SAMPLED = 2**21
_FILL = 0.1  # a corner's value that so many voxels share is what lies outside of the scanned body


def find_window(array: NDArray[Any], modality: str, wanted: str | Window | None, name: str) -> Window:
    """Return the values shown as black and white; see :meth:`fiducial.volumes.Volume.window`."""
    if isinstance(wanted, str):
        if modality != "CT":
            raise InputError(f"{name}: the window {wanted!r} is in Hounsfield units, for CT: give low,high instead")
        if wanted not in CT_WINDOWS:
            raise UnknownNameError("window", wanted, CT_WINDOWS)
        return CT_WINDOWS[wanted]
    if wanted is not None:
        low, high = (float(value) for value in wanted)
        if not (np.isfinite([low, high]).all() and low < high):
            raise InputError(f"{name}: a window is two numbers low,high with low < high, got {low:g},{high:g}")
        return low, high
    return CT_WINDOWS["soft-tissue"] if modality == "CT" else _robust(array, name)


def to_grey(values: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Map a window to 0..255; what is not a number, outside of the body in some files, becomes black.

    Example:
        >>> to_grey(np.array([-500.0, 40.0, np.nan, 900.0]), (-160.0, 240.0)).tolist()
        [0, 128, 0, 255]
    """
    low, high = window
    known = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low, posinf=high, neginf=low)
    return np.rint((np.clip(known, low, high) - low) / (high - low) * 255).astype(np.uint8)


def sampled(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return finite values of voxels evenly spread over a volume, two million at most."""
    step = max(1, int(np.ceil((array.size / _MOST_SAMPLED) ** (1 / 3))))
    values = array[::step, ::step, ::step].astype(np.float64).ravel()
    return values[np.isfinite(values)]


def _robust(array: NDArray[Any], name: str) -> Window:
    """Take percentiles of what is not the fill outside of the body."""
    values = sampled(array)
    if not values.size:
        raise InputError(f"{name}: no voxel has a finite value")
    fill = float(array[0, 0, 0])
    inside = values[values != fill]
    if 1 - inside.size / values.size > _FILL and inside.size:
        values = inside
    low, high = (float(value) for value in np.percentile(values, PERCENTILES))
    if low >= high:
        raise InputError(f"{name}: nearly all voxels have the value {low:g}: say the window as low,high")
    return low, high
