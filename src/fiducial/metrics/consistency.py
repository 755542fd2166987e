"""Consistency: whether what an answer's text states of places, counts and sizes holds for its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from fiducial.files import rounded
from fiducial.geometry import Mask, large_pieces
from fiducial.language.statements import Convention, Count, Place, Size, Statement, as_convention, read_statements
from fiducial.metrics.locations import Location

PIXELS = 2.5
"""By this factor a number of square pixels may be off: a choice is made by boxes before anything is cut."""
OCCUPIED = 0.1
"""With this share of all pixels in it, a part is occupied, whatever the middle of its mask is."""


class Verdict(StrEnum):
    """What came of checking a text against masks."""

    AGREED = "agreed"
    """Everything that the text states holds."""
    CONTRADICTED = "contradicted"
    """Something that the text states does not hold."""
    NOTHING_STATED = "nothing stated"
    """The text states nothing that masks can be checked against."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement, checked.

    Args:
        statement: what the text states.
        off: by how much it does not hold, 0 where it does: for a place a share of the picture's axis (1 where there is
            no mask at all), for a count a number of things, for a size the factor beyond what is stated.
        reason: in plain words what is off; empty where it holds.
    """

    statement: Statement
    off: float
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the statement holds."""
        return self.off == 0

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        kind = type(self.statement).__name__.lower()
        one = self.statement
        shown = {"kind": kind, "words": one.words, "start": one.start, "negated": one.negated}
        return {**shown, "holds": self.holds, "off": rounded(self.off, 4), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Consistency:
    """What came of checking a text against masks.

    Args:
        findings: each statement that could be checked, in the order of the text.
        unread: words about the patient's sides, which no convention told how to read.
    """

    findings: tuple[Finding, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Agreed, contradicted, or nothing stated."""
        if not self.findings:
            return Verdict.NOTHING_STATED
        return Verdict.CONTRADICTED if self.contradictions else Verdict.AGREED

    @property
    def contradictions(self) -> tuple[Finding, ...]:
        """The statements that do not hold."""
        return tuple(finding for finding in self.findings if not finding.holds)

    @property
    def text(self) -> str:
        """The verdict on one line, with which words are contradicted and by how much."""
        said = "; ".join(f"'{' '.join(one.statement.words.split())}': {one.reason}" for one in self.contradictions)
        note = f" (not read without a convention: {', '.join(self.unread)})" if self.unread else ""
        return f"{self.verdict.value}{f': {said}' if said else ''}{note}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        findings = [finding.as_json() for finding in self.findings]
        return {"verdict": self.verdict.value, "findings": findings, "unread": [*self.unread]}


def check_consistency(text: str, masks: Sequence[Mask], convention: Convention | str | None = None) -> Consistency:
    """Check what a text states (:func:`read_statements`) against masks.

    Borders are fuzzy, and the benefit of the doubt is the text's; the tolerances stand in :mod:`.locations` and here,
    and a test of 300 texts with their side words swapped in half measures what they are worth.

    - **Places.** A place said of every one ("they", "all 3 ships") must hold for each mask, else for one of them. Where
      a text tells several things apart, each place must hold for a mask, or for a piece of the mask where there is
      only one, or hold a tenth of all pixels. A denied place is contradicted by a mask that certainly lies there.
    - **Counts.** The number of masks with a pixel, or of the pieces of the mask where there is only one.
    - **Sizes.** A share of the picture or a number of square pixels, of any mask, of all of them, or of their boxes.

    Args:
        text: an answer in English.
        masks: what was cut, on one canvas; none where nothing was.
        convention: on which side of the picture the patient's right is; without it what is said of the patient's sides
            ("the right lung") is not checked but told as ``unread``. A :class:`Convention` or its name.

    Example:
        >>> mask = Mask.from_box((70, 10, 90, 30), height=100, width=100)
        >>> check_consistency("It lies in the upper right.", [mask]).verdict.value
        'agreed'
        >>> check_consistency("It lies on the left.", [mask]).text
        "contradicted: 'left': the mask lies 25 % of the picture too far right"
    """
    convention = as_convention(convention)
    read = read_statements(text)
    cut = [mask for mask in masks if mask]
    seen = {one: one.seen(convention) for one in read if isinstance(one, Place)}
    places = [place for place in seen.values() if place is not None]
    scene = _Scene(cut, several=len({place.group for place in places if not place.negated}) > 1)
    findings = []
    for one in read:
        if isinstance(one, Place):
            place = seen[one]
            found = None if place is None else scene.check_place(place)
        elif isinstance(one, Size):
            found = scene.check_size(one)
        else:
            found = scene.check_count(one) if isinstance(one, Count) else None
        if found is not None:
            findings.append(found)
    if scene.is_one:
        findings = _without_beside(findings)
    return Consistency(tuple(findings), tuple(one.words for one, place in seen.items() if place is None))


def _without_beside(findings: Sequence[Finding]) -> list[Finding]:
    """Leave out places beside the target: of opposite sides of one thing, all but those that hold.

    "The label is in the upper left corner; the lesion lies at the right": nobody knows which noun the mask is of.
    """
    places = [one.statement for one in findings if isinstance(one.statement, Place) and not one.statement.negated]
    groups = {place.group for place in places}
    if {place.group for place in places if place.opposed} != groups - {0}:
        return [*findings]  # the text itself tells several things apart: "one ..., the other ..."
    off = {one.statement.group for one in findings if isinstance(one.statement, Place) and not one.holds}
    return (
        [*findings]
        if off >= groups
        else [one for one in findings if one.holds or not isinstance(one.statement, Place) or one.statement.negated]
    )


class _Scene:
    """The masks of an answer, measured once; ``several`` things are told apart by the text."""

    def __init__(self, masks: Sequence[Mask], *, several: bool) -> None:
        self._masks = masks
        self._several = several
        self._whole = masks[0].union(*masks[1:]) if masks else None
        self._locations = [Location.of(mask) for mask in masks]

    @cached_property
    def is_one(self) -> bool:
        """Whether there is one mask, and that of one piece."""
        return len(self._pieces) == 1

    @cached_property
    def _pieces(self) -> list[Location]:
        """The pieces of the mask, where there is only one."""
        return [Location.of(piece) for piece in large_pieces(self._masks[0])] if len(self._masks) == 1 else []

    def check_place(self, place: Place) -> Finding:
        if self._whole is None:
            return Finding(place, 0.0) if place.negated else Finding(place, 1.0, "there is no mask")
        if place.negated:
            depths = [max(location.within(sides) for sides in place.places) for location in self._locations]
            depth = min(depths) if self._several else max(depths)
            reason = f"which is denied, holds a mask {_percent(depth)} inside"
            return Finding(place, depth, reason if depth else "")
        locations = [*self._locations, *(self._pieces if self._several else ())]
        offs = [min(location.off(sides, near=place.near) for sides in place.places) for location in locations]
        every = place.every and not self._several
        off = max(offs) if every else min(offs)
        if off and self._several and self._occupied(place):
            off = 0.0
        if not off:
            return Finding(place, 0.0)
        return Finding(place, off, _reason(place, locations[offs.index(off)], off, len(self._masks)))

    def check_count(self, count: Count) -> Finding:
        there = [len(self._masks)]
        if len(self._masks) == 1 and count.low > 1:
            there.append(len(self._pieces))
        high = max(there) if count.high is None else count.high
        off = min(max(count.low - number, number - high, 0) for number in there)
        shown = f"{there[0]} mask{'' if there[0] == 1 else 's'}"
        return Finding(count, float(off), f"there {'is' if there[0] == 1 else 'are'} {shown}" if off else "")

    def check_size(self, size: Size) -> Finding | None:
        if size.negated:
            return None
        if self._whole is None:
            return Finding(size, 1.0, "there is no mask")
        canvas = self._whole.height * self._whole.width
        boxes = [_box_area(mask) for mask in (*self._masks, self._whole)]
        areas = [*(mask.area for mask in self._masks), self._whole.area, *boxes]
        slack = PIXELS if size.pixels else 1.0
        low, high = size.low / slack, size.high * slack
        shown = [float(area) if size.pixels else area / canvas for area in areas]
        off = min(max(low / value, value / max(high, 1e-9), 1.0) for value in shown) - 1
        there = f"{shown[0]:.0f} square pixels" if size.pixels else f"{100 * shown[0]:.2g} % of the picture"
        return Finding(size, off, f"the mask covers {there}" if off else "")

    def _occupied(self, place: Place) -> bool:
        """Say whether a part that is told apart from others holds enough of all pixels."""
        assert self._whole is not None
        return any(_share(self._whole, sides) >= OCCUPIED for sides in place.places)


def _share(mask: Mask, sides: Sequence[str]) -> float:
    """Return the share of a mask's pixels in the half or quarter of the picture that sides name; 0 for the centre."""
    if not {"left", "right", "top", "bottom"} & {*sides}:
        return 0.0
    width, height = mask.width, mask.height
    x1, x2 = (0.0, width / 2) if "left" in sides else (width / 2, width) if "right" in sides else (0.0, width)
    y1, y2 = (0.0, height / 2) if "top" in sides else (height / 2, height) if "bottom" in sides else (0.0, height)
    part = Mask.from_box((x1, y1, x2, y2), height=height, width=width)
    return mask.shared_area(part) / mask.area


def _box_area(mask: Mask) -> float:
    assert mask.box is not None
    x1, y1, x2, y2 = mask.box
    return (x2 - x1) * (y2 - y1)


_TOO_FAR = {"left": "right", "right": "left", "top": "down", "bottom": "up"}


def _reason(place: Place, location: Location, off: float, count: int) -> str:
    """Say in plain words how a mask misses a place."""
    what = "the mask lies" if count == 1 else "a mask lies" if place.every else "the closest mask lies"
    for sides in place.places:
        for side in sides:
            if side in _TOO_FAR and location.off((side,)) == off:
                return f"{what} {_percent(off)} of the picture too far {_TOO_FAR[side]}"
    if any("edge" in sides for sides in place.places):
        return f"{what} {_percent(off)} of the picture too far from that edge"
    return f"{what} {_percent(off)} of the picture too far from the centre"


def _percent(share: float) -> str:
    return f"{max(1, round(100 * share))} %"
