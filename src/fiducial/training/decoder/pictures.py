"""The pictures that a decoder is trained and scored on: their targets in memory, their pixels where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fiducial.datasets import Dataset, open_dataset
from fiducial.datasets.splits import group_of, in_fraction, is_held_out, longest_edge
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.training.decoder.config import DecoderConfig
from fiducial.training.segmenter.config import Source
from fiducial.training.sources import instances_of, spelled_out


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture with its targets.

    Args:
        dataset: where it comes from.
        index: its sample's number there.
        targets: the targets' masks, at least one.
    """

    dataset: Dataset
    index: int
    targets: tuple[Mask, ...]

    def image(self) -> Image:
        """Read the picture."""
        return self.dataset[self.index].image()


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """What one source gives.

    Args:
        source: where it comes from.
        name: the source's name for reports.
        training: the pictures to train on.
        held_out: the pictures that are never trained on.
    """

    source: Source
    name: str
    training: tuple[Picture, ...]
    held_out: tuple[Picture, ...]

    def sampled(self, limit: int, seed: int) -> list[tuple[Picture, Mask]]:
        """List the held-out targets, or as many of them as the limit says, drawn by the seed."""
        found = [(picture, mask) for picture in self.held_out for mask in picture.targets]
        if len(found) <= limit:
            return found
        chosen = np.random.default_rng(seed).permutation(len(found))[:limit]
        return [found[int(number)] for number in sorted(chosen)]


def read_portions(config: DecoderConfig, data: Path) -> list[Portion]:
    """Open the datasets of a configuration and cut them; no picture is kept.

    Args:
        config: the run's configuration.
        data: the folder that ``DATA/`` stands for.

    Raises:
        InputError: a dataset cannot be opened or has no masks, two have one name, or one of the parts is empty.
    """
    portions = [_read(source, config, data) for source in config.data]
    names = [portion.name for portion in portions]
    if len({*names}) < len(names):
        raise InputError(f"data: give datasets that are called alike a name of their own: {', '.join(names)}")
    return portions


def _read(source: Source, config: DecoderConfig, data: Path) -> Portion:
    dataset = open_dataset(spelled_out(source.dataset, data))
    training, held_out, groups = [], [], set()
    for index, sample in enumerate(dataset):
        masks = tuple(mask for mask in instances_of(sample) if longest_edge(mask) >= config.least)
        if not masks:
            continue
        group = group_of(sample, source.group)
        groups.add(group)
        if is_held_out(group, source.held_out):
            held_out.append(Picture(dataset, index, masks))
        elif in_fraction(group, config.fraction):
            training.append(Picture(dataset, index, masks))
    _require_parts(source, config, groups, bool(training), bool(held_out))
    name = source.name or source.dataset.partition("?")[0].rstrip("/").rpartition("/")[2]
    return Portion(source, name, tuple(training), tuple(held_out))


def _require_parts(source: Source, config: DecoderConfig, groups: set[str], training: bool, held_out: bool) -> None:
    """Refuse a part without a target, saying which number made it empty."""
    where = source.dataset
    what = f"different {source.group!r}" if source.group else "pictures"
    if not groups:
        raise InputError(f"{where}: no target of at least {config.least:g} pixels to learn from")
    if source.scored and not held_out:
        raise InputError(
            f"{where}: held_out {source.held_out:g} of its {len(groups)} {what} holds none out, and the best weights "
            "are chosen by the held-out part: raise held_out, or set scored to false for this dataset"
        )
    if source.share and not training:
        left = sum(not is_held_out(group, source.held_out) for group in groups)
        reason = f"fraction {config.fraction:g} of the {left} {what}" if left else f"held_out {source.held_out:g}"
        raise InputError(f"{where}: {reason} leaves none to train on")
