"""The words of questions: directions of the patient and of the image, in three sets of terms, and what a picture shows.

A direction is a letter: of the patient L, R, P, A, I, S, and M (medial) and T (lateral, away from the middle plane);
of the image ``up``, ``down``, ``left`` and ``right``.
"""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.misground.items import Background, Prompt, Terms
from fiducial.misground.names import is_plural, with_article
from fiducial.volumes.planes import OPPOSITE, WORDS, Directions, Plane, View

OPPOSITES: dict[str, str] = {
    **OPPOSITE,
    "M": "T",
    "T": "M",
    "up": "down",
    "down": "up",
    "left": "right",
    "right": "left",
}
AXIS_NAMES = {"S": "superior-inferior", "A": "anterior-posterior", "R": "left-right", "M": "medial-lateral"}
AXIS_NAMES |= {OPPOSITES[letter]: name for letter, name in [*AXIS_NAMES.items()]}
COLOURS = ("red", "blue", "green", "yellow", "magenta")
"""Of the marks, in the order in which structures are named."""

_MORE = {
    "anatomical": {
        "S": "more superior",
        "I": "more inferior",
        "A": "more anterior",
        "P": "more posterior",
        "L": "further to the patient's left",
        "R": "further to the patient's right",
        "M": "more medial",
        "T": "more lateral",
    },
    "colloquial": {
        "S": "higher up in the body, nearer the head",
        "I": "lower down in the body, nearer the feet",
        "A": "nearer the front of the body",
        "P": "nearer the back of the body",
        "L": "nearer the patient's left-hand side",
        "R": "nearer the patient's right-hand side",
        "M": "nearer the middle of the body",
        "T": "nearer the outer side of the body",
    },
    "directional": {
        "up": "higher in the image",
        "down": "lower in the image",
        "left": "further left in the image",
        "right": "further right in the image",
    },
}
_TO = {
    "anatomical": {
        "S": "superior to {}",
        "I": "inferior to {}",
        "A": "anterior to {}",
        "P": "posterior to {}",
        "L": "to the left of {}, left being the patient's",
        "R": "to the right of {}, right being the patient's",
        "M": "medial to {}",
        "T": "lateral to {}",
    },
    "colloquial": {
        "S": "higher up in the body than {}",
        "I": "lower down in the body than {}",
        "A": "nearer the front of the body than {}",
        "P": "nearer the back of the body than {}",
        "L": "nearer the patient's left-hand side than {}",
        "R": "nearer the patient's right-hand side than {}",
        "M": "nearer the middle of the body than {}",
        "T": "nearer the outer side of the body than {}",
    },
    "directional": {
        "up": "above {} in the image",
        "down": "below {} in the image",
        "left": "to the left of {} in the image, left being the image's",
        "right": "to the right of {} in the image, right being the image's",
    },
}
_ALONG = {
    "anatomical": {
        "S": "from superior to inferior",
        "A": "from anterior to posterior",
        "R": "from the patient's right to the patient's left",
    },
    "colloquial": {
        "S": "from the head toward the feet",
        "A": "from the front of the body to its back",
        "R": "from the patient's right-hand side to the left-hand side",
    },
    "directional": {"up": "from the top of the image to its bottom", "left": "from the left of the image to its right"},
}
_QUARTERS = {
    "anatomical": {**WORDS, "L": "on the patient's left", "R": "on the patient's right"},
    "colloquial": {
        "S": "toward the head",
        "I": "toward the feet",
        "A": "toward the front of the body",
        "P": "toward the back of the body",
        "L": "on the patient's left-hand side",
        "R": "on the patient's right-hand side",
    },
    "directional": {"up": "upper", "down": "lower", "left": "left", "right": "right"},
}


def order_question(asked: str, terms: Terms, named: Sequence[str], input_: str) -> str:
    """Ask which of two structures lies further along a direction."""
    shown = "this slice alone" if input_ == "slice" else "these slices"
    return f"Going by what {shown} can show, which is {_MORE[terms][asked]}: {named[0]} or {named[1]}?"


def relation_question(asked: str, terms: Terms, named: Sequence[str], *, plural: bool) -> str:
    """Ask whether one structure lies further along a direction than another."""
    return f"{'Are' if plural else 'Is'} {named[0]} {_TO[terms][asked].format(named[1])}?"


def between_question(asked: str, terms: Terms, named: Sequence[str]) -> str:
    """Ask what lies between two structures along an axis."""
    way = _ALONG[terms].get(asked) or _ALONG[terms][OPPOSITES[asked]]
    return f"Going {way}, which of these structures lies between {named[0]} and {named[1]}?"


def position_question(named: str, *, plural: bool) -> str:
    """Ask for the quarter of the image."""
    verb, lies = ("do", "lie") if plural else ("does", "lie")
    return f"Cut the image into quarters at its middle lines: in which of them {verb} {named} {lies}?"


def quarter(vertical: str, horizontal: str, terms: Terms) -> str:
    """Name a quarter of the image by its two directions.

    Example:
        >>> quarter("A", "R", "anatomical"), quarter("up", "left", "directional")
        ("anterior, on the patient's right", 'upper left')
    """
    words = _QUARTERS[terms]
    between = " " if terms == "directional" else ", "
    return f"{words[vertical]}{between}{words[horizontal]}"


def slice_question(asked: str, terms: Terms) -> str:
    """Ask which of two slices lies further along a direction."""
    return f"Which of the two slices is {_MORE[terms][asked]}?"


def identity_question(prompt: Prompt) -> str:
    """Ask what is marked."""
    marks = {"box": "lies in the red box", "point": "lies under the red point", "mask": "is tinted red"}
    return f"Which structure {marks[prompt]}?"


def mention(name: str, place: int, prompt: Prompt, background: Background) -> str:
    """Refer to a structure: by its name, by its name and mark, or on a blank background by its mark alone."""
    if prompt in ("none", "label"):
        return with_article(name)
    mark = f"{COLOURS[place]} {'area' if prompt == 'mask' else prompt}"
    return f"the {mark}" if background == "blank" else f"{with_article(name)} ({mark})"


def needs_plural(name: str, background: Background) -> bool:
    """Tell whether what :func:`mention` returns stands in the plural."""
    return background == "image" and is_plural(name)


def orientation(directions: Directions, view: View) -> str:
    """Say how a picture is oriented.

    Example:
        >>> orientation(Directions("L", "P", "S"), "radiological")
        "in radiological view: the image's left is the patient's right, its top is anterior"
    """
    left, top = (_side(OPPOSITE[letter]) for letter in (directions.right, directions.down))
    order = "radiological view" if view == "radiological" else "the storage order of the array"
    return f"in {order}: the image's left is {left}, its top is {top}"


def header(
    count: int,
    plane: Plane,
    modality: str,
    directions: Directions,
    view: View,
    *,
    ordered: bool,
    background: Background,
) -> str:
    """Say what is shown: how many slices, of which plane and modality, how they are oriented and ordered."""
    which = orientation(directions, view)
    bare = " Only the marks are shown, without the scan." if background == "blank" else ""
    if count == 1:
        article = "An" if plane == "axial" else "A"
        return f"{article} {plane} {modality} slice {which}.{bare}"
    if not ordered:
        return f"Two {plane} {modality} slices of one patient, in no particular order, {which}."
    first, last = (_side(letter) for letter in (OPPOSITE[directions[2]], directions[2]))
    return f"{count} {plane} {modality} slices of one patient {which}. They run from {first} to {last}.{bare}"


def _side(letter: str) -> str:
    return f"the patient's {WORDS[letter]}" if letter in "LR" else WORDS[letter]
