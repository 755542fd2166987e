"""From a situation to items: the question under one reference setting, and under others that differ in one factor.

Every item's answer is worked out twice, from voxels and pixels and from coordinates in mm, and kept where both agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fiducial.errors import FiducialError
from fiducial.misground import wording
from fiducial.misground.anatomy import Anatomy
from fiducial.misground.checking import InMillimetres
from fiducial.misground.drawing import Drawer
from fiducial.misground.items import Factors, Item, Kind, Prompt
from fiducial.misground.names import is_midline, with_article
from fiducial.misground.pictures import Picture
from fiducial.misground.situations import Situation, asked_in, distance, judge

REFERENCE = "reference"
_PROMPTS: tuple[Prompt, ...] = ("none", "label", "point", "mask")
_VIEW = ("storage", {"view": "storage"})
_MARKS = [(prompt, {"prompt": prompt}) for prompt in _PROMPTS]
_BLANK = ("blank", {"background": "blank"})
_COLLOQUIAL, _DIRECTIONAL = ("colloquial", {"terms": "colloquial"}), ("directional", {"terms": "directional"})
_STACK: tuple[str, dict[str, Any]] = ("stack", {"input": "stack"})
_PLANE: tuple[str, dict[str, Any]] = ("plane", {})
VARIANTS: dict[Kind, list[tuple[str, dict[str, Any]]]] = {
    "order": [_VIEW, _STACK, *_MARKS, _BLANK, _COLLOQUIAL, _DIRECTIONAL, _PLANE],
    "relation": [_VIEW, _STACK, *_MARKS, _BLANK, _COLLOQUIAL, _DIRECTIONAL, _PLANE],
    "between": [_VIEW, *_MARKS, _COLLOQUIAL, _DIRECTIONAL],
    "position": [_VIEW, *_MARKS, _BLANK, _COLLOQUIAL, _DIRECTIONAL],
    "identity": [_VIEW, *_MARKS[2:]],
    "slice_order": [_VIEW, ("label", {"prompt": "label"}), _COLLOQUIAL],
    "unanswerable": [_VIEW, *_MARKS, _BLANK, _COLLOQUIAL],
}
"""How each kind of question is varied, one factor at a time."""
_STRAIGHT = 1.0
"""Degrees of tilt below which the two ways cannot rightly come to different answers."""


class OrientationError(FiducialError):
    """Two ways of working out one answer disagree where they must not: a mistake in orientation."""


class Phrased(NamedTuple):
    """What is asked, the options before they are shuffled, and the one that opposites lead to."""

    question: str
    options: list[str]
    flipped: int | None


class Questions:
    """Makes items of situations from one volume.

    Args:
        drawer: what it draws situations from.
        volume: the volume's name in ids and file names.
        provenance: of its labels, for every item.
    """

    def __init__(self, drawer: Drawer, volume: str, provenance: dict[str, Any]) -> None:
        self.drawer, self.volume, self.provenance = drawer, volume, provenance
        self.anatomy: Anatomy = drawer.anatomy
        known = self.anatomy.known if self.anatomy.midline is not None else ()
        midline = [label for label in known if is_midline(self.anatomy.name(label))]
        self.in_mm = InMillimetres(self.anatomy.labels, midline)
        self.dropped: Counter[str] = Counter()

    def items(self, situation: Situation, number: int) -> Iterator[tuple[Item, tuple[Picture, ...]]]:
        """Make the items of a situation, the reference first; none where that is not clear both ways."""
        asked_of_several = situation.stack or situation.kind == "slice_order"
        first = Factors(
            kind=situation.kind,
            modality=self.drawer.modality,
            plane=situation.plane,
            input="stack" if asked_of_several else "slice",
            prompt="none" if situation.kind == "slice_order" else "box",
            axis=wording.AXIS_NAMES[situation.asked[0]] if len(situation.asked) == 1 else "",
        )
        made = self._item(situation, first, f"{number:05d}-{REFERENCE}")
        if made is None:
            return
        yield made
        for name, changes in VARIANTS[situation.kind]:
            if any(getattr(first, factor) == value for factor, value in changes.items()):
                continue
            varied = self._varied(situation, name)
            if varied is None:
                continue
            factors = replace(first, plane=varied.plane, **changes)
            made = self._item(varied, factors, f"{number:05d}-{name}")
            if made is not None:
                yield made

    def _varied(self, situation: Situation, name: str) -> Situation | None:
        if name == "plane":
            return self.drawer.other_plane(situation)
        if name == "stack":
            slices = self.drawer.stack(situation.plane, situation.named)
            return replace(situation, stack=True, slices=slices)
        return situation

    def _item(self, situation: Situation, factors: Factors, name: str) -> tuple[Item, tuple[Picture, ...]] | None:
        slicing = self.anatomy.slicing(situation.plane, factors.view)
        asked = asked_in(situation, factors, slicing)
        if factors.terms == "directional" and (asked[0] in "RASLPIMT"):
            return None  # what runs through the plane is no direction of the image
        pair = situation.kind in ("order", "relation")
        if factors.background == "blank" and pair and not self.drawer.are_clear_alone(situation, situation.asked[0]):
            self.dropped["not clear from the bare marks"] += 1
            return None
        evidence = self._evidence(situation, factors, asked)
        if evidence is None:
            return None
        phrased = self._phrased(situation, factors, asked)
        bare = factors.background == "blank"
        header = wording.header(
            len(situation.slices),
            situation.plane,
            factors.modality,
            slicing.directions,
            factors.view,
            ordered=situation.stack,
            background=factors.background,
        )
        pictures = tuple(
            Picture(
                volume=self.volume,
                plane=situation.plane,
                view=factors.view,
                index=index,
                prompt=factors.prompt,
                blank=bare,
                marks=self._marks(situation, factors, index),
            )
            for index in situation.slices
        )
        flipped = None if phrased.flipped is None else situation.order.index(phrased.flipped)
        item = Item(
            id=f"{self.volume}-{name}",
            situation=situation.key(self.volume),
            factors=factors,
            question=f"{header}\n{phrased.question}",
            options=tuple(phrased.options[place] for place in situation.order),
            answer=situation.order.index(situation.right),
            flipped=flipped,
            images=tuple(picture.path for picture in pictures),
            provenance={
                **self.provenance,
                "structures": [self.anatomy.name(label) for label in (*situation.named, *situation.choices)],
                "slices": list(situation.slices),
                **evidence,
            },
        )
        return item, pictures

    def _evidence(self, situation: Situation, factors: Factors, asked: tuple[str, ...]) -> dict[str, Any] | None:
        """Work the answer out both ways; None, and a count of why, where it is not the situation's by both."""
        margin = self.drawer.margin
        first = judge(self.anatomy, situation, factors, asked, margin)
        if first != situation.right:
            self.dropped["not clear under this factor" if first is None else "another answer under this factor"] += 1
            return None
        second = self._identified(situation) if situation.kind == "identity" else None
        if situation.kind != "identity":
            second = judge(self.in_mm, situation, factors, asked, margin / 2)
        if second != situation.right:
            if second is not None and self.in_mm.tilt < _STRAIGHT:
                raise OrientationError(
                    f"{self.volume}, {situation}: the answer from voxels is {situation.right}, that from mm {second}"
                )
            self.dropped["not clear in mm"] += 1
            return None
        gaps = [distance(geometry, situation, factors, asked) for geometry in (self.anatomy, self.in_mm)]
        return (
            {} if gaps[0] is None or gaps[1] is None else {"gap_mm": [round(gap, 3) for gap in gaps if gap is not None]}
        )

    def _identified(self, situation: Situation) -> int | None:
        """Look up which structure lies in mm where the mark is."""
        index = situation.slices[0]
        section = self.anatomy.section(situation.named[0], situation.plane, index)
        slicing = self.anatomy.slicing(situation.plane)
        found = self.in_mm.label_at(slicing.pixel_to_mm(section.point, index))
        return situation.choices.index(found) if found in situation.choices else None

    def _marks(self, situation: Situation, factors: Factors, index: int) -> tuple[tuple[int, int], ...]:
        """Return the marks of one picture: structure and colour of those that it shows."""
        if factors.prompt == "none":
            return ()
        marked: Sequence[int] = (*situation.named, *(() if situation.kind == "identity" else situation.choices))
        present = self.anatomy.shown_in(situation.plane, index)
        if situation.kind == "slice_order":
            marked = sorted(
                sorted(present, key=lambda label: (present[label], label), reverse=True)[: len(wording.COLOURS)]
            )
        return tuple((label, colour) for colour, label in enumerate(marked) if label in present)

    def _phrased(self, situation: Situation, factors: Factors, asked: tuple[str, ...]) -> Phrased:
        names = [self.anatomy.name(label) for label in situation.named]
        prompt, terms = factors.prompt, factors.terms
        named = [wording.mention(name, place, prompt, factors.background) for place, name in enumerate(names)]
        plural = bool(names) and wording.needs_plural(names[0], factors.background)
        other = 1 - situation.right if situation.right < 2 else None
        kind = situation.kind
        if kind in ("order", "unanswerable"):
            cannot = f"cannot be told from {'these slices' if situation.stack else 'this slice'}"
            question = wording.order_question(asked[0], terms, named, factors.input)
            return Phrased(question, [*named, cannot], other if kind == "order" else None)
        if kind == "relation":
            return Phrased(wording.relation_question(asked[0], terms, named, plural=plural), ["yes", "no"], other)
        if kind == "slice_order":
            return Phrased(wording.slice_question(asked[0], terms), ["the first image", "the second image"], other)
        if kind == "position":
            (vertical, horizontal), opposite = asked, [wording.OPPOSITES[one] for one in asked]
            quarters = [(v, h) for v in (vertical, opposite[0]) for h in (horizontal, opposite[1])]
            options = [wording.quarter(v, h, terms) for v, h in quarters]
            return Phrased(wording.position_question(named[0], plural=plural), options, 3)
        others = [self.anatomy.name(label) for label in situation.choices]
        if kind == "identity":
            return Phrased(wording.identity_question(prompt), [with_article(name) for name in others], None)
        mentioned = [wording.mention(name, place + 2, prompt, factors.background) for place, name in enumerate(others)]
        return Phrased(wording.between_question(asked[0], terms, named), mentioned, None)
