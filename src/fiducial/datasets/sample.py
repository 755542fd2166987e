"""Samples: a picture, what is said about it, and the truth; datasets that make them when they are asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fiducial.datasets.files import picture_size, read_mask
from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import DEFAULT_MAX_PIXELS, Image, read_image


@dataclass(frozen=True, slots=True)
class Choice:
    """A truth in words: which of several answers is right.

    Args:
        options: the answers to choose from.
        right: place of the right one, from 0.
        reply: what a model is to say, letter by letter.
    """

    options: tuple[str, ...]
    right: int
    reply: str


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture, an instruction and the truth about what it names.

    Args:
        id: unique in its dataset and stable over runs.
        image_path: the picture's file; exactly one of ``image_path`` and ``picture`` is given.
        picture: the picture itself (scenes).
        instruction: what is said about the picture.
        instances: one mask per instance (perhaps of several parts); ``()`` is "there is no target"; None: the dataset
            knows boxes but no masks.
        size: height, width of the original image in pixels.
        labels: one per instance (per box where there are no masks), or none at all.
        boxes: the dataset's own boxes in the pixel frame of ``size``; None: use the masks' tight boxes.
        ignore: pixels that count for nothing, neither as hit nor as miss.
        split: the part of the dataset that the sample belongs to, ``""`` where there are no parts.
        meta: what else the dataset says about the sample; plain JSON values.
        mask_path: the file of the truth, where it is one mask picture.
        choice: the truth of a question whose answer is words; such a sample has neither masks nor boxes.

    Raises:
        InputError: not exactly one of picture and path, no truth at all, or parts that do not fit.
    """

    id: str
    image_path: Path | None
    picture: Image | None
    instruction: str
    instances: tuple[Mask, ...] | None
    size: tuple[int, int]
    labels: tuple[str, ...] = ()
    boxes: Prompts | None = None
    ignore: Mask | None = None
    split: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    mask_path: Path | None = None
    choice: Choice | None = None

    def __post_init__(self) -> None:
        if (self.image_path is None) == (self.picture is None):
            raise InputError(f"sample {self.id}: give either image_path or picture")
        if (self.choice is not None) != (self.instances is None and self.boxes is None):
            found = "neither masks, boxes nor a choice" if self.choice is None else "a place and a choice at once"
            raise InputError(f"sample {self.id}: its truth is {found}")
        if self.picture is not None:
            self._require_size((self.picture.height, self.picture.width), "the picture")
        for mask in self.instances or ():
            self._require_size((mask.height, mask.width), "a mask")
        if self.ignore is not None:
            self._require_size((self.ignore.height, self.ignore.width), "the ignore region")
        if self.boxes is not None:
            self.frame.require(self.boxes.frame, f"sample {self.id}: the boxes")
        targets = self.boxes if self.instances is None else self.instances
        if self.labels and len(self.labels) != len(targets or ()):
            raise InputError(f"sample {self.id}: {len(self.labels)} labels for {len(targets or ())} instances")

    @property
    def frame(self) -> Frame:
        """The pixel frame of the picture."""
        return Frame.pixels(self.size[1], self.size[0])

    @property
    def truth(self) -> Mask:
        """The union of the instances: empty when there is no target; an InputError where there are boxes only."""
        if self.instances is None:
            has = "boxes" if self.choice is None else "answers in words"
            raise InputError(f"sample {self.id}: its dataset has {has} but no masks")
        return Mask.empty(*self.size).union(*self.instances)

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Height, width of a pixel in millimetres; None where the dataset does not say.

        It is read from ``meta["spacing"]``: two numbers, one for square pixels, or either as a text ("0.5 0.25").
        """
        given = self.meta.get("spacing")
        if given is None or given == "":
            return None
        sides = given.replace(",", " ").split() if isinstance(given, str) else given
        try:
            numbers = [float(side) for side in (sides if isinstance(sides, Sequence) else [sides])]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) not in (1, 2) or not all(math.isfinite(side) and side > 0 for side in numbers):
            raise InputError(
                f"sample {self.id}: spacing is the height and width of a pixel in millimetres, got {given!r:.60}"
            )
        return numbers[0], numbers[-1]

    def image(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
        """Read the picture; one of more than ``max_pixels`` is refused before it is decoded."""
        if self.picture is not None:
            return self.picture
        assert self.image_path is not None  # see __post_init__
        image = read_image(self.image_path, max_pixels=max_pixels)
        if (image.height, image.width) != self.size:
            raise InputError(
                f"sample {self.id}: {self.image_path} is {image.height} x {image.width} (height x width) when upright, "
                f"its truth is for {self.size[0]} x {self.size[1]}"
            )
        return image

    def prompts(self) -> Prompts:
        """Return the truth as boxes in pixels: the dataset's own, or tight ones around each mask.

        Raises:
            InputError: the truth is no place but a choice among words.
        """
        if self.choice is not None:
            raise InputError(f"sample {self.id}: its answer is words ({self.choice.reply!r:.40}), not a place")
        if self.boxes is not None:
            return self.boxes
        masks = self.instances or ()
        names = self.labels or (None,) * len(masks)
        found = [(mask.box, name) for mask, name in zip(masks, names, strict=True) if mask.box is not None]
        return Prompts.from_boxes(self.frame, [box for box, _ in found], labels=[name for _, name in found])

    def _require_size(self, size: tuple[int, int], what: str) -> None:
        if size != tuple(self.size):
            raise InputError(
                f"sample {self.id}: {what} is {size[0]} x {size[1]} (height x width), "
                f"the image is {self.size[0]} x {self.size[1]}"
            )


class Dataset(Protocol):
    """A sequence of samples that are made when they are asked for."""

    @property
    def name(self) -> str:
        """What the dataset is called, for reports."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def __getitem__(self, index: int) -> Sample: ...


def sample_ids(dataset: Dataset) -> Sequence[str]:
    """Name every sample of a dataset in order, without decoding anything where the dataset can."""
    known: Sequence[str] | None = getattr(dataset, "ids", None)
    return known if known is not None else tuple(sample.id for sample in dataset)


class Listing:
    """A dataset on disk: opening it reads annotations, asking for a sample decodes its masks.

    Args:
        name: what the dataset is called, for reports.
        root: where it lies, for messages.
        rows: an id, all different, and what makes the sample of that id.

    Raises:
        InputError: no row at all, or an id that stands there twice.
    """

    def __init__(self, name: str, root: Path, rows: Iterable[tuple[str, Callable[[str], Sample]]]) -> None:
        self.name = name
        self.root = root
        self._rows = list(rows)
        self.ids = tuple(key for key, _ in self._rows)
        if not self.ids:
            raise InputError(f"{root}: the {name} dataset has no sample")
        twin, count = Counter(self.ids).most_common(1)[0]
        if count > 1:
            raise InputError(f"{root}: two samples of the {name} dataset share the id {twin!r}")

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (make(key) for key, make in self._rows)

    def __getitem__(self, index: int) -> Sample:
        key, make = self._rows[index]
        return make(key)

    def __repr__(self) -> str:
        return f"<{self.name} dataset at {self.root}: {len(self)} samples>"


def mask_sample(
    id: str,
    image: Path,
    mask: Path | None,
    instruction: str,
    split: str,
    meta: Mapping[str, Any],
    channel: int | None = None,
) -> Sample:
    """Make a sample whose truth is one mask picture; no picture or an empty one means that there is no target."""
    size = picture_size(image)
    truth = read_mask(mask, size, channel=channel) if mask is not None else None
    return Sample(id, image, None, instruction, (truth,) if truth else (), size, split=split, meta=meta, mask_path=mask)
