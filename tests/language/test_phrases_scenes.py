"""Ten instructions of each kind on drawn scenes whose truth is known: each is right or refused, and none misleads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from fiducial.language import Outcome
from fiducial.language.phrases import resolve
from fiducial.synthetic.scenes import SceneDataset, view_of
from fiducial.synthetic.view import Thing, View
from fiducial.synthetic.vocabulary import many


@dataclass(frozen=True)
class Drawn:
    """A scene, and what its truths are made of: the things of the most frequent name, and their colours."""

    view: View
    one: str
    group: tuple[Thing, ...]
    colour: str

    def by(self, key: Callable[[Thing], float]) -> list[Thing]:
        return sorted(self.group, key=key)

    def coloured(self, colour: str) -> list[Thing]:
        return [thing for thing in self.group if self.colour_of(thing) == colour]

    def colour_of(self, thing: Thing) -> str:
        reading = self.view.colours(thing)
        assert reading is not None
        return max(reading.shares, key=lambda name: reading.shares[name])

    @property
    def largest(self) -> Thing:
        return max(self.group, key=lambda thing: thing.area)

    def rest(self, out: list[Thing]) -> list[Thing]:
        return [thing for thing in self.group if thing not in out]

    def beside(self, sign: int, axis: int = 0) -> list[Thing]:
        """What lies on one side of the largest, as a person orders it: what is level with it first, then by the gap."""
        ref = self.largest
        there = [t for t in self.group if sign * (t.centre[axis] - ref.centre[axis]) > 0]
        return sorted(there, key=lambda t: (not level(t, ref, 1 - axis), apart(t, ref)))


def level(one: Thing, other: Thing, axis: int) -> bool:
    return min(one.box[axis + 2], other.box[axis + 2]) > max(one.box[axis], other.box[axis])


def apart(one: Thing, other: Thing) -> float:
    across, down = (max(0.0, one.box[k] - other.box[k + 2], other.box[k] - one.box[k + 2]) for k in (0, 1))
    return math.hypot(across, down)


def left(thing: Thing) -> float:
    return thing.centre[0]


def longer(thing: Thing) -> float:
    return max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1])


def wide(thing: Thing) -> float:
    return thing.box[2] - thing.box[0]


@cache
def drawn(number: int) -> Drawn:
    scene = SceneDataset("shapes", 6, seed=7, size=192).scene(number)
    view = view_of(scene)
    one, _ = Counter(thing.name for thing in view.things).most_common(1)[0]
    group = tuple(thing for thing in view.things if thing.name == one)
    found = Drawn(view, one, group, "")
    colour = Counter(map(found.colour_of, group)).most_common(1)[0][0]
    return Drawn(view, one, group, colour)


Truth = Callable[[Drawn], list[Thing] | None]
"""The things that are meant; None where an instruction can only be refused."""


def refused(_: Drawn) -> None:
    return None


KINDS: dict[str, dict[str, Truth]] = {
    "questions": {
        "which {one} is the largest?": lambda d: [d.largest],
        "which of the {many} is furthest left?": lambda d: d.by(left)[:1],
        "which {many} are {colour}?": lambda d: d.coloured(d.colour),
        "which {one} isn't {colour}?": lambda d: d.rest(d.coloured(d.colour)),
        "which two {many} are the largest?": lambda d: d.by(lambda t: -t.area)[:2],
        "can you tell me which {one} is second from the left?": lambda d: d.by(left)[1:2],
        "where are the {many}?": lambda d: list(d.group),
        "do you see the leftmost {one}?": lambda d: d.by(left)[:1],
        "how many {many} are {colour}?": refused,
        "are the {many} {colour}?": refused,
    },
    "limits": {
        "the {many}, but only the {colour} ones": lambda d: d.coloured(d.colour),
        "all {many}, only the largest two": lambda d: d.by(lambda t: -t.area)[:2],
        "the {many}, but just the leftmost": lambda d: d.by(left)[:1],
        "only the {colour} {many}": lambda d: d.coloured(d.colour),
        "the {many}, the {colour} ones only": lambda d: d.coloured(d.colour),
        "{many}, only {colour}": lambda d: d.coloured(d.colour),
        "the {one}, the leftmost one": lambda d: d.by(left)[:1],
        "the {many}, just the second from the right": lambda d: d.by(left)[-2:-1],
        "nothing but the {colour} {many}": lambda d: d.coloured(d.colour),
        "not only the {colour} {many}": refused,
    },
    "negations": {
        "non-{colour} {many}": lambda d: d.rest(d.coloured(d.colour)),
        "{many} that are not {colour}": lambda d: d.rest(d.coloured(d.colour)),
        "all {many} except the leftmost": lambda d: d.by(left)[1:],
        "the {many}, but not the {colour} ones": lambda d: d.rest(d.coloured(d.colour)),
        "{many}, no {colour} ones": lambda d: d.rest(d.coloured(d.colour)),
        "{many} which are neither {colour} nor white": lambda d: [
            t for t in d.group if d.colour_of(t) not in (d.colour, "white")
        ],
        "all {many} without the two largest": lambda d: d.rest(d.by(lambda t: -t.area)[:2]),
        "except the rightmost, all {many}": lambda d: d.by(left)[:-1],
        "{many} rather than the {colour} ones": lambda d: d.rest(d.coloured(d.colour)),
        "none of the {many}": refused,
    },
    "ranks": {
        "the second from the left {one}": lambda d: d.by(left)[1:2],
        "{one}, second from right": lambda d: d.by(left)[-2:-1],
        "leftmost but one {one}": lambda d: d.by(left)[1:2],
        "the largest {one} but one": lambda d: d.by(lambda t: -t.area)[1:2],
        "the 2nd to 3rd {one} from the left": lambda d: d.by(left)[1:3],
        "the first through third largest {many}": lambda d: d.by(lambda t: -t.area)[:3],
        "from right to left, the second {one}": lambda d: d.by(left)[-2:-1],
        "{one} number two from the left": lambda d: d.by(left)[1:2],
        "the last but one {one} from the left": lambda d: d.by(left)[-2:-1],
        "the {many} from left to right": refused,
    },
    "nearness": {
        "the {one} closest to the largest {one}": lambda d: sorted(
            d.rest([d.largest]), key=lambda t: (apart(t, d.largest), math.dist(t.centre, d.largest.centre))
        )[:1],
        "the {one} just left of the largest {one}": lambda d: d.beside(-1)[:1],
        "the nearest {one} to the right of the largest {one}": lambda d: d.beside(1)[:1],
        "the next {one} to the left of the largest {one}": lambda d: d.beside(-1)[:1],
        "the {one} immediately above the largest {one}": lambda d: d.beside(-1, 1)[:1],
        "the {one} right below the largest {one}": lambda d: d.beside(1, 1)[:1],
        "the second {one} to the right of the largest {one}": lambda d: d.beside(1)[1:2],
        "{many} to the left of the largest {one}": lambda d: d.beside(-1),
        "{many} within 40 pixels of the largest {one}": lambda d: [
            t for t in d.rest([d.largest]) if apart(t, d.largest) <= 40
        ],
        "the {one} in front of the largest {one}": refused,
    },
    "counts in a part": {
        "the two {many} on the right": lambda d: two_in_half(d, 0, 1),
        "the two {many} on the left": lambda d: two_in_half(d, 0, -1),
        "the two {many} at the top": lambda d: two_in_half(d, 1, -1),
        "the two {many} at the bottom": lambda d: two_in_half(d, 1, 1),
        "the two {many} to the right": lambda d: two_in_half(d, 0, 1),
        "the two {many} in the middle": lambda d: d.by(lambda t: math.dist(t.centre, (96, 96)))[:2],
        "all {many} except the two on the right": lambda d: d.rest(two_in_half(d, 0, 1)),
        "all {many} except the two on the left": lambda d: d.rest(two_in_half(d, 0, -1)),
        "the two leftmost {many}": lambda d: d.by(left)[:2],
        "all but two {many}": refused,
    },
    "sizes": {
        "{many} longer than 30 pixels": lambda d: [t for t in d.group if longer(t) > 30],
        "{many} no longer than 30 px": lambda d: [t for t in d.group if longer(t) <= 30],
        "{many} at least 25 pixels wide": lambda d: [t for t in d.group if wide(t) >= 25],
        "{many} wider than 15% of the image": lambda d: [t for t in d.group if wide(t) > 0.15 * 192],
        "{many} larger than 400 square pixels": lambda d: [t for t in d.group if t.area > 400],
        "{many} that are smaller than 1.5 percent of the picture": lambda d: [
            t for t in d.group if t.area < 0.015 * 192 * 192
        ],
        "{many} not longer than thirty pixels": lambda d: [t for t in d.group if longer(t) <= 30],
        "the longest {one}": lambda d: d.by(lambda t: (-longer(t), -t.area))[:1],
        "which {many} are longer than 30 pixels?": lambda d: [t for t in d.group if longer(t) > 30],
        "{many} of about 30 pixels": refused,
    },
    "words that nothing here can check": {
        "the lefmost {one}": refused,
        "the secnd {one} from the left": refused,
        "{many} excpet the leftmost": refused,
        "the {one} in the red shirt left of the largest {one}": refused,
        "the {one} near the road": refused,
        "the shiny {one}": refused,
        "{many} that spin": refused,
        "all {many} except the widgets": refused,
        "if there are any, the {many}": refused,
        "more than two {many}": refused,
    },
}


def two_in_half(d: Drawn, axis: int, sign: int) -> list[Thing]:
    """The two furthest to a side, of those in that half."""
    return [t for t in d.by(lambda t: -sign * t.centre[axis]) if sign * (t.centre[axis] - 96) > 0][:2]


def test_there_are_ten_of_each_kind() -> None:
    assert {len(said) for said in KINDS.values()} == {10}


@pytest.mark.parametrize("kind", KINDS)
def test_right_or_refused(kind: str) -> None:
    right = 0
    for number in range(4):
        d = drawn(number)
        for template, truth in KINDS[kind].items():
            text = template.format(one=d.one, many=many(d.one), colour=d.colour)
            meant = truth(d)
            found = resolve(text, d.view.candidates(coloured=True), d.view.frame)
            if meant is None:
                assert found.chosen == (), text
                continue
            chosen, expected = sorted(found.chosen), sorted(thing.index for thing in meant)
            assert chosen == expected or found.outcome is Outcome.FAILED, (number, text, chosen, expected)
            right += chosen == expected and found.outcome is not Outcome.FAILED
    asked = 4 * sum(truth is not refused for truth in KINDS[kind].values())
    assert right == asked, kind
