"""What a mask decoder learns from: pictures whose targets lie in memory, and their embeddings on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fiducial.contracts import Embedding
from fiducial.datasets import Dataset, open_dataset
from fiducial.datasets.splits import group_of, in_fraction, is_held_out
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.segmenters.cache import CachedSegmenter
from fiducial.segmenters.sam import SamSegmenter
from fiducial.training.configs import DecoderConfig, Source
from fiducial.training.sources import expand_data_folder, instances_of, subset


@dataclass(frozen=True, slots=True, eq=False)
class DecoderPicture:
    """A sample of a dataset, by its index there, with the masks of its targets, at least one."""

    dataset: Dataset
    index: int
    targets: tuple[Mask, ...]

    def image(self) -> Image:
        """Read the picture."""
        return self.dataset[self.index].image()


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """What one source gives: pictures to train on, and those that are never trained on."""

    source: Source
    training: tuple[DecoderPicture, ...]
    held_out: tuple[DecoderPicture, ...]

    def sampled(self, config: DecoderConfig) -> list[tuple[DecoderPicture, Mask]]:
        """List the held-out targets, or as many of them as ``eval_limit`` says, drawn by the seed."""
        every = [(picture, mask) for picture in self.held_out for mask in picture.targets]
        return subset(every, config.eval_limit, config.seed)


def read_portions(config: DecoderConfig, data: Path) -> list[Portion]:
    """Open the datasets of a configuration, in the data folder, and cut them; no picture is kept.

    Raises:
        InputError: a dataset cannot be opened or has no masks, two have one name, or one of the parts is empty.
    """
    portions = [_read(source, config, data) for source in config.data]
    names = [portion.source.title for portion in portions]
    if len({*names}) < len(names):
        raise InputError(f"data: give datasets that are called alike a name of their own: {', '.join(names)}")
    return portions


def _read(source: Source, config: DecoderConfig, data: Path) -> Portion:
    dataset = open_dataset(expand_data_folder(source.dataset, data))
    training, held_out, groups = [], [], set()
    for index, sample in enumerate(dataset):
        masks = instances_of(sample, config.min_size)
        if not masks:
            continue
        group, picture = group_of(sample, source.group), DecoderPicture(dataset, index, tuple(masks))
        groups.add(group)
        if is_held_out(group, source.held_out):
            held_out.append(picture)
        elif in_fraction(group, config.fraction):
            training.append(picture)
    _require_parts(source, config, groups, bool(training), bool(held_out))
    return Portion(source, tuple(training), tuple(held_out))


def _require_parts(source: Source, config: DecoderConfig, groups: set[str], training: bool, held_out: bool) -> None:
    """Refuse a part without a target, saying which number made it empty."""
    where = source.dataset
    what = f"different {source.group!r}" if source.group else "pictures"
    if not groups:
        raise InputError(f"{where}: no target of at least {config.min_size:g} pixels to learn from")
    if source.scored and not held_out:
        raise InputError(
            f"{where}: held_out {source.held_out:g} of its {len(groups)} {what} holds none out, and the best weights "
            "are chosen by the held-out part: raise held_out, or set scored to false for this dataset"
        )
    if source.share and not training:
        left = sum(not is_held_out(group, source.held_out) for group in groups)
        reason = f"fraction {config.fraction:g} of the {left} {what}" if left else f"held_out {source.held_out:g}"
        raise InputError(f"{where}: {reason} leaves none to train on")


class Embeddings:
    """Embeddings by picture, kept in a folder; in memory are a key per picture and the one that is asked for.

    The segmenter computes them; its fingerprint is that of the encoder alone.
    """

    def __init__(self, segmenter: SamSegmenter, folder: str | Path) -> None:
        self.segmenter = CachedSegmenter(segmenter, folder, max_bytes=None)
        self._key_of = segmenter.embedding_key
        self._keys: dict[DecoderPicture, str] = {}

    def prepare(self, pictures: Iterable[DecoderPicture]) -> Iterator[int]:
        """Compute what is not kept yet, and yield the number of pictures done after each that had to be computed."""
        for done, picture in enumerate(pictures, start=1):
            image = picture.image()
            key = self._keys[picture] = self._key_of(image)
            if key not in self.segmenter.cache:
                self.segmenter.encode(image)
                yield done

    def __getitem__(self, picture: DecoderPicture) -> Embedding:
        """Return the embedding of a picture, from the disk when it is there."""
        key = self._keys.get(picture)
        kept = None if key is None else self.segmenter.cache.get(key)
        return self.segmenter.encode(picture.image()) if kept is None else kept
