"""Descriptions of the datasets that lie on disk: one class per name, with everything that it can be given."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fiducial.config import Config, option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.datasets.sample import Dataset

Texts = Literal["all", "first"]
_TEXTS = "all texts about one target, a sample each, or the first alone, as published evaluations ask"
_IMAGES = "folder of the pictures, from the path; empty: where they usually lie"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetConfig(Config):
    """Any dataset: what can be said of all of them."""

    kind: ClassVar[str] = "dataset"

    split: str | None = option(None, "split to read; none reads them all")
    held_out: float | None = option(
        None, "cut the dataset and keep the part held out, of about this size", minimum=0, maximum=1
    )
    group: str = option("", "key of the samples' meta that must not be cut through, such as patient; empty: by picture")
    part: Literal["held_out", "rest"] = option("held_out", "the part held out, or what the cut leaves to train on")
    objects: bool = option(False, "one sample per object: its mask, its tight box, its label as the instruction")
    min_size: float = option(0.0, "objects whose box has a shorter longest edge are left out", unit="pixels", minimum=0)

    def check(self) -> None:
        """Refuse options that say how to do what is not asked for."""
        if self.held_out is None and (self.group or self.part == "rest"):
            raise InputError("group and part say how to cut a dataset: give held_out=0.15 or the like as well")
        if self.min_size and not self.objects:
            raise InputError("min_size is the size of objects: give objects=true as well")

    def open(self) -> Dataset:
        """Open the whole dataset."""
        raise NotImplementedError

    def build(self) -> Dataset:
        """Open the dataset, cut it and take it apart into objects, as described."""
        from fiducial.datasets.splits import held_out_part, objects_in

        dataset = self.open()
        name = dataset.name
        if self.held_out is not None:
            dataset = held_out_part(dataset, held_out=self.held_out, group=self.group, part=self.part)
        return objects_in(dataset, self.min_size, name=f"{name} objects") if self.objects else dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class PathConfig(DatasetConfig):
    """A dataset in a folder or file; ``reader`` names the module and the X of its ``open_X`` and ``is_X``."""

    name: ClassVar[str]
    reader: ClassVar[str] = ""

    path: Path = option(help="the folder", positional=True)

    def open(self) -> Dataset:
        """Open the whole dataset: annotations are read, masks and pictures decoded sample by sample."""
        if not self.path.exists():
            raise InputError(f"{self.path}: no such file or folder")
        dataset: Dataset = self._function("open")(self)
        return dataset

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether an existing path is laid out so, looking at names only."""
        return bool(cls._function("is")(path))

    @classmethod
    def _function(cls, verb: str) -> Any:
        module, _, name = cls.reader.partition(".")
        return getattr(importlib.import_module(f"fiducial.datasets.{module}"), f"{verb}_{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarthReasonConfig(PathConfig):
    """EarthReason: questions about aerial pictures whose answer has to be reasoned out."""

    name: ClassVar[str] = "earthreason"
    reader: ClassVar[str] = "questions.earthreason"

    texts: Texts = option("all", _TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonSegConfig(PathConfig):
    """ReasonSeg: questions whose target is reasoned out."""

    name: ClassVar[str] = "reasonseg"
    reader: ClassVar[str] = "questions.reasonseg"

    texts: Texts = option("all", _TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrsMedConfig(PathConfig):
    """PRS-Med, MMRS, PosMed: questions about medical pictures."""

    name: ClassVar[str] = "prs-med"
    reader: ClassVar[str] = "questions.prsmed"

    path: Path = option(help="the folder of the CSV files and of the groups, or one CSV file in it", positional=True)
    root: Path | None = option(None, "the folder of the groups, where a CSV file lies elsewhere", unit="FOLDER")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefCocoConfig(PathConfig):
    """RefCOCO: short phrases about objects in COCO pictures."""

    name: ClassVar[str] = "refcoco"
    reader: ClassVar[str] = "refer.refer"

    path: Path = option(help="the folder that holds NAME/ and images/, or NAME/ itself", positional=True)
    split_by: str = option("", "which file of references, where there are several: unc, google or umd")
    texts: Texts = option("all", _TEXTS)
    images: str = option("", _IMAGES)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether NAME/ holds references and instances."""
        return bool(cls._function("is")(path, cls.name))


class RefCocoPlusConfig(RefCocoConfig):
    """RefCOCO+: phrases without words of place."""

    name: ClassVar[str] = "refcoco+"


class RefCocoGConfig(RefCocoConfig):
    """RefCOCOg: longer descriptions."""

    name: ClassVar[str] = "refcocog"


class GRefCocoConfig(RefCocoConfig):
    """gRefCOCO: phrases about one, several or no target."""

    name: ClassVar[str] = "grefcoco"


class RrsisDConfig(RefCocoConfig):
    """RRSIS-D: phrases about objects in aerial pictures."""

    name: ClassVar[str] = "rrsisd"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefSegRsConfig(PathConfig):
    """RefSegRS: phrases about aerial pictures."""

    name: ClassVar[str] = "refsegrs"
    reader: ClassVar[str] = "folder.phrases"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether the two folders and a phrase file are there."""
        return bool(cls._function("is")(path, cls.name))


class RisBenchConfig(RefSegRsConfig):
    """RISBench: phrases about aerial pictures."""

    name: ClassVar[str] = "risbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig(PathConfig):
    """A plain folder: images/, masks/ and instructions."""

    name: ClassVar[str] = "folder"
    reader: ClassVar[str] = "folder.folder"

    instruction: str = option(
        "", "what is said about every picture whose row says nothing; {NAME} stands for the row's field of that name"
    )
    image_folder: str = option("images", "folder of the pictures, from the path")
    mask_folder: str = option("masks", "folder of the mask pictures, from the path")
    mask_ending: str = option("", "what follows a picture's name in that of its mask, such as _Segmentation")
    table: Path | None = option(
        None, "the table, a .jsonl, .csv or .json file; none: the one in the folder", unit="FILE"
    )
    masks: Literal["binary", "instances"] = option(
        "binary", "what is not zero is one instance, or each number is one of its own"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoConfig(PathConfig):
    """COCO JSON: instances with polygons or run-length codes."""

    name: ClassVar[str] = "coco"
    reader: ClassVar[str] = "coco.coco"

    path: Path = option(help="the folder, or the JSON file", positional=True)
    per: Literal["category", "image"] = option(
        "category", "one sample per picture and class, whose instruction is the class, or per picture"
    )
    images: str = option("", _IMAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticConfig(CocoConfig):
    """COCO panoptic: segments of things and stuff."""

    name: ClassVar[str] = "panoptic"
    reader: ClassVar[str] = "panoptic.panoptic"

    void: Literal["background", "ignore"] = option(
        "background", "what pixels without a segment are; ignore counts as panoptic quality does"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VocConfig(PathConfig):
    """Pascal VOC: instances in palette pictures, or boxes in XML."""

    name: ClassVar[str] = "voc"
    reader: ClassVar[str] = "voc.voc"

    path: Path = option(help="the folder of the year", positional=True)
    truth: Literal["auto", "masks", "boxes"] = option(
        "auto", "read palette pictures, XML, or masks where the folder has them"
    )
