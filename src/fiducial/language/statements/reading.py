"""Reading: a text to its statements, and the point that its places name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fiducial.language.phrases.lexicon import NUMBERS, OPPOSITE
from fiducial.language.phrases.nouns import word_set
from fiducial.language.statements.counts import FoundCount, compares, counts_in, nothing_in, selected_from
from fiducial.language.statements.negation import denied_after, negated_words
from fiducial.language.statements.places import Found, places_in
from fiducial.language.statements.sizes import FoundSize, sizes_in
from fiducial.language.statements.statement import Convention, Count, Place, Size, Statement, as_convention
from fiducial.language.statements.words import Word, sentences_of

_OTHERS = word_set("one another other others second third fourth fifth remaining rest latter both only all") | (
    set(NUMBERS) - {"no", "zero"}
)
"""Words that, after a place was stated, speak of something else."""
_REMARKS = word_set("not note")
_EVERY = word_set("they both all each every")
_NEARBY = 12
"""A place is that of what at most so many words before it name."""
SIDE, NEAR = 0.5, 0.25
"""How far a side, and a side near the centre, is from the centre along its axis, in the centred frame."""
_ALONG = {"left": (0, -1.0), "right": (0, 1.0), "top": (1, 1.0), "bottom": (1, -1.0)}


def read_statements(text: str) -> tuple[Statement, ...]:
    """Read what a text states about where things lie, how many there are and how large they are.

    Sides state a place where they name a part of the picture: "on the left", "the upper right quadrant", "in the middle
    of the image", "slightly above the centre". Sides that compare ("the leftmost of 4 ships"), relate to another thing
    ("left of the pier"), point ("facing left") or describe ("the left ship") state none. The sides of organs ("the
    right lung") are the patient's (see :class:`Place`). Questions state nothing.

    Args:
        text: an answer in English, of any length; the time is linear in it.

    Returns:
        The statements in the order of the text.

    Example:
        >>> [(one.words, one.negated) for one in read_statements("It is not on the left, but in the upper right.")]
        [('left', True), ('upper right', False)]
    """
    places = _Places()
    others: list[Statement] = []
    sentences = list(sentences_of(text))
    for number, words in enumerate(sentences):
        if number and words[0].text in _REMARKS and sentences[0][0].text == "chose":
            break  # what the resolver remarks is about the instruction
        denied = negated_words(words)
        said = len(places.found)
        places.read(text, words, denied)
        others += [
            Size(*_where(text, words, one), denied[one.start], one.low, one.high, one.pixels) for one in sizes_in(words)
        ]
        counts = [Count(*_where(text, words, one), False, one.low, one.high) for one in counts_in(words, denied)]
        none = nothing_in(words) if number == 0 and not counts and len(places.found) == said else None
        others += [Count(*_where(text, words, none), False, 0, 0)] if none else counts
    if any(map(compares, sentences)):  # "There are 3 ships. The largest lies ...": they are not what is meant
        others = [one for one in others if not isinstance(one, Count) or one.high == 0]
    selected = selected_from(sentences)
    others = [one for one in others if not isinstance(one, Count) or one.high == 0 or one.start >= selected]
    return tuple(sorted([*places.found, *others], key=lambda one: one.start))


class _Places:
    """Collects the places of a text, sentence by sentence, and tells apart the things that they are about."""

    def __init__(self) -> None:
        self.found: list[Place] = []
        self._group = 0
        self._since = False  # whether words since the last place speak of something else
        self._stated = False
        self._sides: set[tuple[bool, str | None]] = set()  # of the group

    def read(self, text: str, words: Sequence[Word], denied: Sequence[bool]) -> None:
        """Add the places of one sentence."""
        last = 0
        for found in places_in(words):
            place = _place(text, words, found, denied)
            between = [word.text for word in words[last : found.start]]
            every = _of_every([word.text for word in words[max(0, found.start - _NEARBY) : found.start]])
            self._since = self._since or any(word in _OTHERS for word in between)
            last = found.end
            if place.negated:
                self.found.append(replace(place, group=self._group))
            elif not (self._stated and "or" in between and not self._since and self._join(text, place)):
                self._add(replace(place, every=every))
        self._since = self._since or any(word.text in _OTHERS for word in words[last:])

    def _join(self, text: str, place: Place) -> bool:
        """Make a place an alternative to the one before it, where that was not denied."""
        before = self.found[-1]
        if not before.negated:
            words = text[before.start : place.start + len(place.words)]
            self.found[-1] = replace(before, words=words, places=before.places + place.places)
            self._sides.update((place.patient, side) for sides in place.places for side in sides)
        return not before.negated

    def _add(self, place: Place) -> None:
        sides = {(place.patient, side) for sides in place.places for side in sides}
        # an opposite side cannot be that of the same thing
        opposed = any((mine, OPPOSITE.get(side)) in self._sides for mine, side in sides)
        apart = self._stated and (self._since or opposed)
        opposed = apart and not self._since
        if apart:
            self._group += 1
            self._sides.clear()
        self._sides |= sides
        self._since, self._stated = False, True
        self.found.append(replace(place, group=self._group, opposed=opposed))


def stated_place(text: str, convention: Convention | str | None = None) -> tuple[float, float] | None:
    """Return the point that a text states, in the centred frame: (-1, 1) at the top left, (1, -1) at the bottom right.

    A side is 0.5 along its axis, "near the centre" 0.25, the centre 0; what is not said is 0. Several things lie in
    the middle of their points, and so do alternatives. Where a text says only where something is *not*, the point is
    the middle of what that leaves of the axis: "not in the left half" is (0.5, 0), "not on the left" too.

    Args:
        text: an answer in English.
        convention: on which side of the picture the patient's right is; without it the patient's sides ("the right
            lung") say nothing; a :class:`Convention` or its name.

    Returns:
        x, y; None where no place is stated, or only that it is not in the centre or in one of several parts.

    Example:
        >>> stated_place("The tumour is in the top right, near the center"), stated_place("two large ships")
        ((0.25, 0.25), None)
    """
    convention = as_convention(convention)
    read = [one for one in read_statements(text) if isinstance(one, Place)]
    places = [place for one in read if (place := one.seen(convention)) is not None]
    held = [place for place in places if not place.negated]
    if not held:
        return _elsewhere(places)
    groups: dict[int, list[Place]] = {}
    for place in held:
        groups.setdefault(place.group, []).append(place)
    return _middle([point_of(group) for group in groups.values()])


def point_of(places: Sequence[Place]) -> tuple[float, float]:
    """Return the point of places in the picture's sides that hold together, in the centred frame."""
    near = any(place.near and place.central for place in places)
    whole = [place for place in places if not place.central]
    points = [_middle([_point(sides, near=near or place.near) for sides in place.places]) for place in whole]
    axes = list(zip(*points, strict=True)) or [(), ()]
    x, y = (_mean([value for value in axis if value]) for axis in axes)
    return x, y


def _place(text: str, words: Sequence[Word], found: Found, flags: Sequence[bool]) -> Place:
    start, end = words[found.start].start, words[found.end - 1].end
    denied = flags[found.start] != denied_after(words, found.start, found.end)
    return Place(text[start:end], start, denied, found.places, found.near, found.patient)


def _of_every(before: Sequence[str]) -> bool:
    """Say whether words before a place speak of every one, and of nothing else after that."""
    last = max((place for place, word in enumerate(before) if word in _EVERY), default=-1)
    return last >= 0 and not {"and", ","} & set(before[last:])


def _where(text: str, words: Sequence[Word], found: FoundCount | FoundSize) -> tuple[str, int]:
    start, end = words[found.start].start, words[found.end - 1].end
    return text[start:end], start


def _point(sides: Sequence[str], *, near: bool) -> tuple[float, float]:
    """Return the point of sides that hold together; "top left centre" is near the centre, "centre left" is not."""
    directed = [side for side in sides if side in _ALONG]
    reach = NEAR if near or ("centre" in sides and len(directed) > 1) else SIDE
    point = [0.0, 0.0]
    for side in directed:
        axis, sign = _ALONG[side]
        point[axis] = sign * reach
    return point[0], point[1]


def _elsewhere(denied: Sequence[Place]) -> tuple[float, float] | None:
    """Return the middle of what denied sides leave, where that is one piece."""
    sides = [place.places[0] for place in denied if len(place.places) == 1]
    single = [one[0] for one in sides if len(one) == 1 and one[0] in _ALONG]
    if not single or len(single) < len(denied) or any(OPPOSITE[side] in single for side in single):
        return None
    return _point([OPPOSITE[side] for side in single], near=False)


def _middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return _mean([x for x, _ in points]), _mean([y for _, y in points])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
