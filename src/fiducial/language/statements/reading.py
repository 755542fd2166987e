"""Reading: a text to its statements, and the point that its places name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fiducial.language.phrases.lexicon import NUMBERS, OPPOSITE
from fiducial.language.phrases.nouns import word_set
from fiducial.language.statements.negation import denied_after, negated_words
from fiducial.language.statements.places import Found, places_in
from fiducial.language.statements.statement import Convention, Place, Statement
from fiducial.language.statements.words import Word, sentences_of

_OTHERS = word_set("one another other others second third fourth fifth remaining rest latter both only all") | (
    set(NUMBERS) - {"no", "zero"}
)
"""Words that, after a place was stated, speak of something else."""
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
    statements: list[Place] = []
    group, since, stated = 0, False, False
    for words in sentences_of(text):
        flags = negated_words(words)
        last = 0
        for found in places_in(words):
            place = _place(text, words, found, flags)
            since = since or any(word.text in _OTHERS for word in words[last : found.start])
            alternative = any(word.text == "or" for word in words[last : found.start])
            last = found.end
            if place.negated:
                statements.append(replace(place, group=group))
                continue
            mine = [other for other in statements if other.group == group and not other.negated]
            if stated and alternative and not since and statements[-1] is mine[-1]:
                joined = text[mine[-1].start : place.start + len(place.words)]
                statements[-1] = replace(mine[-1], words=joined, places=mine[-1].places + place.places)
                continue
            if stated and (since or _conflict(place, mine)):
                group += 1
            since, stated = False, True
            statements.append(replace(place, group=group))
        since = since or any(word.text in _OTHERS for word in words[last:])
    return tuple(statements)


def stated_place(text: str, convention: Convention | None = None) -> tuple[float, float] | None:
    """Return the point that a text states, in the centred frame: (-1, 1) at the top left, (1, -1) at the bottom right.

    A side is 0.5 along its axis, "near the centre" 0.25, the centre 0; what is not said is 0. Several things lie in
    the middle of their points, and so do alternatives. Where a text says only where something is *not*, the point is
    the middle of what that leaves of the axis: "not in the left half" is (0.5, 0), "not on the left" too.

    Args:
        text: an answer in English.
        convention: on which side of the picture the patient's right is; without it the patient's sides ("the right
            lung") say nothing.

    Returns:
        x, y; None where no place is stated, or only that it is not in the centre or in one of several parts.

    Example:
        >>> stated_place("The tumour is in the top right, near the center"), stated_place("two large ships")
        ((0.25, 0.25), None)
    """
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
    near = any(place.near for place in places)
    whole = [place for place in places if any(side in _ALONG for sides in place.places for side in sides)]
    if not whole:
        return 0.0, 0.0
    points = [_middle([_point(sides, near=near) for sides in place.places]) for place in whole]
    axes = zip(*points, strict=True)
    x, y = (_mean([value for value in axis if value]) for axis in axes)
    return x, y


def _place(text: str, words: Sequence[Word], found: Found, flags: Sequence[bool]) -> Place:
    start, end = words[found.start].start, words[found.end - 1].end
    denied = flags[found.start] != denied_after(words, found.start, found.end)
    return Place(text[start:end], start, denied, 0, found.places, found.near, found.patient)


def _conflict(place: Place, others: Iterable[Place]) -> bool:
    """Say whether a place cannot be that of the same thing as others: it names an opposite side."""
    named = {side for other in others for sides in other.places for side in sides}
    return any(OPPOSITE.get(side) in named for sides in place.places for side in sides)


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
