"""Linking: the masks of slices become things in 3D, by their overlap in neighbouring slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fiducial.geometry import Mask
from fiducial.geometry.pieces import linked


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One target in one slice.

    Args:
        index: the slice.
        mask: in the slice's own pixels.
        label: what the prompter called it.
        score: of the mask, or of the prompt, or None.
        propagated: whether nobody asked for it: it was cut by the box of a neighbouring slice.
    """

    index: int
    mask: Mask
    label: str = ""
    score: float | None = None
    propagated: bool = False


@dataclass(slots=True, eq=False)
class Thing:
    """Pieces that belong together, at least one for each of its slices."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def slices(self) -> list[int]:
        """The slices that it is in, rising."""
        return sorted({piece.index for piece in self.pieces})

    @property
    def asked(self) -> int:
        """In how many slices the prompter found it."""
        return len({piece.index for piece in self.pieces if not piece.propagated})

    @property
    def area(self) -> int:
        """Pixels of all pieces; where two of them overlap both count."""
        return sum(piece.mask.area for piece in self.pieces)

    @property
    def label(self) -> str:
        """The name that most of its pixels have, "" when nobody named it."""
        areas: dict[str, int] = {}
        for piece in self.pieces:
            areas[piece.label] = areas.get(piece.label, 0) + piece.mask.area
        return max(sorted(areas), key=lambda name: areas[name], default="")

    def mask_in(self, index: int) -> Mask | None:
        """Return what it covers of a slice."""
        masks = [piece.mask for piece in self.pieces if piece.index == index]
        return masks[0].union(*masks[1:]) if masks else None


def overlap(one: Mask, other: Mask) -> float:
    """Return the intersection as a share of the smaller mask, in 0..1; 0 where one is empty."""
    smaller = min(one.area, other.area)
    return one.intersection(other).area / smaller if smaller else 0.0


def link(pieces: Sequence[Piece], least: float) -> list[Thing]:
    """Join pieces of neighbouring slices that overlap; largest things first.

    Args:
        pieces: in any order.
        least: share of the smaller mask that has to overlap.

    Example:
        >>> box = Mask.from_box((0, 0, 4, 4), 8, 8)
        >>> far = Mask.from_box((6, 6, 8, 8), 8, 8)
        >>> [thing.slices for thing in link([Piece(0, box), Piece(1, box), Piece(1, far), Piece(3, box)], 0.3)]
        [[0, 1], [3], [1]]
    """
    there = [piece for piece in pieces if piece.mask.area]
    by_slice: dict[int, list[int]] = {}
    for number, piece in enumerate(there):
        by_slice.setdefault(piece.index, []).append(number)
    pairs = (
        (number, other)
        for index, numbers in by_slice.items()
        for number in numbers
        for other in by_slice.get(index + 1, ())
        if overlap(there[number].mask, there[other].mask) >= least
    )
    things = [Thing([there[number] for number in group]) for group in linked(len(there), pairs)]
    return sorted(things, key=lambda thing: (-thing.area, thing.slices))


def gaps(things: Sequence[Thing], least: float, reach: int) -> list[tuple[Thing, Thing]]:
    """Find pairs of things of which one ends where the other, overlapping, begins a few slices later.

    Args:
        things: as :func:`link` gives them.
        least: share of the smaller of the two end masks that has to overlap.
        reach: most slices between them.
    """
    found = []
    for first in things:
        for second in things:
            between = second.slices[0] - first.slices[-1] - 1
            if first is not second and 1 <= between <= reach:
                one, other = first.mask_in(first.slices[-1]), second.mask_in(second.slices[0])
                if one is not None and other is not None and overlap(one, other) >= least:
                    found.append((first, second))
    return found


def merged(things: Sequence[Thing], pairs: Sequence[tuple[Thing, Thing]]) -> list[Thing]:
    """Join pairs of things into one each; largest first."""
    owner: dict[int, Thing] = {id(thing): thing for thing in things}
    for first, second in pairs:
        one, other = owner[id(first)], owner[id(second)]
        if one is not other:
            one.pieces.extend(other.pieces)
            owner = {key: one if thing is other else thing for key, thing in owner.items()}
    unique = {id(thing): thing for thing in owner.values()}
    return sorted(unique.values(), key=lambda thing: (-thing.area, thing.slices))
