"""Joining: pieces that windows show of one thing become that thing, by what they share where the windows overlap.

Nothing depends on the order in which windows were looked at. For two windows that overlap:

1. **A piece that a border cut is left to the neighbour** that sees all of it, where what that one found of the same
   name covers at least half of it. Windows share a strip: a thing smaller than that lies wholly in one of them.
2. **Pieces are one thing** when, within what both windows show, they have an IoU of at least ``SAME``; or when one of
   them was cut by a border and at least ``COVERED`` of what it shows there is the other's.

Of the pieces of a thing the best that sees all of it is taken; where none does, because the thing is larger than what
windows share, it is all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from fiducial.geometry.pieces import linked
from fiducial.rasters.grid import Tile
from fiducial.rasters.pieces import Patch, Piece

SAME = 0.3
"""IoU, within what two windows share, from which two pieces are one thing."""
COVERED = 0.7
"""Part of a cut piece, within what two windows share, that is another's where they are one thing."""
LEFT = 0.5
"""Part of a cut piece that is covered by those of a neighbour that sees all of it, where it is left to that one."""
MARGIN = 4
"""Pixels of the grid: pieces that come as close as that to a border may have been cut by it."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """One thing of the raster: its pixels, what it was found as, and the windows (numbers) whose pieces it is."""

    patch: Patch
    label: str
    score: float | None
    brightness: float | None
    colours: Mapping[str, float]
    tiles: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    tile: int
    piece: Piece
    cut: bool


def join(tiles: Sequence[Tile], pieces: Mapping[int, Sequence[Piece]], *, by_label: bool = True) -> list[Thing]:
    """Join the pieces of all windows; things come by their places, row by row of their boxes' corners.

    Args:
        tiles: the windows.
        pieces: what each shows, by the window's number.
        by_label: whether only pieces of one label can be one thing.
    """
    parts = [
        _Part(tile, piece, tiles[tile].cuts(piece.patch.box, MARGIN))
        for tile in sorted(pieces)
        for piece in pieces[tile]
    ]
    by_tile: dict[int, list[int]] = {}
    for number, part in enumerate(parts):
        by_tile.setdefault(part.tile, []).append(number)
    near = {tile: [other for other in _around(tiles, tile) if other in by_tile] for tile in by_tile}
    left = {
        number
        for number, part in enumerate(parts)
        if part.cut
        and any(_is_left_to(part, tiles[t], [parts[k] for k in by_tile[t]], by_label) for t in near[part.tile])
    }
    pairs = []
    for tile, others in near.items():
        for one, other in product(by_tile[tile], [k for t in others if t > tile for k in by_tile[t]]):
            if one in left or other in left or (by_label and parts[one].piece.label != parts[other].piece.label):
                continue
            if _are_one(parts[one], parts[other], _common(tiles[tile], tiles[parts[other].tile])):
                pairs.append((one, other))
    groups = ([parts[number] for number in group if number not in left] for group in linked(len(parts), pairs))
    things = [_thing(group, tiles) for group in groups if group]
    return sorted(things, key=lambda thing: (thing.patch.y, thing.patch.x, thing.label, thing.patch.mask.area))


def _around(tiles: Sequence[Tile], number: int) -> Iterator[int]:
    """Yield the numbers of the windows that share pixels with one."""
    columns = tiles[-1].column + 1
    own = tiles[number]
    for row, column in product(range(own.row - 2, own.row + 3), range(own.column - 2, own.column + 3)):
        other = row * columns + column
        if row >= 0 and 0 <= column < columns and other < len(tiles) and other != number:
            x1, y1, x2, y2 = _common(own, tiles[other])
            if x2 > x1 and y2 > y1:
                yield other


def _common(one: Tile, other: Tile) -> tuple[int, int, int, int]:
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return max(a, e), max(b, f), min(c, g), min(d, h)


def _meet(one: Patch, other: Patch) -> bool:
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return a < g and e < c and b < h and f < d


def _is_left_to(part: _Part, tile: Tile, others: Sequence[_Part], by_label: bool) -> bool:
    patch = part.piece.patch
    if not tile.sees(patch.box, MARGIN):
        return False
    found = [
        other.piece.patch
        for other in others
        if (not by_label or other.piece.label == part.piece.label) and _meet(patch, other.piece.patch)
    ]
    if not found:
        return False
    whole = found[0].joined(*found[1:])
    return patch.mask.shared_area(whole.within(patch.box)) >= LEFT * patch.mask.area


def _are_one(one: _Part, other: _Part, common: tuple[int, int, int, int]) -> bool:
    if not _meet(one.piece.patch, other.piece.patch):
        return False
    first, second = one.piece.patch.within(common), other.piece.patch.within(common)
    shared = first.shared_area(second)
    if not shared:
        return False
    if shared >= SAME * (first.area + second.area - shared):
        return True
    return (one.cut and shared >= COVERED * first.area) or (other.cut and shared >= COVERED * second.area)


def _thing(group: Sequence[_Part], tiles: Sequence[Tile]) -> Thing:
    whole = [
        part for part in group if not part.cut and all(tiles[part.tile].sees(other.piece.patch.box) for other in group)
    ]
    patches = [part.piece.patch for part in group]
    scores = [part.piece.score for part in group if part.piece.score is not None]
    if whole:
        best = max(whole, key=lambda part: (part.piece.score or 0.0, part.piece.patch.mask.area, -part.tile))
        patch, score = best.piece.patch, best.piece.score
    else:
        best = max(group, key=lambda part: (part.piece.patch.mask.area, -part.tile))
        patch, score = patches[0].joined(*patches[1:]), max(scores, default=None)
    return Thing(
        patch,
        best.piece.label,
        score,
        best.piece.brightness,
        dict(best.piece.colours or {}),
        tuple(sorted({part.tile for part in group})),
    )
