"""Kinds of pictures in words. What can be asked for is looked for in the pictures of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.language.phrases.nouns import word_set


@dataclass(frozen=True, slots=True)
class Words:
    """What a kind of picture is called: one of them, where things are looked for, and what all of it shows.

    ``whole`` are words that tell nothing apart in such a picture: each tumour of a brain scan is "in the brain".
    """

    one: str
    within: str
    whole: frozenset[str] = frozenset()


KINDS = {
    "aerial": Words("a picture taken from the air", "in aerial pictures"),
    "brain": Words(
        "an axial FLAIR scan of a brain",
        "in brain scans",
        word_set("brain head skull patient cerebral cranial intracranial"),
    ),
    "shapes": Words("a drawing of shapes", "in drawings"),
    "endoscopy": Words(
        "a picture of an endoscope",
        "in pictures of an endoscope",
        word_set(
            "colon bowel gut intestine large rectum patient colonic colorectal intestinal rectal wall lining mucosa"
        ),
    ),
    "ultrasound": Words("an ultrasound picture", "in ultrasound pictures of a breast", word_set("breast patient")),
    "skin": Words("a close picture of skin", "in close pictures of skin", word_set("skin patient cutaneous")),
    "xray": Words("an X-ray of a chest", "in X-rays of a chest", word_set("chest thorax thoracic patient")),
    "fundus": Words("a picture of a retina", "in pictures of the retina"),
    "photo": Words("an everyday photograph", "in photographs"),
    "ct": Words("a slice of a CT", "in slices of a CT"),
    "mri": Words("an MR picture of another contrast, plane or part of the body", "in other MR pictures"),
}
"""By the name that a kind has in the vocabulary and in the weights."""


def within(kind: str) -> str:
    """Say where things of a kind of picture are looked for.

    Example:
        >>> within("aerial"), within("bathymetry")
        ('in aerial pictures', 'in pictures of the kind bathymetry')
    """
    return KINDS[kind].within if kind in KINDS else f"in pictures of the kind {kind}"


def listed(some: Sequence[str]) -> str:
    """Join words: a, b and c.

    Example:
        >>> listed(["ship"]), listed(["ship", "car", "bridge"])
        ('ship', 'ship, car and bridge')
    """
    return " and ".join(filter(None, [", ".join(some[:-1]), *some[-1:]]))
