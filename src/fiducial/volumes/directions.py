"""Anatomical directions in instructions: what of them a slice's picture can show, and what is chosen in 3D.

Left and right are the patient's. A direction within the plane is said as the picture's side before a prompter is
asked; one across it, and every order ("the most superior tumour"), chooses among the things found in the volume.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from fiducial.errors import InputError
from fiducial.language.phrases.lexicon import NUMBERS
from fiducial.volumes.planes import OPPOSITE, PLANES, WORDS, Slicing

LETTER_OF = {
    **{"left": "L", "right": "R", "superior": "S", "cranial": "S", "cephalad": "S", "inferior": "I", "caudal": "I"},
    **{"anterior": "A", "ventral": "A", "posterior": "P", "dorsal": "P"},
}
"""The direction that a word names."""

SORTED = {"medial": "medial", "lateral": "lateral", "largest": "largest", "biggest": "largest", "smallest": "smallest"}
"""Orders that are no directions: by the distance to the midline, and by volume."""

_D = rf"(?P<way>{'|'.join(LETTER_OF)})"
_END = r"(?![\w-])"
_NAMED = re.compile(
    r"\b(?:(?:superior|inferior)\s+(?:vena\s+cava|mesenteric|sagittal\s+sinus|colliculus|olive)|"
    r"(?:anterior|posterior)\s+(?:cruciate|communicating|cerebral|commissure|cingulate|fossa|horn)|"
    r"(?:left|right)\s+(?:atrium|ventricle|coronary)|(?:superior|middle|inferior)\s+\w+\s+(?:gyrus|sulcus|artery|vein))\b"
)
"""Names in which a direction is no place in the scan."""
_OF_PICTURE = re.compile(
    rf"\b(?:left|right)(?:\s+(?:half|side|part|third|edge|border))?\s+of\s+the\s+(?:image|picture|slice)s?{_END}"
)
_SIDED = re.compile(r"\b(?P<side>left|right)-?\s?(?:sided|hand)\s+")
_PATIENTS = re.compile(r"\b(?P<the>the\s+)?patient['’]s\s+(?=left\b|right\b)")
_ORDER = re.compile(
    r"^(?P<verb>(?:please\s+)?(?:(?:segment|find|mark|show|outline|mask)\s+)?)(?:the\s+)?"
    rf"(?:(?P<count>\d{{1,2}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})\s+)?"
    rf"(?:most\s+(?P<after>{'|'.join(LETTER_OF)}|medial|lateral)|"
    rf"(?P<before>{'|'.join(LETTER_OF)}|medial|lateral)[\s-]?most|(?P<size>largest|biggest|smallest))\s+(?=\w)"
)
_ANY_ORDER = re.compile(rf"\bmost\s+(?:{'|'.join(LETTER_OF)}){_END}|\b(?:{'|'.join(LETTER_OF)})[\s-]?most{_END}")
_RELATION = re.compile(
    r"\b(?:(?:to|on)\s+the\s+)?(?P<side>left|right)\s+of\b"
    rf"|\b(?P<way>{'|'.join(word for word in LETTER_OF if word not in ('left', 'right'))})\s+to\b"
)
_PLACE = r"(?P<part>half|side|part|third|region|portion|aspect|end)"
_PART_OF = re.compile(rf"\b{_D}\s+{_PLACE}\s+of\b")
_REGION = re.compile(
    rf"\b(?:in|on|at|to|towards?|from)\s+(?:the\s+)?{_D}(?:\s+{_PLACE})?(?=\s*(?:$|,|and\b|or\b|but\b|except\b|that\b))"
)
_ADJECTIVE = re.compile(
    rf"\b{_D}\s+(?P<noun>(?!(?:of|in|on|at|to|from|and|or|but|near|with)\b)[\w-]+"
    r"(?:\s+(?!(?:in|on|at|of|near|to|from|above|below|beside|between|with|without|within|that|which|is|and|or|but|"
    r"except|around)\b)[\w-]+)*)"
)
_PICTURES_OWN = re.compile(
    r"\b(upper|lower|top|bottom|topmost|bottommost|uppermost|lowest|highest|above|below|under|higher)\b"
)
_SEVERAL = re.compile(r"\b(?:and|or|but|except|without)\b|,")
_HALF = {"left": "left", "right": "right", "top": "upper", "bottom": "lower"}
_BESIDE = {"left": "to the left of", "right": "to the right of", "top": "above", "bottom": "below"}


@dataclass(frozen=True, slots=True)
class Order:
    """An order among things of the volume, of which the first ``count`` are kept."""

    towards: str
    """a letter L, R, P, A, I or S, or ``medial``, ``lateral``, ``largest`` or ``smallest``"""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    """An instruction as a slice's prompter is asked it, and what is chosen afterwards.

    Args:
        text: for the prompter.
        orders: which of the things found are kept, in this order.
        sides: letters of the halves of the scanned body, across the plane, in which things have to lie.
        notes: what was understood and done, for people.
    """

    text: str
    orders: tuple[Order, ...] = ()
    sides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    slicing: Slicing
    orders: list[Order] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def side(self, letter: str) -> str | None:
        """Return the picture's side that lies towards a direction, None where it runs across the plane."""
        right, down, _ = self.slicing.directions
        sides = {right: "right", OPPOSITE[right]: "left", down: "bottom", OPPOSITE[down]: "top"}
        return sides.get(letter)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def said(self, letter: str, side: str) -> None:
        whose = "the patient's" if letter in "LR" else "anatomical"
        self.note(f"{WORDS[letter]} is {whose}: the picture's {side} in these {self.slicing.plane} slices")

    def across(self, letter: str, words: str) -> None:
        if _SEVERAL.search(words):
            raise InputError(
                f"{WORDS[letter]!r} runs across {self.slicing.plane} slices and is said of one thing among several: "
                "ask for one at a time, or take another plane"
            )
        self.sides.append(letter)
        whose = "the patient's " if letter in "LR" else ""
        self.note(f"{whose}{WORDS[letter]} runs across {self.slicing.plane} slices: chosen in 3D among what was found")

    def keep(self, words: str) -> str:
        """Return a sign that stands for words which no later step may read again."""
        self.kept.append(words)
        return f"\0{len(self.kept) - 1}\0"


def translate(text: str, slicing: Slicing) -> Question:
    """Say an instruction about a volume as one about its slices' pictures.

    Args:
        text: the instruction.
        slicing: plane and view of the pictures.

    Raises:
        InputError: a relation across the plane ("superior to" in axial slices), which no slice can show, or an order
            that does not stand in front.

    Example:
        >>> import numpy as np
        >>> translate("the left kidney", Slicing((9, 9, 9), np.eye(4), "axial")).text
        'the kidney in the right half of the picture'
        >>> translate("the most superior tumour", Slicing((9, 9, 9), np.eye(4), "axial")).orders
        (Order(towards='S', count=1),)
    """
    draft = _Draft(slicing)
    words = " ".join(text.split())
    for pattern in (_OF_PICTURE, _NAMED):
        words = _replaced(pattern, lambda found: draft.keep(found[0]), words)
    words = _replaced(_PATIENTS, lambda found: found["the"] or "", words)
    words = _replaced(_SIDED, lambda found: f"{found['side']} ", words)
    steps: tuple[tuple[re.Pattern[str], Callable[[_Draft, re.Match[str]], str]], ...] = (
        (_ORDER, _order),
        (_ANY_ORDER, _misplaced),
        (_RELATION, _relation),
        (_PART_OF, _part),
        (_REGION, _region),
        (_ADJECTIVE, _adjective),
    )
    for pattern, meaning in steps:
        before = ""
        while before != words:  # "left posterior" takes two turns
            before, words = words, _replaced(pattern, partial(meaning, draft), words)
    if left := re.search(rf"\b(?:{'|'.join(LETTER_OF)})\b", words, flags=re.IGNORECASE):
        raise InputError(
            f"'{left[0]}' is not understood where it stands in {text!r}: write it as in 'the left kidney', "
            "'on the left', 'left of the spine' or 'the most superior tumour'; 'on the left of the picture' is the "
            "picture's own"
        )
    for found in re.finditer(_PICTURES_OWN.pattern, words, flags=re.IGNORECASE):
        draft.note(f"'{found[0]}' was read of the picture, whose top is {WORDS[OPPOSITE[slicing.directions.down]]}")
    words = re.sub("\0(\\d+)\0", lambda found: draft.kept[int(found[1])], words)
    return Question(" ".join(words.split()), tuple(draft.orders), tuple(draft.sides), tuple(draft.notes))


def _order(draft: _Draft, found: re.Match[str]) -> str:
    word, said = (found["after"] or found["before"] or found["size"]).lower(), found["count"]
    count = 1 if said is None else int(said) if said.isdigit() else NUMBERS[said.lower()]
    towards = LETTER_OF[word] if word in LETTER_OF else SORTED[word]
    draft.orders.append(Order(towards, max(1, count)))
    how = "by volume" if found["size"] else "by the patient's directions"
    draft.note(
        f"'{' '.join(found[0][len(found['verb']) :].split())}' was chosen in 3D, {how}, among all that was found"
    )
    return f"{found['verb']}{'every' if said is None else 'all'} "


def _misplaced(draft: _Draft, found: re.Match[str]) -> str:
    raise InputError(
        f"'{found[0]}' is an order among things of the volume: put it in front, as in 'the most superior tumour'"
    )


def _relation(draft: _Draft, found: re.Match[str]) -> str:
    word = (found["side"] or found["way"]).lower()
    letter = LETTER_OF[word]
    side = draft.side(letter)
    if side is None:
        others = [p for p in PLANES if _Draft(_in(draft.slicing, p)).side(letter)]
        raise InputError(
            f"'{found[0]}' runs across {draft.slicing.plane} slices, so none of them shows it: "
            f"take --plane {' or '.join(others)}"
        )
    draft.said(letter, side)
    return draft.keep(_BESIDE[side])


def _part(draft: _Draft, found: re.Match[str]) -> str:
    letter = LETTER_OF[found["way"].lower()]
    side = draft.side(letter)
    if side is None:
        raise InputError(f"'{found[0]}' a thing runs across {draft.slicing.plane} slices: take another plane")
    draft.said(letter, side)
    return draft.keep(f"{_HALF[side]} {found['part']} of")


def _region(draft: _Draft, found: re.Match[str]) -> str:
    """Say a side as a half of the picture; "" where it runs across the slices, and chooses among things in 3D."""
    letter = LETTER_OF[found["way"].lower()]
    side = draft.side(letter)
    if side is None:
        draft.across(letter, found.string)
        return ""
    draft.said(letter, side)
    return draft.keep(f"in the {_HALF[side]} half of the picture")


def _adjective(draft: _Draft, found: re.Match[str]) -> str:
    return f"{found['noun']} {_region(draft, found)}".rstrip()


def _replaced(pattern: re.Pattern[str], meaning: Callable[[re.Match[str]], str], words: str) -> str:
    return re.sub(pattern.pattern, meaning, words, flags=re.IGNORECASE)


def _in(slicing: Slicing, plane: str) -> Slicing:
    return Slicing(slicing.shape, slicing.affine, plane, slicing.view)  # type: ignore[arg-type]
