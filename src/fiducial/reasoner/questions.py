"""PRS-Med's questions and answers: what is asked of a picture, and the sentence that says where the target lies.

The rules for places are those of :mod:`fiducial.reasoner.positions`, the targets those of
:mod:`fiducial.reasoner.subjects`; the wordings stand in ``phrasings.yaml``, those held out apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

import numpy as np

from fiducial.errors import InputError
from fiducial.files import read_yaml
from fiducial.geometry import Mask, Point, centroid_of, large_pieces
from fiducial.language.phrases.lexicon import NUMBERS
from fiducial.language.phrases.nouns import in_number
from fiducial.reasoner.positions import Position, piece_positions, position_of
from fiducial.reasoner.subjects import Subject

T = TypeVar("T")
Phrasing = Literal["training", "held_out", "published"]
"""Which wordings: those trained on, others that never are, or the one form that PRS-Med published."""
Sides = Literal["image", "radiological", "neurological"]
"""Whose left and right an answer names: the picture's; or the patient's, in a picture that has the patient's right at
its left (radiological) or, as in its mirror image, at its right (neurological)."""
PHRASINGS: tuple[Phrasing, ...] = ("training", "held_out", "published")


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture with its true answer.

    Args:
        question: what is asked.
        answer: the true sentence.
        description: the picture and the target's place in one sentence (PRS-Med's column of that name).
        position: PRS-Med's label, such as ``top left``; of several places joined with ``". "``; "" where there is none.
        positions: the places that the answer states, in the picture's sides whatever the words say.
        centroid: of all the target's pixels, x, y in the centred frame; None where there is no target.
    """

    question: str
    answer: str
    description: str
    position: str
    positions: tuple[Position, ...]
    centroid: Point | None


def ask(
    masks: Sequence[Mask],
    subject: Subject,
    random: np.random.Generator,
    *,
    phrasing: Phrasing = "training",
    sides: Sides = "image",
    apart: bool = False,
) -> Question:
    """Make a question about a target and its true answer.

    What several masks show are several targets; empty ones are none. All draws are of ``random``, always as many, so
    that the words drawn do not depend on where the target lies.

    Args:
        masks: one per instance of the target; ``()`` or empty ones: it is not there.
        subject: the target and the kind of picture.
        random: for the choice of words.
        phrasing: which wordings to choose from.
        sides: whose left and right the answer names; the published form knows the picture's only.
        apart: large connected pieces of a mask are targets of their own; PRS-Med takes them for one, whose place can
            be the centre between them.

    Raises:
        InputError: the patient's sides in the published form.

    Example:
        >>> from fiducial.reasoner.subjects import find_subject
        >>> mask = Mask.from_box((60, 10, 80, 30), height=100, width=100)
        >>> ask([mask], find_subject("polyp"), np.random.default_rng(0), phrasing="published").answer
        'The polyp is marked in position top right.'
    """
    if phrasing == "published" and sides != "image":
        raise InputError("the published form names the picture's sides: take sides=image, or another phrasing")
    there = [mask for mask in masks if mask]
    pieces = subject.target.pieces and bool(there)
    if pieces:
        positions = piece_positions(there[0].union(*there[1:]))
    else:
        targets = [piece for mask in there for piece in large_pieces(mask)] if apart else there
        positions = tuple(found for mask in targets if (found := position_of(mask)) is not None)
    kind = "none" if not positions else "one" if len(positions) == 1 else "pieces" if pieces else "several"
    words = _Words(subject, len(positions), random, phrasing)
    words.add_places(positions, sides, in_pieces=kind == "pieces")
    phrases = _phrases()
    question = _drawn(phrases["questions"][phrasing], random)
    answer = _drawn(phrases["answers"][phrasing][kind], random)
    return Question(
        question=words.fill(question),
        answer=words.fill(answer),
        description=words.fill(phrases["descriptions"][kind]),
        position=position_label(positions, in_pieces=pieces),
        positions=positions,
        centroid=centroid_of(there),
    )


def position_label(positions: Sequence[Position], *, in_pieces: bool = False) -> str:
    """Return PRS-Med's label: the places joined with ``". "``, of pieces with "center" where their box crosses it.

    Example:
        >>> position_label([Position("top left", near=True), Position("top right")], in_pieces=True)
        'top left center. top right'
    """
    return ". ".join(_labels(positions, in_pieces))


def with_article(words: str) -> str:
    """Put "a" or "an" before words, by the sound of a letter where they begin with an abbreviation.

    Example:
        >>> with_article("polyp"), with_article("ultrasound image"), with_article("MR image"), with_article("CT slice")
        ('a polyp', 'an ultrasound image', 'an MR image', 'a CT slice')
    """
    spelt = words[:1].isupper() and not words[1:2].islower()
    vowel = words[:1] in "AEFHILMNORSX" if spelt else words[:1].lower() in "aeiou"
    return f"{'an' if vowel else 'a'} {words}" if words else words


def random_for(seed: int, key: str) -> np.random.Generator:
    """Return draws that depend on a seed from 0 and a name alone, such as that of a picture."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])


# -- words ----------------------------------------------------------------------------------------

_OF_ONE = {"is": "is", "it": "it", "lies": "lies", "does": "does"}
_OF_MANY = {"is": "are", "it": "they", "lies": "lie", "does": "do"}
_VERTICAL = {"top": ("upper", "top"), "bottom": ("lower", "bottom")}
_COUNTS = {number: word for word, number in reversed(NUMBERS.items())}


class _Words:
    """The words that a wording is filled with; names and places are drawn once, so that a question keeps to them."""

    def __init__(self, subject: Subject, count: int, random: np.random.Generator, phrasing: Phrasing) -> None:
        target, modality = subject.target, subject.modality
        known = {
            "training": ((target.name, *target.names), modality.pictures),
            "held_out": (target.unseen, modality.unseen),
            "published": ((target.name,), (f"{modality.name} medical image",)),
        }
        names, pictures = known[phrasing]
        name, picture = _drawn(names or (target.name,), random), _drawn(pictures or (modality.name,), random)
        several = target.plural if target.plural and name == target.name else in_number(tuple(name.split()), 2)
        alone = f"the {name}" if target.unique else name if target.many else with_article(name)
        self._random, self._phrasing = random, phrasing
        self._places: dict[str, Any] = {}
        self._words: dict[str, str] = {
            **(_OF_MANY if target.many else _OF_ONE),
            **{"target": name, "targets": name if target.many else several, "a_target": alone},
            **{"the_target": f"the {name}", "picture": picture, "a_picture": with_article(picture)},
            "count": _COUNTS.get(count, str(count)),
        }

    def add_places(self, positions: Sequence[Position], sides: Sides, *, in_pieces: bool) -> None:
        """Draw the wording of places, one for all of them, and fill it."""
        known = _phrases()["places"]["patient" if sides != "image" else self._phrasing]
        wording = {kind: _drawn(known[kind], self._random) for kind in ("quadrant", "near", "centre")}
        said = [_place(position, wording, mirrored=sides == "radiological") for position in positions]
        if in_pieces:
            places = _listed(said)
        else:
            places = _listed([f"{_COUNTS.get(count, str(count))} {place}" for place, count in Counter(said).items()])
        near = wording["near"] if positions and positions[0].near and positions[0].place != "center" else ""
        self._words |= {
            "place": said[0] if said else "",
            "places": places,
            "label": positions[0].place if positions else "",
            "labels": _listed(_labels(positions, in_pieces)),
            "near": near,
        }

    def fill(self, wording: str) -> str:
        """Return a wording with its words, beginning with a capital."""
        words = self._words | {key.capitalize(): _capital(value) for key, value in self._words.items()}
        return _capital(wording.format_map(words))


def _place(position: Position, wording: Mapping[str, str], *, mirrored: bool) -> str:
    if position.place == "center":
        return wording["centre"]
    vertical, horizontal = (position.mirrored() if mirrored else position).place.split()
    upper, top = _VERTICAL[vertical]
    near = wording["near"] if position.near else ""
    return wording["quadrant"].format(upper=upper, top=top, left=horizontal, near=near)


def _labels(positions: Sequence[Position], in_pieces: bool) -> list[str]:
    return [f"{one.place} center" if in_pieces and one.near else one.place for one in positions]


def _listed(parts: Sequence[str]) -> str:
    last = ", and " if any("," in part for part in parts) else " and "
    return last.join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _drawn(choices: Sequence[T], random: np.random.Generator) -> T:
    return choices[int(random.integers(len(choices)))]


@cache
def _phrases() -> Any:
    return read_yaml(files("fiducial.reasoner").joinpath("phrasings.yaml"), kind=dict)
