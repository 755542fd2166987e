"""Items of the benchmark: one question each, with its factors, options, answer, pictures and where it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fiducial.errors import InputError
from fiducial.files import parse_json, read_json_lines
from fiducial.volumes.planes import Plane, View

ITEMS = "metadata.jsonl"
"""The file of the items, named as the image folders of Hugging Face ``datasets`` want it."""
CARD = "build.json"
IMAGES = "images"

Modality = Literal["CT", "MR"]
Input = Literal["slice", "stack"]
Prompt = Literal["none", "label", "box", "point", "mask"]
Background = Literal["image", "blank"]
Terms = Literal["anatomical", "directional", "colloquial"]
Kind = Literal["order", "relation", "between", "position", "identity", "slice_order", "unanswerable"]

KINDS: Mapping[Kind, str] = {
    "order": "which of two structures is more superior, more anterior, ...",
    "relation": "is one structure superior to, to the right of, ... another: yes or no",
    "between": "which structure lies between two others",
    "position": "in which quarter of the image a structure lies",
    "identity": "which structure is marked",
    "slice_order": "which of two slices is nearer the head, the front, ...",
    "unanswerable": "an order through the plane of a single slice, which it cannot show",
}
"""The kinds of question, and what each asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """What is controlled: two items that differ in one of these alone tell what it does.

    Args:
        kind: of question.
        modality: of the scan.
        plane: direction of the slices.
        view: coordinate system: ``radiological`` viewing order, or the ``storage`` order of the array.
        input: a single 2D slice, or a stack of slices in order.
        prompt: what is drawn: nothing, names, boxes, points or masks.
        background: the scan, or ``blank``: the bare marks alone.
        terms: ``anatomical`` (superior), ``directional`` (above, in the image), ``colloquial`` (higher up).
        axis: what is asked along: superior-inferior, anterior-posterior, left-right, medial-lateral, or both axes of
            the image.
    """

    kind: Kind
    modality: Modality
    plane: Plane
    view: View = "radiological"
    input: Input = "slice"
    prompt: Prompt = "box"
    background: Background = "image"
    terms: Terms = "anatomical"
    axis: str = ""


FACTORS = tuple(each.name for each in fields(Factors))


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question with its exact answer.

    Args:
        id: unlike that of any other item of the benchmark.
        situation: names what is asked about whom; items of one situation are the same question under other factors.
        question: what is asked, how the image is oriented included, without the options.
        options: the answers to choose from.
        answer: place of the right one, from 0.
        flipped: place of the option that an exchange of opposites (superior and inferior) leads to; None where it
            changes nothing.
        images: paths of the pictures below the benchmark's folder, in order.
        provenance: volume, labels and who made them, slices, what the answer was worked out from, in mm.
    """

    id: str
    situation: str
    factors: Factors
    question: str
    options: tuple[str, ...]
    answer: int
    flipped: int | None = None
    images: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = [self.answer] if self.flipped is None else [self.answer, self.flipped]
        if len(set(self.options)) < len(self.options) or not all(0 <= place < len(self.options) for place in places):
            raise InputError(f"{self.id}: needs different options and an answer among them, got {self.options}")

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return letter(self.answer)

    @property
    def text(self) -> str:
        """Everything that a model is told: the question, the options with their letters, how to answer."""
        listed = "\n".join(f"{letter(place)}. {option}" for place, option in enumerate(self.options))
        return f"{self.question}\n{listed}\nAnswer with the letter of one option and nothing else."

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked and what is right; pictures are named by what they show."""
        return hashlib.sha256(json.dumps([self.text, self.answer, self.images]).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return plain values: one line of the benchmark's file, its columns those of a ``datasets`` image folder."""
        return {
            "images_file_names": list(self.images),
            "id": self.id,
            "situation": self.situation,
            **asdict(self.factors),
            "question": self.question,
            "options": list(self.options),
            "answer": self.letter,
            "answer_text": self.options[self.answer],
            "flipped": "" if self.flipped is None else letter(self.flipped),
            "prompt_text": self.text,
            "provenance": json.dumps(dict(self.provenance), ensure_ascii=False, allow_nan=False),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str) -> Item:
        """Read what :meth:`as_json` returned; an InputError that begins with ``where`` for anything else."""
        try:
            flipped = values["flipped"]
            return cls(
                id=values["id"],
                situation=values["situation"],
                factors=Factors(**{name: values[name] for name in FACTORS}),
                question=values["question"],
                options=tuple(values["options"]),
                answer=_place(values["answer"]),
                flipped=_place(flipped) if flipped else None,
                images=tuple(values["images_file_names"]),
                provenance=parse_json(values["provenance"], f"{where}, provenance"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: not an item of `fiducial misground build` ({error!r})") from None


def letter(place: int) -> str:
    """Return the letter of an option: A for 0."""
    return chr(ord("A") + place)


def _place(shown: str) -> int:
    if len(shown) != 1 or not "A" <= shown <= "Z":
        raise ValueError(f"{shown!r} is no letter of an option")
    return ord(shown) - ord("A")


def read_items(folder: str | Path) -> list[Item]:
    """Read the items of a benchmark's folder.

    Raises:
        InputError: it is no such folder, or an item makes no sense or has the id of another.
    """
    path = Path(folder) / ITEMS
    if not path.is_file():
        raise InputError(f"{folder}: no benchmark: it has no {ITEMS}; make one with `fiducial misground build`")
    items = [Item.from_json(values, f"{path}, line {number}") for number, values in read_json_lines(path)]
    if not items:
        raise InputError(f"{path}: holds no item")
    if len({item.id for item in items}) < len(items):
        raise InputError(f"{path}: two items have the same id: was the file edited?")
    return items


def item_lines(items: Sequence[Item]) -> str:
    """Write items as JSON Lines."""
    return "".join(json.dumps(item.as_json(), ensure_ascii=False, allow_nan=False) + "\n" for item in items)
