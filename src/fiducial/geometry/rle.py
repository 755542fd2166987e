"""The run-length code of COCO, byte for byte as pycocotools writes it, on runs.

A code is ``{"size": [height, width], "counts": ...}`` with alternating lengths of background and
foreground, background first, over column-major pixels; ``counts`` is a list, or a string in which
each length (from the fourth on, its difference to the length two before) is written as little-endian
groups of five bits plus a continuation bit, offset by 48.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import runs as _runs

_MOST_GROUPS = 12


def encode_counts(runs: _runs.Runs, total: int) -> NDArray[np.int64]:
    """Turn runs on a canvas of ``total`` pixels into alternating lengths."""
    edges = np.concatenate([[0], runs.ravel(), [total]])
    counts = np.diff(edges)
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def decode_counts(counts: NDArray[np.int64], total: int) -> _runs.Runs:
    """Turn alternating lengths into runs.

    Raises:
        GeometryError: a negative length, or lengths that do not add up to ``total``.
    """
    if counts.size and counts.min() < 0:
        raise GeometryError("a run-length code holds a negative length")
    edges = np.cumsum(counts)
    reached = int(edges[-1]) if counts.size else 0
    if reached != total:
        raise GeometryError(f"a run-length code covers {reached} pixels, its size says {total}")
    if len(edges) % 2:
        edges = edges[:-1]
    return _runs.normalise(edges.reshape(-1, 2))


def compress(counts: NDArray[np.int64]) -> str:
    """Write lengths as COCO's string."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    groups, used = [], []
    alive = np.ones(len(values), dtype=bool)
    while alive.any():
        group = values & 0x1F
        values = values >> 5
        more = np.where(group & 0x10, values != -1, values != 0)
        groups.append(group + np.where(more, 0x20, 0) + 48)
        used.append(alive)
        alive = alive & more
    text = np.stack(groups, axis=1)[np.stack(used, axis=1)] if groups else np.empty(0)
    return text.astype(np.uint8).tobytes().decode("ascii")


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """Read lengths from COCO's string.

    Raises:
        GeometryError: a character outside the code, a number cut off or too long.
    """
    try:
        data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError:
        raise GeometryError("a run-length string holds characters that are not ASCII") from None
    codes = np.frombuffer(data, dtype=np.uint8).astype(np.int64) - 48
    if not codes.size:
        return np.empty(0, dtype=np.int64)
    if codes.min() < 0 or codes.max() > 63:
        raise GeometryError("a run-length string holds a character outside its 64 letters")
    ends = np.flatnonzero((codes & 0x20) == 0)
    if not len(ends) or ends[-1] != len(codes) - 1:
        raise GeometryError("a run-length string breaks off inside a number")
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > _MOST_GROUPS:
        raise GeometryError("a run-length string holds a number that is too long")
    place = np.arange(len(codes)) - np.repeat(starts, sizes)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * sizes), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def read_code(code: Any) -> tuple[int, int, _runs.Runs]:
    """Read a COCO run-length code, compressed or not.

    Returns:
        height, width, runs.

    Raises:
        GeometryError: it is no such code.
    """
    try:
        height, width = (operator.index(side) for side in code["size"])
        counts = code["counts"]
    except (KeyError, TypeError, ValueError):
        raise GeometryError('a run-length code needs {"size": [height, width], "counts": ...}') from None
    if height <= 0 or width <= 0:
        raise GeometryError(f"a run-length code needs a positive size, got {height} x {width}")
    if isinstance(counts, (str, bytes)):
        lengths = decompress(counts)
    else:
        try:
            lengths = np.array([operator.index(count) for count in counts], dtype=np.int64)
        except (TypeError, ValueError, OverflowError):
            raise GeometryError("the counts of a run-length code need to be whole numbers") from None
    return height, width, decode_counts(lengths, height * width)
