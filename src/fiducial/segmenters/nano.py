"""The embedded segmenter: zooms into each prompt and cuts it with a small network of our own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.cache import LRUCache
from fiducial.checkpoints import read_network
from fiducial.contracts import Embedding
from fiducial.engines import Engine, open_engine, runs_on_cpu, runs_on_onnx, torch_engine
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Box, Mask, Point, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.configs import EMBEDDED, NanoConfig
from fiducial.segmenters.nano_crops import SIZE, Array, Crop, network_input
from fiducial.segmenters.nano_int8 import int8_graph, open_int8
from fiducial.segmenters.nano_sizes import SizeJudge, merits, size_figures

MIN_EDGE = 24
"""Edge in pixels of the smallest crop that is tried around points without a box."""
STEP = 1.7
"""How much larger each further crop around points is."""
MAX_REMEMBERED = 512
"""Masks that are kept, so that a further instruction that picks among the same things of a picture cuts none again."""

_Key = tuple[str, Box | None, tuple[Point, ...], tuple[int, ...]]
"""A picture's content, and what a prompt asks of it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One prompt: the crops to cut it from, and an earlier mask (of the image, or (S, S) of an earlier crop)."""

    image: Image
    prompt: Prompt
    crops: tuple[Crop, ...]
    previous: Mask | Array | None = None
    previous_crop: Crop | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A mask in its crop: (S, S) float32 probabilities, and the IoU that the network expects, in 0..1."""

    crop: Crop
    likely: Array
    quality: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.likely).all() and math.isfinite(self.quality)):
            raise ModelError("the nano segmenter gave no finite numbers: its weights are broken or badly trained")


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The masks of crops of growing size around points."""

    image: Image
    point: Point  # x, y in pixels, the first of the points
    found: tuple[_Found, ...]
    masks: tuple[Mask, ...]  # in the image
    agreed: list[float]  # IoU of each mask but the last with the next larger one

    @property
    def qualities(self) -> list[float]:
        """IoU in 0..1 that the network expects of each mask."""
        return [one.quality for one in self.found]

    def figures(self) -> Array:
        """What the judge of sizes is told: see :func:`fiducial.segmenters.nano_sizes.size_figures`."""
        likely, crops = [one.likely for one in self.found], [one.crop for one in self.found]
        return size_figures(likely, self.qualities, self.agreed, crops, self.point, self.image.pixels)


class NanoSegmenter:
    """Cuts masks with the network that comes with the package; needs no download and no accelerator.

    - **Box:** the network sees the square of 1.6 times the box's longest edge, enlarged or shrunk to 128
      pixels, so small and large targets are cut equally well. The mask may leave the box a little.
    - **Box and points:** the points are drawn into the same crop; those outside it say nothing.
    - **Points alone:** crops of several sizes around the positive points are tried, and one mask is kept, as SAM
      chooses among three. Around one point a judge that is shown all sizes chooses; around several, and without a
      judge, that one is taken which the network trusts most, and that neighbouring sizes agree speaks for a mask.
    - **Negative points alone** say nothing about the target: the mask is empty, without a score.
    - **A previous mask** (``decode(..., previous=[...])``) is shown to the network together with its prompt.

    All work is done on the crops, so its cost does not depend on the size of the image. ``mask.score`` is the IoU that
    the network expects of the mask, in 0..1. Each further pass looks again around the mask found before; with a box,
    only where the network expects too little of it. Masks are remembered by the picture's content and the prompt.

    Args:
        engine: runs the network on (B, 7, S, S) float32; returns logits of the mask (B, S, S), and of its IoU (B,).
        config: passes, when they are enough, and batch size; what says how to load is not used.
        judge: chooses among the sizes around one point.
    """

    def __init__(self, engine: Engine, config: NanoConfig | None = None, judge: SizeJudge | None = None) -> None:
        self.engine, self.judge = engine, judge
        self.config = NanoConfig() if config is None else config
        self._remembered: LRUCache[_Key, Mask] = LRUCache(MAX_REMEMBERED)

    @classmethod
    def from_config(cls, config: NanoConfig) -> NanoSegmenter:
        """Load weights."""
        judge = SizeJudge.from_pretrained(config.sizes) if config.sizes else None
        return cls(load_engine(config.model, config.device, config.bits), config, judge)

    @classmethod
    def from_pretrained(cls, model: str | Path = EMBEDDED, **options: Any) -> NanoSegmenter:
        """Load weights from a file; the options are those of :class:`NanoConfig`."""
        return cls.from_config(NanoConfig(model=str(model), **options))

    def encode(self, image: Image) -> Embedding:
        """Keep the image: the network works on crops of it, so there is nothing to compute or to cache."""
        key = hashlib.sha256(f"nano\n{self.engine.fingerprint}\n{image.digest}".encode()).hexdigest()
        return Embedding(key, image.width, image.height, {}, image)

    def decode(
        self, embedding: Embedding, prompts: Prompts, previous: Sequence[Mask | None] | None = None
    ) -> list[Mask]:
        """Cut one mask per prompt, in order, at the size of the image.

        ``previous`` has one earlier mask per prompt (None where there is none), to be bettered.
        """
        jobs = list(_jobs(embedding, prompts, previous))
        keys = [
            None
            if job.previous is not None
            else (job.image.digest, job.prompt.box, job.prompt.points, job.prompt.labels)
            for job in jobs
        ]
        masks = [None if key is None else self._remembered.get(key) for key in keys]
        missing = [number for number, mask in enumerate(masks) if mask is None]
        for number, mask in zip(missing, self._cut([jobs[number] for number in missing]), strict=True):
            masks[number] = mask
            if (key := keys[number]) is not None:
                self._remembered.put(key, mask)
        return [mask for mask in masks if mask is not None]

    def _cut(self, jobs: Sequence[_Job]) -> list[Mask]:
        """Cut one mask per job."""
        found = self._pass(jobs)
        for _ in range(self.config.passes - 1):
            again = [
                (number, _again(jobs[number], one))
                for number, one in enumerate(found)
                if one is not None and (jobs[number].prompt.box is None or one.quality < self.config.enough)
            ]
            second = self._pass([job for _, job in again])
            for (number, _), new in zip(again, second, strict=True):
                before = found[number]
                if new is not None and before is not None and new.quality > before.quality:
                    found[number] = new
        return [_mask(job, one) for job, one in zip(jobs, found, strict=True)]

    def _pass(self, jobs: Sequence[_Job]) -> list[_Found | None]:
        """Cut every crop of every job and keep one mask of each job."""
        return [self._chosen(job, of_job) for job, of_job in zip(jobs, self._found(jobs), strict=True)]

    def _found(self, jobs: Sequence[_Job]) -> list[list[_Found]]:
        """Cut every crop of every job."""
        found: list[list[_Found]] = [[] for _ in jobs]
        crops = [(number, crop) for number, job in enumerate(jobs) for crop in job.crops]
        for start in range(0, len(crops), self.config.batch_size):
            batch = crops[start : start + self.config.batch_size]
            inputs = np.stack([_input(jobs[number], crop) for number, crop in batch])
            likely, expected = map(_sigmoid, self.engine(inputs))
            for (number, crop), values, quality in zip(batch, likely, expected.tolist(), strict=True):
                found[number].append(_Found(crop, values, quality))
        return found

    def _chosen(self, job: _Job, found: Sequence[_Found]) -> _Found | None:
        """Choose among the masks of crops of growing size."""
        if len(found) < 2:
            return found[0] if found else None
        sizes = _sizes(job, found)
        if self.judge is None or len(job.prompt.positive_points) != 1:
            return found[int(np.argmax(merits(sizes.qualities, sizes.agreed)))]
        return found[self.judge.choose(sizes.figures())]

    def sizes_around(self, image: Image, point: Point) -> Sizes:
        """Cut a point alone from crops of all sizes, for training and for studies of the choice."""
        prompt = Prompt(image.frame, points=(point,))
        job = _Job(image, prompt, _crops(image, prompt, None))
        return _sizes(job, self._found([job])[0])


def load_engine(model: str | Path, device: str, bits: int | None = None) -> Engine:
    """Load the network: the package's own weights, or a safetensors file's; see ``bits`` of :class:`NanoConfig`."""
    if bits == 8 or (bits is None and runs_on_cpu(device) and int8_graph(model).is_file()):
        if device not in ("auto", "cpu"):
            raise InputError(f"bits=8 is for the CPU alone, and device is {device!r}: leave one of them away")
        return open_int8(model)
    if not runs_on_onnx(device):
        return torch_engine(lambda: _torch_network(model), device)

    weights, digest = read_network(model, EMBEDDED, lambda tensors, header: tensors, framework="numpy")
    return open_engine(model, EMBEDDED, weights, digest, device)


def _torch_network(model: str | Path) -> Any:
    from fiducial.segmenters.nano_unet import load_network

    return load_network(model)[0]


def _sigmoid(logits: Array) -> Array:
    return np.asarray((1 + np.tanh(logits / 2)) / 2, np.float32)


def _jobs(embedding: Embedding, prompts: Prompts, previous: Sequence[Mask | None] | None) -> Iterator[_Job]:
    image = embedding.image
    if image is None:
        raise InputError("nano works on pixels, but this embedding holds no image: encode it with this segmenter")
    image.frame.require(prompts.frame, "the prompts")
    before = [None] * len(prompts) if previous is None else list(previous)
    if len(before) != len(prompts):
        raise InputError(f"{len(prompts)} prompts need as many previous masks (or None), got {len(before)}")
    for prompt, mask in zip(prompts, before, strict=True):
        if mask is not None and (mask.height, mask.width) != (image.height, image.width):
            raise InputError(
                f"a previous mask of {mask.height} x {mask.width} (height x width) does not fit "
                f"{image.name} of {image.height} x {image.width}"
            )
        shown = mask if mask else None
        yield _Job(image, prompt, _crops(image, prompt, shown), shown)


def _crops(image: Image, prompt: Prompt, previous: Mask | None) -> tuple[Crop, ...]:
    if previous is not None and previous.box is not None:
        return (_around(previous.box, prompt),)
    if prompt.box is not None:
        return (Crop.around(prompt.box),)
    points = np.array(prompt.positive_points)
    if not len(points):
        return ()
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)
    edge, largest = max(MIN_EDGE, 1.3 * float((high - low).max())), max(image.width, image.height)
    edges = [edge]
    while edges[-1] < largest:
        edges.append(edges[-1] * STEP)
    return tuple(Crop.centred(centre, round(edge)) for edge in edges)


def _around(box: tuple[float, float, float, float], prompt: Prompt) -> Crop:
    """Look around a mask that was found, and around the box that was asked for."""
    if prompt.box is not None:
        x1, y1, x2, y2 = prompt.box
        box = min(box[0], x1), min(box[1], y1), max(box[2], x2), max(box[3], y2)
    return Crop.around(box)


def _again(job: _Job, found: _Found) -> _Job:
    values, x, y = found.crop.back(found.likely, job.image.height, job.image.width)
    mask = Mask.from_dense(values > 0.5, offset=(x, y), size=(job.image.height, job.image.width))
    if mask.box is None:
        return replace(job, crops=())
    return replace(job, crops=(_around(mask.box, job.prompt),), previous=found.likely, previous_crop=found.crop)


def _input(job: _Job, crop: Crop) -> Array:
    box = None if job.prompt.box is None else crop.box(job.prompt.box, SIZE)
    points = crop.points(job.prompt.points, SIZE)
    previous = None if job.previous is None else _previous(job, crop)
    return network_input(crop.cut(job.image.pixels, SIZE), box, points, job.prompt.labels, previous)


def _previous(job: _Job, crop: Crop) -> Array:
    """Show an earlier mask in another crop, as probabilities; zero where there are none."""
    if isinstance(job.previous, Mask):
        return crop.cut_values(job.previous.to_dense().astype(np.float32), 0, 0, SIZE)
    size = job.image.height, job.image.width
    values, x, y = job.previous_crop.back(job.previous, *size)  # type: ignore[union-attr, arg-type]
    return crop.cut_values(values, x, y, SIZE)


def _sizes(job: _Job, found: Sequence[_Found]) -> Sizes:
    masks = tuple(_mask(job, one) for one in found)
    return Sizes(
        job.image,
        job.prompt.positive_points[0],
        tuple(found),
        masks,
        [one.iou(other) for one, other in pairwise(masks)],
    )


def _mask(job: _Job, found: _Found | None) -> Mask:
    height, width = job.image.height, job.image.width
    if found is None:
        return Mask.empty(height, width)
    values, x, y = found.crop.back(found.likely, height, width)
    return Mask.from_dense(values > 0.5, offset=(x, y), size=(height, width), score=found.quality)
