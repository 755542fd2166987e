"""Labelled volumes that questions are made of: folders, lists of files, and made phantoms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fiducial.config import Config, Text, option, read
from fiducial.errors import InputError
from fiducial.files import read_yaml
from fiducial.volumes import LabelMap, Volume, make_phantom

Truth = Literal["manual", "predicted", "made", "unknown"]
_SCANS = ("image.nii.gz", "image.nii", "dicom")
_LABELS = ("labels.nii.gz", "labels.nii", "labels.dcm")
_PHANTOM = re.compile(r"phantom(?:\?(?P<options>.*))?")


@dataclass(frozen=True, kw_only=True)
class SourceConfig(Config):
    """A scan and its labels, as files."""

    image: Path = option(help="a NIfTI file, or a folder with one DICOM series")
    labels: Path = option(help="a NIfTI file of whole numbers, or a DICOM segmentation")
    names: Path | None = option(None, "JSON with the labels' names; none: labels.json beside the labels")
    name: str = option("", "of the volume, for ids and file names; none: that of its folder")
    modality: Literal["CT", "MR"] | None = option(None, "none: what the files say")
    truth: Truth = option("unknown", "who drew the labels: manual, predicted by a model, made with the scan")
    made_by: str = option("", "who or what made the labels, such as a model's name")

    def open(self) -> Source:
        """Read the files."""
        volume = Volume.read(self.image, modality=self.modality)
        labels = LabelMap.read(self.labels, names=self.names)
        notes = list(volume.notes)
        try:
            labels.require_grid_of(volume)
        except InputError as error:
            labels = labels.resampled_to(volume)
            notes.append(f"labels brought onto the scan's grid ({error})")
        if not labels.names:
            raise InputError(f"{self.labels}: its labels have no names: give a JSON file with names")
        name = self.name or _name_of(self.image)
        return Source(name, volume, labels, self.truth, self.made_by, tuple(notes))


@dataclass(frozen=True, kw_only=True)
class PhantomConfig(Config):
    """A made torso with exact labels."""

    modality: Literal["CT", "MR"] = option("CT", "what its values are like")
    spacing: tuple[float, float, float] = option((4.0, 4.0, 5.0), "along the storage axes", unit="mm", above=0)
    axes: str = option("RAS", "how the storage axes run, three letters")
    rotation: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), "about the patient's right, anterior and superior axes: an oblique grid", unit="degrees"
    )
    seed: int = option(0, "of its shape and noise", minimum=0)

    def open(self) -> Source:
        """Make it."""
        volume, labels = make_phantom(
            modality=self.modality, spacing=self.spacing, axes=self.axes, rotation=self.rotation, seed=self.seed
        )
        turned = "" if self.rotation == (0.0, 0.0, 0.0) else "-oblique"
        name = f"phantom-{self.modality.lower()}-{self.axes.lower()}{turned}-{self.seed}"
        return Source(name, volume, labels, "made", "fiducial's phantom", volume.notes)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An opened labelled volume, and where its labels come from."""

    name: str
    volume: Volume
    labels: LabelMap
    truth: Truth
    made_by: str
    notes: tuple[str, ...] = ()

    def provenance(self) -> dict[str, Any]:
        """Return what every item says of its volume and labels."""
        return {"volume": self.name, "labels": self.truth, "labels_by": self.made_by}


def read_sources(words: Sequence[str]) -> list[SourceConfig | PhantomConfig]:
    """Read what a person names.

    Args:
        words: each a folder with ``image.nii.gz`` (or a folder ``dicom``), ``labels.nii.gz`` and ``labels.json``; a
            YAML file with a list ``volumes`` whose entries have the fields of :class:`SourceConfig`; or
            ``phantom?key=value&...`` with the fields of :class:`PhantomConfig`.

    Raises:
        InputError: something else, or files that are not there.
    """
    found: list[SourceConfig | PhantomConfig] = []
    for word in words:
        if phantom := _PHANTOM.fullmatch(word):
            pairs = [pair.partition("=") for pair in (phantom["options"] or "").split("&") if pair]
            found.append(read(PhantomConfig, {key: Text(value) for key, _, value in pairs}, word))
        elif Path(word).is_dir():
            found.append(_in_folder(Path(word)))
        elif Path(word).suffix in (".yaml", ".yml"):
            found += _in_list(Path(word))
        else:
            raise InputError(f"{word}: neither a folder of a labelled volume, a YAML list of such, nor phantom?...")
    return found


def _in_folder(folder: Path) -> SourceConfig:
    """Find the files of a folder."""
    image = next((folder / name for name in _SCANS if (folder / name).exists()), None)
    labels = next((folder / name for name in _LABELS if (folder / name).exists()), None)
    if image is None or labels is None:
        missing = f"{' or '.join(_SCANS)}" if image is None else f"{' or '.join(_LABELS)}"
        raise InputError(f"{folder}: it needs {missing}; name other files in a YAML list, with image and labels")
    return SourceConfig(image=image, labels=labels, name=folder.resolve().name)


def _in_list(path: Path) -> list[SourceConfig | PhantomConfig]:
    """Read a YAML list; paths in it are meant from its own folder."""
    entries = read_yaml(path, kind=dict).get("volumes")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: needs a list `volumes` of entries with image, labels, ...")
    found: list[SourceConfig | PhantomConfig] = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, volume {number}"
        placed = {
            key: str(path.parent / value) if key in ("image", "labels", "names") and isinstance(value, str) else value
            for key, value in entry.items()
        }
        found.append(read(SourceConfig, placed, where))
    return found


def _name_of(image: Path) -> str:
    place = image.resolve()
    known = place.name in _SCANS or place.name.startswith("image.")
    return place.parent.name if known else place.name.removesuffix(".gz").removesuffix(".nii")
