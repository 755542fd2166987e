"""Drawing situations from a labelled volume, so that every answer is clear and no place of the answer is favoured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.misground.anatomy import Anatomy, Section, Spread, gap
from fiducial.misground.items import Factors, Kind, Modality
from fiducial.misground.names import readable, side_of
from fiducial.misground.situations import Situation, in_image, judge
from fiducial.misground.wording import OPPOSITES
from fiducial.volumes.planes import OPPOSITE, PLANES, Plane

OPTIONS: dict[Kind, int] = {
    "order": 3,
    "relation": 2,
    "between": 3,
    "position": 4,
    "identity": 4,
    "slice_order": 2,
    "unanswerable": 3,
}
"""How many options each kind of question has."""
_WHOLE = 0.9
"""Part of a structure's pixels that one piece holds where it is marked: a mark on one of several would mislead."""
_FILLED = 0.4
"""Part of a box that the marked structure fills, at least, where one asks what it is."""
_PIXELS = 12
_MOST_SHARED = 0.5


class Balance:
    """Keeps the right options of each kind of question evenly spread over their places."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._used: Counter[tuple[Kind, int]] = Counter()

    def wanted(self, kind: Kind) -> int:
        """Return the place that was right least often so far, by lot among several."""
        counts = [self._used[kind, place] for place in range(OPTIONS[kind])]
        return int(self._random.choice([place for place, count in enumerate(counts) if count == min(counts)]))

    def add(self, kind: Kind, place: int, count: int) -> None:
        """Take note of items whose right option stands at a place."""
        self._used[kind, place] += count


class Drawer:
    """Draws situations from one volume.

    Args:
        anatomy: where its structures lie.
        balance: of the answers.
        random: of all draws.
        margin: mm by which an answer is clear, at least; two voxels where those are larger.
        area: square mm that a structure needs in a slice.
        slices: of a stack.
        apart: mm between two slices that are compared.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        balance: Balance,
        random: np.random.Generator,
        *,
        margin: float,
        area: float,
        slices: int,
        apart: float,
    ) -> None:
        self.anatomy, self._balance, self._random = anatomy, balance, random
        self._area, self._slices, self._apart = area, slices, apart
        self.margin = max(margin, 2 * max(anatomy.spacing))
        self.modality = modality_of(anatomy)

    def draw(self, kind: Kind) -> Situation | None:
        """Try once; None where what was drawn is of no use."""
        return {
            "order": self._order,
            "relation": self._relation,
            "between": self._between,
            "position": self._position,
            "identity": self._identity,
            "slice_order": self._slice_order,
            "unanswerable": self._unanswerable,
        }[kind]()

    def other_plane(self, situation: Situation) -> Situation | None:
        """Return the same situation in slices of another plane, where there are such that show it."""
        planes = [plane for plane in PLANES if plane != situation.plane]
        for number in self._random.permutation(len(planes)):
            plane = planes[int(number)]
            if situation.stack:
                return replace(situation, plane=plane, slices=self.stack(plane, situation.named))
            if self.anatomy.across(self._letter(situation.asked[0]), plane):
                continue
            rows = [self.anatomy.known.index(label) for label in situation.named]
            least = self.anatomy.present(plane)[rows].min(axis=0)
            index = int(np.argmax(least))
            if least[index] >= self._least(plane) and self._are_whole(plane, index, situation.named):
                return replace(situation, plane=plane, slices=(index,))
        return None

    def stack(self, plane: Plane, labels: Sequence[int]) -> tuple[int, ...]:
        """Choose slices, evenly over those that show any of some structures; each is shown by one of them at least."""
        rows = [self.anatomy.known.index(label) for label in labels]
        present = self.anatomy.present(plane)[rows]
        shown = np.flatnonzero(present.any(axis=0))
        chosen = {round(float(place)) for place in np.linspace(shown[0], shown[-1], self._slices)}
        for row in present:
            if not any(row[index] >= self._least(plane) for index in chosen):
                chosen.add(int(np.argmax(row)))
        return tuple(sorted(chosen))

    # -- kinds ---------------------------------------------------------------------------------------

    def _order(self) -> Situation | None:
        return self._order_in_stack() if self._random.random() < 0.4 else self._order_in_slice()

    def _order_in_slice(self) -> Situation | None:
        found = self._pair_in_slice()
        return None if found is None else self._shuffled(found)

    def _order_in_stack(self) -> Situation | None:
        """An order through the plane, which takes several slices to see."""
        plane = self._plane()
        asked = self._either(self._normal(plane))
        first, second = (int(label) for label in self._random.choice(self.anatomy.known, 2, replace=False))
        if self._gives_away(asked, (first, second)):
            return None
        slices = self.stack(plane, (first, second))
        situation = Situation(
            kind="order", plane=plane, slices=slices, asked=(asked,), named=(first, second), stack=True
        )
        return self._shuffled(self._judged(situation))

    def _relation(self) -> Situation | None:
        found = self._pair_in_slice("relation")
        if found is None:
            return None
        wanted = self._balance.wanted("relation")
        if found.right != wanted:
            found = replace(found, named=found.named[::-1], right=wanted)
        return replace(found, order=(0, 1))

    def _between(self) -> Situation | None:
        drawn = self._slice_with(5)
        if drawn is None:
            return None
        plane, index, labels = drawn
        asked = self._either(self._in_plane(plane))
        labels = [label for label in labels if not self._gives_away(asked, (label,))]
        chain = self._chain(
            [label for label in self._different(labels) if self._random.random() < 0.8], plane, index, asked
        )
        if len(chain) < 5:
            return None
        first = int(self._random.integers(len(chain) - 2))
        start, inside, end = chain[first : first + 3]
        beyond = [*chain[:first], *chain[first + 3 :]]
        others = [int(label) for label in self._random.choice(beyond, 2, replace=False)]
        if self._random.random() < 0.5:
            start, end = end, start
        if not self._are_whole(plane, index, (start, inside, end, *others)):
            return None
        named, choices = (start, end), (inside, *others)
        return self._shuffled(
            self._judged(
                Situation(kind="between", plane=plane, slices=(index,), asked=(asked,), named=named, choices=choices)
            )
        )

    def _chain(self, labels: Sequence[int], plane: Plane, index: int, asked: str) -> list[int]:
        """Return those of a slice's structures that lie one behind the other along a direction, in order.

        All but a twentieth of the one lies before all but a twentieth of the next: "between" is not said of what
        another surrounds.
        """
        slicing = self.anatomy.slicing(plane)
        word = in_image(asked, slicing)
        axis, sign = int(word in ("up", "down")), 1.0 if word in ("right", "down") else -1.0
        places = {label: self.anatomy.place(label, asked, plane, "radiological", index) for label in labels}
        chain: list[int] = []
        reached = -np.inf
        for label in sorted(labels, key=lambda label: places[label].mean):
            extent = self.anatomy.section(label, plane, index).extent
            low, high = sorted(sign * edge for edge in (extent[axis], extent[axis + 2]))
            if low >= reached and (not chain or gap(places[label], places[chain[-1]]) >= self.margin):
                chain.append(label)
                reached = high
        return chain

    def are_clear_alone(self, situation: Situation, asked: str) -> bool:
        """Tell whether bare boxes around two structures of a slice show their order as the structures do."""
        if situation.stack or situation.kind == "unanswerable":
            return True
        if asked in "MT":
            return False  # the middle of the body is not among the marks
        slicing = self.anatomy.slicing(situation.plane)
        word = in_image(asked, slicing)
        axis, sign = int(word in ("up", "down")), 1.0 if word in ("right", "down") else -1.0
        spreads = []
        for label in situation.named:
            box = self.anatomy.section(label, situation.plane, situation.slices[0]).box
            ends = [sign * slicing.spacing[axis] * box[place] for place in (axis, axis + 2)]
            middle, quarter = sum(ends) / 2, abs(ends[1] - ends[0]) / 4
            spreads.append(Spread(middle, middle - quarter, middle + quarter))
        first, second = spreads
        found = gap(first, second) >= self.margin, gap(second, first) >= self.margin
        return found[situation.right]

    def _position(self) -> Situation | None:
        drawn = self._slice_with(1)
        if drawn is None:
            return None
        plane, index, labels = drawn
        label = int(self._random.choice(labels))
        slicing = self.anatomy.slicing(plane)
        section = self.anatomy.section(label, plane, index)
        right, down = slicing.directions.right, slicing.directions.down
        if section.share < _WHOLE or ({right, down} & {"L", "R"} and side_of(self.anatomy.name(label))):
            return None
        width, height = slicing.size
        for x1, y1, x2, y2 in (section.box, section.extent):
            if x1 < width / 2 < x2 or y1 < height / 2 < y2:
                return None
        asked = down if y1 > height / 2 else OPPOSITE[down], right if x1 > width / 2 else OPPOSITE[right]
        situation = self._judged(Situation(kind="position", plane=plane, slices=(index,), asked=asked, named=(label,)))
        return self._shuffled(situation)

    def _identity(self) -> Situation | None:
        drawn = self._slice_with(1)
        if drawn is None:
            return None
        plane, index, labels = drawn
        label = int(self._random.choice(labels))
        section = self.anatomy.section(label, plane, index)
        x1, y1, x2, y2 = section.box
        if section.share < _WHOLE or section.area < _FILLED * (x2 - x1) * (y2 - y1):
            return None
        like = {
            one
            for one in labels
            if one != label and _shared(section, self.anatomy.section(one, plane, index)) > _MOST_SHARED
        }
        near = self._different([label, *(one for one in labels if one not in like)])[1:]
        far = [one for one in self.anatomy.known if one not in labels]
        self._random.shuffle(far)
        others = self._different([label, *near[:2], *far, *near[2:]])[1:4]
        if len(others) < 3:
            return None
        situation = Situation(
            kind="identity", plane=plane, slices=(index,), asked=(), named=(label,), choices=(label, *others)
        )
        return self._shuffled(situation)

    def _slice_order(self) -> Situation | None:
        plane = self._plane()
        present = self.anatomy.present(plane) >= self._least(plane)
        useful = np.flatnonzero(present.any(axis=0))
        if len(useful) < 2:
            return None
        first, second = (int(index) for index in self._random.choice(useful, 2, replace=False))
        apart = abs(first - second) * self.anatomy.slicing(plane).spacing[2]
        alike = present[:, first] == present[:, second]
        if apart < self._apart or not (present[~alike, first].any() and present[~alike, second].any()):
            return None
        situation = self._judged(
            Situation(
                kind="slice_order",
                plane=plane,
                slices=(first, second),
                asked=(self._either(self._normal(plane)),),
                named=(),
            )
        )
        wanted = self._balance.wanted("slice_order")
        if situation is not None and situation.right != wanted:
            situation = replace(situation, slices=(second, first), right=wanted)
        return None if situation is None else replace(situation, order=(0, 1))

    def _unanswerable(self) -> Situation | None:
        drawn = self._slice_with(2)
        if drawn is None:
            return None
        plane, index, labels = drawn
        first, second = (int(label) for label in self._random.choice(labels, 2, replace=False))
        asked = self._either(self._normal(plane))
        if self._gives_away(asked, (first, second)) or not self._are_whole(plane, index, (first, second)):
            return None
        situation = Situation(kind="unanswerable", plane=plane, slices=(index,), asked=(asked,), named=(first, second))
        return self._shuffled(self._judged(situation))

    # -- parts ---------------------------------------------------------------------------------------

    def _pair_in_slice(self, kind: Kind = "order") -> Situation | None:
        drawn = self._slice_with(2)
        if drawn is None:
            return None
        plane, index, labels = drawn
        first, second = (int(label) for label in self._random.choice(labels, 2, replace=False))
        asked = self._either(self._in_plane(plane))
        if asked in "LR" and self.anatomy.midline is not None and self._random.random() < 0.4:
            asked = self._either("M")
        if self._gives_away(asked, (first, second)) or not self._are_whole(plane, index, (first, second)):
            return None
        return self._judged(Situation(kind=kind, plane=plane, slices=(index,), asked=(asked,), named=(first, second)))

    def _judged(self, situation: Situation) -> Situation | None:
        factors = Factors(kind=situation.kind, modality=self.modality, plane=situation.plane)
        right = judge(self.anatomy, situation, factors, situation.asked, self.margin)
        return None if right is None else replace(situation, right=right)

    def _shuffled(self, situation: Situation | None) -> Situation | None:
        """Put the right option where it was least often, the others by lot."""
        if situation is None:
            return None
        others = [place for place in range(OPTIONS[situation.kind]) if place != situation.right]
        self._random.shuffle(others)
        others.insert(self._balance.wanted(situation.kind), situation.right)
        return replace(situation, order=tuple(others))

    def _plane(self) -> Plane:
        return PLANES[int(self._random.integers(len(PLANES)))]

    def _normal(self, plane: Plane) -> str:
        return self.anatomy.slicing(plane).directions[2]

    def _in_plane(self, plane: Plane) -> str:
        return self.anatomy.slicing(plane).directions[int(self._random.integers(2))]

    def _either(self, asked: str) -> str:
        return asked if self._random.random() < 0.5 else OPPOSITES[asked]

    def _letter(self, asked: str) -> str:
        return "R" if asked in "MT" else asked

    def _least(self, plane: Plane) -> int:
        across, down, _ = self.anatomy.slicing(plane).spacing
        return max(_PIXELS, int(np.ceil(self._area / (across * down))))

    @cached_property
    def _useful(self) -> dict[tuple[Plane, int], NDArray[np.intp]]:
        """Slices of each plane that show at least so many structures, one to five."""
        found: dict[tuple[Plane, int], NDArray[np.intp]] = {}
        for plane in PLANES:
            counts = (self.anatomy.present(plane) >= self._least(plane)).sum(axis=0)
            found |= {(plane, count): np.flatnonzero(counts >= count) for count in (1, 2, 5)}
        return found

    def _slice_with(self, count: int) -> tuple[Plane, int, list[int]] | None:
        """Draw a slice that shows so many structures."""
        plane = self._plane()
        useful = self._useful[plane, count]
        if not len(useful):
            return None
        index = int(self._random.choice(useful))
        shown = self.anatomy.present(plane)[:, index] >= self._least(plane)
        return plane, index, [label for label, there in zip(self.anatomy.known, shown, strict=True) if there]

    def _are_whole(self, plane: Plane, index: int, labels: Sequence[int]) -> bool:
        return all(self.anatomy.section(label, plane, index).share >= _WHOLE for label in labels)

    def _gives_away(self, asked: str, labels: Sequence[int]) -> bool:
        """Tell whether names hold the answer: a left kidney lies left of most things."""
        return asked in "LR" and any(side_of(self.anatomy.name(label)) for label in labels)

    def _different(self, labels: Sequence[int]) -> list[int]:
        """Return structures by lot behind the first, without those whose names read alike."""
        first, *rest = labels or [0]
        self._random.shuffle(rest)
        named: dict[str, int] = {}
        for label in [first, *rest] if labels else []:
            named.setdefault(readable(self.anatomy.name(label)), label)
        return list(named.values())


def modality_of(anatomy: Anatomy) -> Modality:
    """Return a volume's modality; an InputError where it is not known."""
    found = anatomy.volume.modality
    if not found:
        raise InputError(f"{anatomy.volume.name}: CT or MR? Its files do not say: give the modality in a YAML list")
    return found


def _shared(first: Section, second: Section) -> float:
    """Return the IoU of two boxes in pixels."""
    from fiducial.geometry import boxes

    return float(boxes.iou([first.box], [second.box])[0, 0])
