"""What medical questions are about: kinds of pictures and the targets in them, kept as data in ``subjects.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from fiducial.config import Config, option, read
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_yaml

Moves = Literal["none", "left_right", "all"]
"""Mirrorings that keep a picture one of its kind: none, left for right, or those and all quarter turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Config):
    """Something that can be asked for in a picture."""

    name: str = option(help="what it is called, without an article", positional=True)
    plural: str = option("", "name of several; empty: an s at the end")
    names: tuple[str, ...] = option((), "other names, used in training")
    unseen: tuple[str, ...] = option((), "other names, kept for held-out questions")
    labels: tuple[str, ...] = option((), "what datasets call it")
    many: bool = option(False, "its name is a plural, as of lungs")
    unique: bool = option(False, "one of a kind, always with the definite article, as the heart")
    pieces: bool = option(False, "each connected piece has a place of its own: PRS-Med's rule for lungs")

    @property
    def known_as(self) -> tuple[str, ...]:
        """Everything that it is called, in lower case."""
        return tuple(word.lower() for word in (self.name, *self.names, *self.unseen, *self.labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality(Config):
    """A kind of picture."""

    name: str = option(help="what it is called, without an article", positional=True)
    pictures: tuple[str, ...] = option((), "what a picture of it is called in training; empty: its name")
    unseen: tuple[str, ...] = option((), "what such a picture is called in held-out questions")
    moves: Moves = option("none", "mirrorings under which it stays such a picture")
    targets: tuple[Target, ...] = option((), "what is asked for in it")


@dataclass(frozen=True, slots=True)
class Subject:
    """A target in a kind of picture."""

    modality: Modality
    target: Target


@cache
def modalities() -> tuple[Modality, ...]:
    """Return the known kinds of pictures, in the order of PRS-Med's classes."""
    source = files("fiducial.reasoner").joinpath("subjects.yaml")
    return tuple(read(Modality, one, f"{source.name}, modality {n}") for n, one in enumerate(read_yaml(source), 1))


def find_modality(name: str) -> Modality:
    """Return a known kind of picture by its name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    known = {one.name.lower(): one for one in modalities()}
    if name.strip().lower() not in known:
        raise UnknownNameError("modality", name, [one.name for one in modalities()])
    return known[name.strip().lower()]


def find_subject(target: str, modality: str = "") -> Subject:
    """Return what a name means, by any of the names that people and datasets use for it.

    Args:
        target: such as ``"polyp"`` or ``"lower-grade glioma"``.
        modality: where several kinds of pictures have a target of that name.

    Raises:
        UnknownNameError: there is no such target, or no such modality.
        InputError: several modalities have one.

    Example:
        >>> find_subject("breast tumor").modality.name
        'breast ultrasound'
    """
    within = [find_modality(modality)] if modality else modalities()
    subjects = [Subject(one, each) for one in within for each in one.targets]
    wanted = target.strip().lower()
    for names in (_main_names, _all_names):  # a target's own name comes before the other names of another
        found = [one for one in subjects if wanted in names(one.target)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(one.modality.name for one in found)
            raise InputError(f"{target!r} is asked for in several kinds of pictures ({several}): say the modality")
    raise UnknownNameError(
        "target" + f" in {within[0].name}" * bool(modality), target, [one.target.name for one in subjects]
    )


def plain_subject(target: str, picture: str = "picture") -> Subject:
    """Return a subject that is not among the known ones, with one name for the target and one for its pictures."""
    for text, what in ((target, "target"), (picture, "picture")):
        if not text.strip() or any(sign in text for sign in "{}\n\r"):
            raise InputError(f"a {what} needs a name in plain words, got {text!r}")
    return Subject(Modality(name=picture.strip(), moves="none"), Target(name=target.strip()))


def _main_names(target: Target) -> Iterator[str]:
    yield target.name.lower()
    yield from (label.lower() for label in target.labels)


def _all_names(target: Target) -> Iterator[str]:
    yield from target.known_as
