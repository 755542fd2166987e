"""What the judge of kinds learns from: small pictures with their kinds, and what makes them as various as those met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.datasets.splits import is_held_out
from fiducial.errors import InputError
from fiducial.files import read_json
from fiducial.images import list_images, read_image
from fiducial.prompters.kinds.judge import SIDE, network_input, stretched
from fiducial.synthetic.scenes import STYLES, SceneDataset
from fiducial.synthetic.strangers import STRANGERS, draw_stranger
from fiducial.training.kinds_configs import KindsConfig, KindSource
from fiducial.training.sources import expand_data_folder, recoloured
from fiducial.training.trainer import StepBatches

Pixels = NDArray[np.uint8]
Batch = tuple[Tensor, Tensor]
"""Pictures (B, 3, 128, 128) about 0, and which kind each is of, (B, K) of 0 and 1."""
KEPT = 224
"""Longest edge at which pictures are kept in memory, in pixels."""
NEIGHBOURS = 8
"""So many slices of a volume that lie together are one group."""
_DARK = 18
_TILES = 4


@dataclass(slots=True)
class Store:
    """The pictures of one source by part: those to learn from, to choose by, and to report on."""

    source: KindSource
    train: list[Pixels]
    validation: list[Pixels]
    test: list[Pixels]


def read_store(source: KindSource, data: Path, seed: int) -> Store:
    """Read a source's pictures, made small, into memory.

    Raises:
        InputError: a folder or file that cannot be read, or a style that is not made.
    """
    store = Store(source, [], [], [])
    for pixels, group in _pictures(source, data, seed):
        scale = KEPT / max(pixels.shape[:2])
        if scale < 1:
            size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        if is_held_out(group, source.test, "test"):
            store.test.append(pixels)
        elif is_held_out(group, source.validation, "validation"):
            store.validation.append(pixels)
        else:
            store.train.append(pixels)
    if source.share and source.test + source.validation < 1 and not store.train:
        raise InputError(f"{source.path}: no picture is left to learn from")
    return store


def _pictures(source: KindSource, data: Path, seed: int) -> Iterator[tuple[Pixels, str]]:
    """Yield (H, W, 3) pictures, each with its group."""
    form, _, style = source.path.partition(":")
    if form == "made" and style in STRANGERS:
        yield from ((draw_stranger(style, seed + 1000 * number), str(number)) for number in range(source.count))
    elif form == "made" and style in STYLES:
        scenes = SceneDataset(style, source.count, seed=seed)
        yield from ((scenes.scene(number).image.pixels, str(number)) for number in range(source.count))
    elif form == "made":
        known = ", ".join((*STYLES, *STRANGERS))
        raise InputError(f"{source.path}: made are {known}")
    elif source.path.endswith((".nii", ".nii.gz")):
        yield from _slices(source, expand_data_folder(source.path, data))
    else:
        folder = Path(expand_data_folder(source.path, data))
        groups = _groups(folder, source.group) if source.group else {}
        for path in list_images([folder]):
            if source.group and path.name not in groups:
                raise InputError(f"{folder.parent / 'manifest.json'}: says no {source.group} of {path.name}")
            yield read_image(path).pixels, groups.get(path.name, path.name)


def _groups(folder: Path, key: str) -> dict[str, str]:
    """Read the group of each picture out of the manifest beside a folder of pictures."""
    rows = read_json(folder.parent / "manifest.json", kind=list)
    return {Path(row["image"]).name: str(row[key]) for row in rows if key in row}


def _slices(source: KindSource, path: str) -> Iterator[tuple[Pixels, str]]:
    """Yield the middle four fifths of a volume's slices in each plane, with square pixels."""
    from fiducial.volumes.viewing import Viewer
    from fiducial.volumes.volume import Volume

    volume = Volume.read(path, modality="")
    window = source.window or volume.window()
    for plane in source.planes:
        viewer = Viewer(volume, volume.slicing(plane), window)  # type: ignore[arg-type]
        count = viewer.slicing.count
        for index in range(count // 10, count - count // 10, source.every):
            if not viewer.is_blank(index):
                yield viewer.picture(index).pixels, f"{plane} {index // NEIGHBOURS}"


# -- variety ----------------------------------------------------------------------------------------------


def varied(pixels: Pixels, source: KindSource, random: np.random.Generator) -> tuple[NDArray[Any], str]:
    """Change a picture as other people's of its kind differ; returns (128, 128, 3) in 0..255 and the kind it is then.

    A part of it, mirrored, turned, seen coarsely, saved as JPEG, recoloured; a channel alone, a head without its skull.
    """
    kind, single = source.kind, False
    if source.channels and random.random() < 0.6:
        channel = int(random.choice(3, p=(0.25, 0.5, 0.25)))
        # where a sequence is missing, another stands in its place: what it shows decides
        alike = np.abs(pixels[..., channel].astype(int) - pixels[..., 1]).mean() < 2
        kind, single = source.channels[1 if alike else channel], True
        pixels = np.repeat(pixels[..., channel : channel + 1], 3, axis=2)
    if source.skull and random.random() < 0.35:
        pixels = without_skull(pixels, random)
    if source.skull and random.random() < 0.3:
        edge = int(random.integers(0, 45))
        pixels = np.asarray(cv2.copyMakeBorder(pixels, edge, edge, edge, edge, cv2.BORDER_CONSTANT), np.uint8)
    pixels = _part(pixels, source.part, random)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    if source.quarter_turns:
        pixels = np.rot90(pixels, int(random.integers(4)))
    if random.random() < 0.2:
        scale = random.uniform(0.3, 1)
        size = (max(8, round(pixels.shape[1] * scale)), max(8, round(pixels.shape[0] * scale)))
        pixels = np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA), np.uint8)
    small = stretched(pixels)
    if random.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 95))]
        small = np.asarray(cv2.imdecode(cv2.imencode(".jpg", small, quality)[1], cv2.IMREAD_COLOR))
    values = small.astype(np.float32)
    if random.random() < 0.5:
        values = (values - 127) * random.uniform(0.6, 1.5) + 127 + random.uniform(-35, 35)
    values = np.clip(values, 0, 255)
    grey = single or bool(np.ptp(values, axis=2).max() == 0)
    values = recoloured(values, random)
    return (np.repeat(values.mean(axis=2, keepdims=True), 3, axis=2) if grey else values), kind


def _part(pixels: Pixels, least: float, random: np.random.Generator) -> Pixels:
    """Take a part of a picture at a place of its own."""
    height, width = pixels.shape[:2]
    side = random.uniform(least, 1) if random.random() < 0.7 else 1.0
    high = max(8, round(height * side))
    wide = max(8, round(width * min(1.0, side * random.uniform(0.85, 1.15))))
    top, left = int(random.integers(0, max(1, height - high + 1))), int(random.integers(0, max(1, width - wide + 1)))
    return pixels[top : top + high, left : left + wide]


def without_skull(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Blacken the rim of a head (H, W, 3) before black, about as what takes skulls off does; else as it is."""
    bright = cv2.GaussianBlur(pixels.mean(axis=2).astype(np.float32), (0, 0), 1) > _DARK
    count, labels, figures, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    if count < 2 or bright.mean() < 0.03:
        return pixels
    largest = 1 + int(np.argmax(figures[1:, cv2.CC_STAT_AREA]))
    corners = cv2.convexHull(np.argwhere(labels == largest)[:, ::-1].astype(np.int32))
    head = np.zeros(bright.shape, np.uint8)
    cv2.fillConvexPoly(head, corners, 1)
    rim = max(1, int(max(figures[largest, cv2.CC_STAT_WIDTH : cv2.CC_STAT_AREA]) * random.uniform(0.04, 0.12)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    inside = cv2.erode(head, disc, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(pixels * inside[..., None], np.uint8)


def shuffled(values: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Put the 16 tiles of a picture (128, 128, 3) together in another order."""
    side = SIDE // _TILES
    tiles = values.reshape(_TILES, side, _TILES, side, 3).swapaxes(1, 2).reshape(_TILES**2, side, side, 3)
    tiles = tiles[random.permutation(_TILES**2)].reshape(_TILES, _TILES, side, side, 3)
    return np.asarray(tiles.swapaxes(1, 2).reshape(values.shape))


# -- batches ----------------------------------------------------------------------------------------------


class KindBatches(StepBatches[Batch]):
    """The batch of each step; the stores are in the order of ``config.data``."""

    def __init__(self, config: KindsConfig, stores: Sequence[Store]) -> None:
        super().__init__(config.steps, config.num_workers)
        self._config, self._stores = config, stores
        weights = [one.source.share if one.train else 0.0 for one in stores]
        self._shares = [one / sum(weights) for one in weights]

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)
        pictures, truths = [], []
        for index in range(self._config.batch_size):
            random = np.random.default_rng([self._config.seed, step, index])
            store = self._stores[int(random.choice(len(self._stores), p=self._shares))]
            values, kind = varied(store.train[int(random.integers(len(store.train)))], store.source, random)
            if random.random() < self._config.shuffled:
                values, kind = shuffled(values, random), ""
            pictures.append(values)
            truths.append([float(kind == one) for one in self._config.kinds])
        return torch.from_numpy(network_input(pictures)), torch.tensor(truths)
