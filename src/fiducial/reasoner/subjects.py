"""What medical questions are about: kinds of pictures and the targets in them, kept as data in ``subjects.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal

from fiducial.config import Config, option, read
from fiducial.datasets import Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import read_yaml

Moves = Literal["none", "left_right", "all"]
"""Mirrorings that keep a picture one of its kind: none, left for right, or those and all quarter turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Config):
    """Something that can be asked for in a picture."""

    name: str = option(help="what it is called, without an article", positional=True)
    plural: str = option("", "name of several; empty: by the rules of English")
    names: tuple[str, ...] = option((), "other names, used in training")
    unseen: tuple[str, ...] = option((), "other names, kept for held-out questions")
    labels: tuple[str, ...] = option((), "what datasets call it")
    full: str = option("", "its name with what it is part of, for questions about other pictures; empty: its name")
    many: bool = option(False, "its name is a plural, as of lungs")
    unique: bool = option(False, "one of a kind, always with the definite article, as the heart")
    pieces: bool = option(False, "each connected piece has a place of its own: PRS-Med's rule for lungs")

    @property
    def main_names(self) -> tuple[str, ...]:
        """Its own name and those of datasets, in lower case."""
        return tuple(word.lower() for word in (self.name, *self.labels))

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
    groups: tuple[str, ...] = option((), "PRS-Med's folders of such pictures")
    moves: Moves = option("none", "mirrorings under which it stays such a picture")
    targets: tuple[Target, ...] = option((), "what is asked for in it")

    @property
    def known_as(self) -> tuple[str, ...]:
        """Its name and those of PRS-Med's folders, in lower case."""
        return tuple(word.lower() for word in (self.name, *self.groups))


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
    """Return a known kind of picture by its name, or by that of PRS-Med's folder.

    Raises:
        UnknownNameError: there is none of that name.

    Example:
        >>> find_modality("brain_tumors_ct_scan").name  # they are MRI
        'brain MRI'
    """
    known = {called: one for one in modalities() for called in one.known_as}
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
    within = (find_modality(modality),) if modality else modalities()
    if (found := _known(target, within)) is None:
        names = [each.name for one in within for each in one.targets]
        raise UnknownNameError("target" + f" in {within[0].name}" * bool(modality), target, names)
    return found


def subject_for(target: str, modality: str = "") -> Subject:
    """Return what a name means, or, of one that is not known, a subject with that one name.

    Args:
        target: anything, in plain words.
        modality: a known kind of picture, or what such a picture is called in plain words; "" for any.

    Raises:
        InputError: a name that is no plain words, or that is known in several kinds of pictures.

    Example:
        >>> subject_for("gallstone", "CT slice").modality.pictures
        ('CT slice',)
    """
    for text, what in ((target, "target"), (modality or "picture", "kind of picture")):
        if not text.strip() or any(sign in text for sign in "{}\n\r"):
            raise InputError(f"a {what} needs a name in plain words, got {text!r}")
    named = modality.strip().lower()
    within = tuple(one for one in modalities() if not named or named in one.known_as)
    if (found := _known(target, within)) is not None:
        return found
    new = modality.strip() or "picture"
    known = within[0] if named and within else Modality(name=new, pictures=(new,))
    return Subject(known, Target(name=target.strip()))


def is_known(target: str, modality: str) -> bool:
    """Say whether a kind of picture is a known one, and has a target of that name.

    Example:
        >>> is_known("polyp", "endoscopy"), is_known("polip", "endoscopy"), is_known("polyp", "picture")
        (True, False, False)
    """
    within = [one for one in modalities() if modality.strip().lower() in one.known_as]
    return bool(within) and _known(target, within) is not None


def subject_of(sample: Sample) -> Subject:
    """Return what a sample of PRS-Med's data or of :class:`fiducial.reasoner.asking.AskedDataset` is about.

    Raises:
        InputError: its meta has no target, and no group that is one of PRS-Med's folders.
    """
    meta = sample.meta
    if "target" in meta:
        return subject_for(str(meta["target"]), str(meta.get("modality", "")))
    if "group" not in meta:
        raise InputError(f"sample {sample.id}: its meta has neither a target nor a group, only {sorted(meta)}")
    modality = find_modality(str(meta["group"]))
    return Subject(modality, modality.targets[0])


def absent_subjects(modality: Modality) -> tuple[Subject, ...]:
    """List what may be asked of such a picture and is never in it: targets of other kinds of pictures, by full names.

    Kinds that share a target with this one are left out: a CT slice of the chest shows a heart, too.
    """
    own = {target.full or target.name for target in modality.targets}
    others = [one for one in modalities() if not own & {each.full or each.name for each in one.targets}]
    return tuple(
        Subject(modality, replace(target, name=target.full or target.name, plural="", names=(), unseen=(), labels=()))
        for one in others
        for target in one.targets
    )


def _known(target: str, within: Sequence[Modality]) -> Subject | None:
    """Find a target; its own name comes before the other names of another."""
    subjects = [Subject(one, each) for one in within for each in one.targets]
    wanted = target.strip().lower()
    for found in (
        [one for one in subjects if wanted in one.target.main_names],
        [one for one in subjects if wanted in one.target.known_as],
    ):
        if len(found) > 1:
            several = ", ".join(one.modality.name for one in found)
            raise InputError(f"{target!r} is asked for in several kinds of pictures ({several}): say the modality")
        if found:
            return found[0]
    return None
