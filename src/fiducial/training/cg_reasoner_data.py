"""What the joint model of CG-Reasoner learns from: pictures with masks, questions about them and true answers.

Pictures are moved before anything is said about them, so that the words are true of what is shown: mirrored and turned
only as their kind allows (nobody's heart is mirrored), scaled as the source says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Dataset, Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError
from fiducial.geometry import Mask, centroid_of
from fiducial.images import Image
from fiducial.language.answers import check_instruction
from fiducial.reasoner.model import encoder_pixels
from fiducial.reasoner.questions import Phrasing, ask, random_for
from fiducial.reasoner.subjects import Moves, Subject, absent_subjects, find_subject, subject_for
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig, ReasonerSource
from fiducial.training.decoder_model import Grid
from fiducial.training.sources import expand_data_folder, recoloured, shares, subset
from fiducial.training.trainer import StepBatches

NO_KIND = -1


@dataclass(frozen=True, slots=True, eq=False)
class ReasonerExample:
    """A picture, a question about it, and the truth.

    Args:
        id: of the sample.
        image: the picture, as it was moved.
        question: what is asked.
        answer: the true sentence.
        truth: the target; empty where there is none.
        kind: index of the kind of picture among those of the configuration; -1: unknown.
    """

    id: str
    image: Image
    question: str
    answer: str
    truth: Mask
    kind: int = NO_KIND

    @property
    def centroid(self) -> tuple[float, float] | None:
        """The target's centroid in the centred frame; None where there is no target."""
        return centroid_of([self.truth])

    def target(self, grid: int) -> NDArray[np.float32]:
        """Return (G, G) in 0..1: how much of each cell of a grid over the whole picture the target covers."""
        height, width = self.truth.height, self.truth.width
        edges = np.linspace(0.0, 1.0, grid + 1)
        return Grid(edges * height, edges * width).target(self.truth)


@dataclass(frozen=True, slots=True, eq=False)
class ReasonerPortion:
    """One source, and which of its samples are learned from and which are not."""

    source: ReasonerSource
    dataset: Dataset
    training: tuple[int, ...]
    held_out: tuple[int, ...]


def read_portions(config: CGReasonerRunConfig, data: str | Path) -> list[ReasonerPortion]:
    """Open the sources and cut each by group, so that no patient, sequence or picture is on both sides.

    Raises:
        InputError: a source cannot be opened, leaves nothing to learn from, or holds nothing out though it is scored.
    """
    portions = []
    for source in config.data:
        dataset = open_dataset(expand_data_folder(source.dataset, data))
        groups = [group_of(sample, source.group) for sample in dataset]
        held_out = tuple(index for index, group in enumerate(groups) if is_held_out(group, source.held_out))
        training = tuple(sorted({*range(len(groups))} - {*held_out}))
        count = f"{len({*groups})} different {source.group or 'pictures'}"
        if source.share and not training:
            raise InputError(f"{source.dataset}: held_out {source.held_out:g} of its {count} leaves none to train on")
        if source.scored and not held_out:
            raise InputError(
                f"{source.dataset}: held_out {source.held_out:g} of its {count} holds none out, and the best weights "
                "are chosen by the held-out part: raise held_out, or set scored to false for this dataset"
            )
        portions.append(ReasonerPortion(source, dataset, training, held_out))
    titles = [one.source.title for one in portions]
    if len({*titles}) < len(titles):
        raise InputError(f"data: give datasets that are called alike a name of their own: {', '.join(titles)}")
    return portions


# -- examples -------------------------------------------------------------------------------------


class ExampleDrawer:
    """Makes examples of samples, as the configuration says."""

    def __init__(self, config: CGReasonerRunConfig) -> None:
        self._config = config

    def training(self, portion: ReasonerPortion, index: int, random: np.random.Generator) -> ReasonerExample:
        """Draw an example to learn from: moved, recoloured, asked about in other words each time."""
        sample, source = portion.dataset[index], portion.source
        if source.questions == "dataset":
            return self._given(source, sample)
        subject = subject_of(source, sample)
        pixels, masks = sample.image().pixels, _masks_of(sample)
        pixels, masks = _moved(pixels, masks, subject.modality.moves, source.scale, random)
        pixels = _one_channel(pixels, source.one_channel, random)
        if source.stripped and random.random() < source.stripped:
            pixels = _stripped(pixels, random)
        if self._config.recolour:
            pixels = recoloured(pixels.astype(np.float32), random).round().astype(np.uint8)
        elsewhere = absent_subjects(subject.modality)
        if elsewhere and random.random() < self._config.absent:
            subject, masks = elsewhere[int(random.integers(len(elsewhere)))], []
        return self._written(source, sample.id, Image(pixels, sample.id), masks, subject, random, "training")

    def held_out(self, portion: ReasonerPortion, index: int) -> ReasonerExample:
        """Return an example to measure with: as it is, asked about in the wordings of ``eval_phrasing``."""
        sample, source = portion.dataset[index], portion.source
        if source.questions == "dataset":
            return self._given(source, sample)
        random = random_for(self._config.seed, sample.id)
        subject = subject_of(source, sample)
        return self._written(
            source, sample.id, sample.image(), _masks_of(sample), subject, random, self._config.eval_phrasing
        )

    def _written(
        self,
        source: ReasonerSource,
        key: str,
        image: Image,
        masks: Sequence[Mask],
        subject: Subject,
        random: np.random.Generator,
        phrasing: Phrasing,
    ) -> ReasonerExample:
        said = ask(masks, subject, random, phrasing=phrasing, sides=source.sides)
        truth = Mask.empty(image.height, image.width).union(*masks)
        return ReasonerExample(key, image, said.question, said.answer, truth, self._kind(source))

    def _given(self, source: ReasonerSource, sample: Sample) -> ReasonerExample:
        answer = sample.meta.get("answer")
        if not isinstance(answer, str) or not answer.strip():
            raise InputError(
                f"sample {sample.id}: its meta holds no answer to learn: take questions=written for {source.dataset}"
            )
        question = check_instruction(sample.instruction, sample.id)
        return ReasonerExample(sample.id, sample.image(), question, answer.strip(), sample.truth, self._kind(source))

    def _kind(self, source: ReasonerSource) -> int:
        kinds = self._config.network.kinds
        return kinds.index(source.modality) if kinds else NO_KIND


def subject_of(source: ReasonerSource, sample: Sample) -> Subject:
    """Return what is asked for in a sample: as the source says, else as the sample's own target or label does.

    Raises:
        InputError: nobody says it.
    """
    if source.subject:
        return find_subject(source.subject, source.modality)
    named = sample.meta.get("target") or next(iter(sample.labels), "")
    if not named:
        raise InputError(
            f"sample {sample.id}: neither its meta's target nor a label says what is asked for: give {source.dataset} "
            "a subject"
        )
    return subject_for(str(named).replace("_", " "), source.modality or str(sample.meta.get("modality") or ""))


def _masks_of(sample: Sample) -> list[Mask]:
    if sample.instances is None:
        raise InputError(f"sample {sample.id}: its dataset has boxes but no masks to learn from")
    return list(sample.instances)


# -- moves ----------------------------------------------------------------------------------------


def _one_channel(
    pixels: NDArray[np.uint8], chances: tuple[float, float, float], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Show one channel alone, in grey, by the chances of the three; else the picture as it is."""
    if not any(chances):
        return pixels
    drawn = int(np.searchsorted(np.cumsum(chances), random.random(), side="right"))
    return pixels if drawn == 3 else np.repeat(pixels[..., drawn : drawn + 1], 3, axis=2)


def _stripped(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Cut off what lies around a brain: a rim of a head as wide as a part of its depth, and stretch what is left."""
    head = (pixels.max(axis=2) > 0.1 * float(pixels.max())).astype(np.uint8)
    head = cv2.morphologyEx(np.pad(head, 20), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))[20:-20, 20:-20]
    depth = cv2.distanceTransform(np.pad(head, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside = depth > random.uniform(0.12, 0.3) * float(depth.max())
    if not inside.any():
        return pixels
    low, high = np.percentile(pixels[inside], [random.uniform(0, 3), random.uniform(98.5, 99.95)])
    stretched = (pixels.astype(np.float32) - low) * (255 / max(float(high - low), 1.0))
    return np.asarray(np.where(inside[..., None], np.clip(stretched, 0, 255), 0), np.uint8)


def _moved(
    pixels: NDArray[np.uint8],
    masks: Sequence[Mask],
    moves: Moves,
    scales: tuple[float, float],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], list[Mask]]:
    """Mirror, turn and scale a picture with its masks; as many draws whatever the kind."""
    mirrored, upside_down, turned = (random.random() < 0.5 for _ in range(3))
    scale = float(np.exp(random.uniform(*np.log(scales))))
    planes = [pixels, *(mask.to_dense().astype(np.uint8) for mask in masks)]
    if scale != 1.0:
        planes = [_scaled(plane, scale, smooth=index == 0) for index, plane in enumerate(planes)]
    if moves != "none" and mirrored:
        planes = [plane[:, ::-1] for plane in planes]
    if moves == "all" and upside_down:
        planes = [plane[::-1] for plane in planes]
    if moves == "all" and turned:
        planes = [plane.swapaxes(0, 1) for plane in planes]
    seen, *dense = (np.ascontiguousarray(plane) for plane in planes)
    return seen, [Mask.from_dense(plane.astype(bool)) for plane in dense]


def _scaled(plane: NDArray[Any], scale: float, *, smooth: bool) -> NDArray[Any]:
    """Scale about the middle, the size kept; what comes in from outside is black, as around a scan."""
    height, width = plane.shape[:2]
    matrix = np.array([[scale, 0, (1 - scale) * width / 2], [0, scale, (1 - scale) * height / 2]])
    matrix[:, 2] += 0.5 * (scale - 1)  # OpenCV counts from the middle of the first pixel
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.warpAffine(plane, matrix, (width, height), flags=interpolation), plane.dtype)


# -- batches --------------------------------------------------------------------------------------


class ReasonerBatches(StepBatches[list[ReasonerExample]]):
    """The examples of each step, drawn by the shares from the seed and the step alone."""

    def __init__(self, config: CGReasonerRunConfig, portions: Sequence[ReasonerPortion], steps: int) -> None:
        super().__init__(steps, config.num_workers)
        self._config, self._portions, self._drawer = config, portions, ExampleDrawer(config)
        self._shares = shares([one.source for one in portions])

    def __getitem__(self, step: int) -> list[ReasonerExample]:
        random = np.random.default_rng([self._config.seed, step])
        drawn = []
        for _ in range(self._config.batch_size):
            portion = self._portions[int(random.choice(len(self._portions), p=self._shares))]
            index = portion.training[int(random.integers(len(portion.training)))]
            drawn.append(self._drawer.training(portion, index, random))
        return drawn


def held_out_examples(
    config: CGReasonerRunConfig, portions: Sequence[ReasonerPortion]
) -> dict[str, list[ReasonerExample]]:
    """Return the held-out examples to measure with, by the title of their source, as many as ``eval_limit`` says."""
    drawer = ExampleDrawer(config)
    return {
        one.source.title: [
            drawer.held_out(one, index) for index in subset(one.held_out, config.eval_limit, config.seed)
        ]
        for one in portions
        if one.source.scored
    }


def encoder_batch(examples: Sequence[ReasonerExample], size: int) -> list[NDArray[np.uint8]]:
    """Return what the encoder sees of each picture, (S, S, 3) uint8."""
    return [encoder_pixels(one.image, size) for one in examples]
