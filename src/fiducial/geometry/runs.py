"""Sets of pixels as sorted runs, and COCO's code of them: the arithmetic under :class:`fiducial.geometry.masks.Mask`.

A set of pixels of an H x W canvas is an (N, 2) int64 array of half-open runs [start, end) over the
column-major pixel numbers x * H + y, sorted, disjoint and never touching, so equal sets have equal
arrays. Only foreground is stored: a small target costs the same on a canvas of any size.

COCO's run-length code, byte for byte as pycocotools writes it, is ``{"size": [height, width], "counts": ...}`` with
alternating lengths of background and foreground, background first; ``counts`` is a list, or a string in which each
length (from the fourth on, its difference to the length two before) is written as little-endian groups of five bits
plus a continuation bit, offset by 48.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import GeometryError

Runs = NDArray[np.int64]
EMPTY: Runs = np.empty((0, 2), dtype=np.int64)
EMPTY.setflags(write=False)
_MAX_GROUPS = 12  # of five bits: what 64-bit numbers have room for


def normalise(runs: Runs) -> Runs:
    """Sort runs, drop empty ones and join those that overlap or touch."""
    runs = runs[runs[:, 1] > runs[:, 0]]
    if len(runs) < 2:
        return runs
    starts = runs[:, 0]
    if not (starts[1:] > runs[:-1, 1]).all():  # most callers hand in runs that are sorted and apart already
        runs = runs[np.argsort(starts, kind="stable")]
        reach = np.maximum.accumulate(runs[:, 1])
        first = np.flatnonzero(np.r_[True, runs[1:, 0] > reach[:-1]])
        last = np.r_[first[1:] - 1, len(runs) - 1]
        runs = np.stack([runs[first, 0], reach[last]], axis=1)
    return runs


def from_dense(dense: NDArray[np.bool_], x: int, y: int, height: int) -> Runs:
    """Find the runs of a dense (h, w) patch whose corner lies at (x, y) of a canvas ``height`` rows high."""
    rows = np.flatnonzero(dense.any(axis=1))
    if not len(rows):
        return EMPTY
    columns = np.flatnonzero(dense.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    piece = dense[top : rows[-1] + 1, left : columns[-1] + 1]
    tall = piece.shape[0] + 1  # a row of background below: a run never goes on into the next column
    flat = np.zeros((piece.shape[1], tall), dtype=np.int8)
    flat[:, :-1] = piece.T
    edges = np.flatnonzero(np.diff(flat.ravel(), prepend=np.int8(0)))
    column, row = np.divmod(edges.reshape(-1, 2), tall)
    return normalise((column[:, :1] + left + x) * height + row + top + y)


def to_dense(runs: Runs, height: int, width: int) -> NDArray[np.bool_]:
    """Paint runs onto a dense (H, W) canvas."""
    dense = np.zeros((height, width), dtype=np.bool_)
    if not len(runs):
        return dense
    left, right = int(runs[0, 0]) // height, int(runs[-1, 1] - 1) // height + 1
    # +1 where a run starts, -1 where it ends: the running sum is 1 inside; the last place takes a run's end at the rim.
    flat = np.zeros((right - left) * height + 1, dtype=np.int8)
    flat[runs[:, 0] - left * height] = 1
    flat[runs[:, 1] - left * height] = -1
    filled = np.cumsum(flat[:-1], dtype=np.int8).view(np.bool_)
    dense[:, left:right] = filled.reshape(right - left, height).T
    return dense


def columns(runs: Runs, height: int) -> NDArray[np.int64]:
    """Split runs at the columns' ends: (M, 3) rows of column, top, bottom (bottom exclusive)."""
    if not len(runs):
        return np.empty((0, 3), dtype=np.int64)
    first, last = runs[:, 0] // height, (runs[:, 1] - 1) // height
    spans = last - first + 1  # columns that each run reaches into
    owner = np.repeat(np.arange(len(runs)), spans)
    column = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans) + first[owner]
    top = np.maximum(runs[owner, 0] - column * height, 0)
    bottom = np.minimum(runs[owner, 1] - column * height, height)
    return np.stack([column, top, bottom], axis=1)


def from_columns(pieces: NDArray[np.int64], height: int) -> Runs:
    """Join (M, 3) rows of column, top, bottom into runs."""
    return normalise(pieces[:, :1] * height + pieces[:, 1:])


def area(runs: Runs) -> int:
    """Count the pixels."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def union(many: Sequence[Runs]) -> Runs:
    """Join several sets."""
    return normalise(np.concatenate([EMPTY, *many]))


def intersection(a: Runs, b: Runs) -> Runs:
    """Keep what is in both sets."""
    if not len(a) or not len(b):
        return EMPTY
    # Of the sorted runs of b exactly those from low to high overlap a run of a.
    low = np.searchsorted(b[:, 1], a[:, 0], side="right")
    high = np.searchsorted(b[:, 0], a[:, 1], side="left")
    owner, other = expand(low, high)
    start = np.maximum(a[owner, 0], b[other, 0])
    end = np.minimum(a[owner, 1], b[other, 1])
    return np.stack([start, end], axis=1)


def complement(runs: Runs, total: int) -> Runs:
    """Keep what is not in the set, of a canvas of ``total`` pixels."""
    edges = np.concatenate([[0], runs.ravel(), [total]]).reshape(-1, 2)
    return edges[edges[:, 1] > edges[:, 0]]


def count_below(runs: Runs, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, for each position, the pixels of the set that lie before it."""
    if not len(runs):
        return np.zeros(positions.shape, dtype=np.int64)
    lengths = runs[:, 1] - runs[:, 0]
    before = np.concatenate([[0], np.cumsum(lengths)])
    index = np.searchsorted(runs[:, 0], positions, side="right") - 1
    inside = np.minimum(positions - runs[index, 0], lengths[index])
    return np.where(index < 0, 0, before[index] + inside)


def expand(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List all pairs (i, k) with low[i] <= k < high[i]."""
    counts = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, low[owner] + offset


def label_columns(pieces: NDArray[np.int64], connectivity: int) -> NDArray[np.int64]:
    """Number the components, connected by 4 (edges) or 8 (edges and corners), of sorted (M, 3) column pieces.

    The (M,) numbers 0..K-1 are in the order in which components first appear.
    """
    count = len(pieces)
    if not count:
        return np.empty(0, dtype=np.int64)
    reach = 1 if connectivity == 8 else 0
    stride = int(pieces[:, 2].max()) + 2  # taller than any column: pieces of two columns never mix
    column, top, bottom = pieces.T
    key = column * stride
    # Pairs of pieces in neighbouring columns that touch.
    following = key + stride
    low = np.searchsorted(key + bottom, following + np.maximum(top - reach, 0), side="right")
    high = np.searchsorted(key + top, following + bottom + reach, side="left")
    left, right = expand(low, high)
    # Union by the smaller number, all pairs at once; pairs that agree drop out, so few rounds are needed.
    parent = np.arange(count)
    while True:
        root_left, root_right = parent[left], parent[right]
        changed = root_left != root_right
        if not changed.any():
            break
        left, right = left[changed], right[changed]
        smaller = np.minimum(root_left, root_right)[changed]
        np.minimum.at(parent, np.maximum(root_left, root_right)[changed], smaller)
        while not np.array_equal(parent, jumped := parent[parent]):  # everybody points at the root
            parent = jumped
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


def encode_counts(runs: Runs, total: int) -> NDArray[np.int64]:
    """Turn runs on a canvas of ``total`` pixels into alternating lengths."""
    counts = np.diff(np.concatenate([[0], runs.ravel(), [total]]))
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def decode_counts(counts: NDArray[np.int64], total: int) -> Runs:
    """Turn alternating lengths that add up to ``total`` into runs."""
    if counts.size and counts.min() < 0:
        raise GeometryError("a run-length code holds a negative length")
    edges = np.cumsum(counts)
    reached = int(edges[-1]) if counts.size else 0
    if reached != total:
        raise GeometryError(f"a run-length code covers {reached} pixels, its size says {total}")
    if len(edges) % 2:
        edges = edges[:-1]
    return normalise(edges.reshape(-1, 2))


def compress(counts: NDArray[np.int64]) -> str:
    """Write lengths as COCO's string."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    # All numbers at once, group by group; ``alive`` are those that are not written out yet.
    groups, used = [], []
    alive = np.ones(len(values), dtype=bool)
    while alive.any():
        group = values & 0x1F
        values = values >> 5
        # The fifth bit is the sign: a number ends only when the rest is all zeros, or all ones below zero.
        more = np.where(group & 0x10, values != -1, values != 0)
        groups.append(group + np.where(more, 0x20, 0) + 48)
        used.append(alive)
        alive = alive & more
    text = np.stack(groups, axis=1)[np.stack(used, axis=1)] if groups else np.empty(0)
    return text.astype(np.uint8).tobytes().decode("ascii")


def decompress(text: str | bytes) -> NDArray[np.int64]:
    """Read lengths from COCO's string."""
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
    if sizes.max() > _MAX_GROUPS:
        raise GeometryError("a run-length string holds a number that is too long")
    place = np.arange(len(codes)) - np.repeat(starts, sizes)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * sizes), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def read_code(code: Any) -> tuple[int, int, Runs]:
    """Read a COCO run-length code, compressed or not: height, width, runs."""
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
