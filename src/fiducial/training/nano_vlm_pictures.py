"""The pictures that a small vision-language model learns from, drawn or read once, with every thing in them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fiducial.datasets import Dataset, open_dataset
from fiducial.datasets.sample import Choice
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError
from fiducial.files import make_folder, write_atomically
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.synthetic.scenes import SceneDataset, view_of
from fiducial.synthetic.view import ColourReading, Thing, View, read_colours
from fiducial.synthetic.vocabulary import spoken
from fiducial.training.augmentation import Move
from fiducial.training.nano_vlm_configs import NanoVLMConfig, PictureSource
from fiducial.training.sources import expand_data_folder

_VISIBLE = 0.5
"""Things of which a window shows less are left out of what is said of it ..."""
_TRIES = 8
"""... and of this many windows the one is taken that leaves out the fewest."""
_SPOTS = 4
"""Points kept of each thing: the first lies deepest inside, the others anywhere on it."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolPicture:
    """A picture at the size of the canvas, and its N things; places are in pixels of the window it was cut from.

    One that comes with questions of its own, answered in words, has no things, and is seen as it lies.
    """

    pixels: NDArray[np.uint8]  # (S, S, 3)
    side: float  # of the square window, in pixels of the original
    names: tuple[str, ...]
    boxes: NDArray[np.float64]  # (N, 4) xyxy
    areas: NDArray[np.float64]  # (N,)
    spots: NDArray[np.float64]  # (N, _SPOTS, 2) x, y of points on each
    colours: tuple[ColourReading, ...]
    absent: tuple[str, ...]  # names of what is not there but could be
    held_out: bool
    questions: tuple[tuple[str, Choice], ...] = ()

    def turned(self, symmetry: int) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
        """Return pixels, boxes and spots under a symmetry of the square, 0..7: 1 and 2 mirror, 4 transposes."""
        pixels, boxes, spots = self.pixels, self.boxes, self.spots
        if symmetry & 1:
            pixels = pixels[:, ::-1]
            boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [self.side, 0, self.side, 0]
            spots = spots * [-1, 1] + [self.side, 0]
        if symmetry & 2:
            pixels = pixels[::-1]
            boxes = boxes[:, [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, self.side, 0, self.side]
            spots = spots * [1, -1] + [0, self.side]
        if symmetry & 4:
            pixels, boxes, spots = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]], spots[..., ::-1]
        return pixels, boxes, spots

    def view(self, boxes: NDArray[np.float64]) -> View:
        """Return the things as expressions speak of them, lying where ``boxes`` (N, 4) say."""
        rows = zip(self.names, boxes.tolist(), self.areas.tolist(), strict=True)
        things = tuple(Thing(index, name, tuple(box), area) for index, (name, box, area) in enumerate(rows))
        size = round(self.side)
        return View(size, size, things, None, self.colours)


class Pool:
    """The pictures of one source, drawn once."""

    def __init__(self, source: PictureSource, pictures: Sequence[PoolPicture]) -> None:
        self.source = source
        self.training = [one for one in pictures if not one.held_out]
        self.held_out = [one for one in pictures if one.held_out]
        if not self.training:
            raise InputError(f"{source.dataset}: no picture is left to learn from")

    @property
    def names(self) -> frozenset[str]:
        """Every name that occurs."""
        return frozenset(name for one in self.training for name in one.names)


def questioned(dataset: Dataset, source: PictureSource, canvas: int) -> list[PoolPicture] | None:
    """Read a dataset of questions that are answered in words, each picture once; None where it is of another kind.

    Raises:
        InputError: windows are to be cut, in which what is asked about could be missing.
    """
    if dataset[0].choice is None:
        return None
    if source.windows != 1 or source.window != (1.0, 1.0):
        raise InputError(f"{source.dataset}: its questions are about whole pictures: leave windows and window out")
    found: dict[tuple[str, bool], tuple[NDArray[np.uint8], list[tuple[str, Choice]]]] = {}
    for sample in dataset:
        if sample.choice is None:
            raise InputError(f"sample {sample.id}: answered by places, others of its dataset in words")
        held_out = is_held_out(group_of(sample, source.group), source.held_out)
        image = sample.image()
        pixels = np.asarray(image.stretched((canvas, canvas)).pixels, np.uint8)
        found.setdefault((image.digest, held_out), (pixels, []))[1].append((sample.instruction, sample.choice))
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros((0, _SPOTS, 2))
    return [
        PoolPicture(pixels, float(canvas), (), *nothing, (), (), held_out, tuple(asked))
        for (_, held_out), (pixels, asked) in found.items()
    ]


class _Drawer(TorchDataset[list[PoolPicture]]):
    """The windows of each picture of a dataset; they depend on source and picture alone."""

    def __init__(self, source: PictureSource, data: Path, canvas: int) -> None:
        self._source, self._canvas = source, canvas
        self.dataset: Dataset = open_dataset(expand_data_folder(source.dataset, data))
        self._known: tuple[str, ...] = ()
        if not isinstance(self.dataset, SceneDataset) and self.dataset[0].choice is None:
            self._known = tuple(sorted({spoken(label) for sample in self.dataset for label in sample.labels}))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> list[PoolPicture]:
        cv2.setNumThreads(0)
        if isinstance(self.dataset, SceneDataset):
            scene = self.dataset.scene(index)
            group, image, masks, known = self.dataset.ids[index], scene.image, list(scene.masks), scene.vocabulary
            view = view_of(scene)
        else:
            sample = self.dataset[index]
            if sample.instances is None or len(sample.labels) != len(sample.instances):
                raise InputError(f"sample {sample.id}: masks with labels are needed to speak of what a picture shows")
            pairs = [(label, mask) for label, mask in zip(sample.labels, sample.instances, strict=True) if mask]
            group, image, masks = group_of(sample, self._source.group), sample.image(), [mask for _, mask in pairs]
            known = self._known
            view = View.of(sample.size, [label for label, _ in pairs], masks=masks, read=lambda: image)
        held_out = is_held_out(group, self._source.held_out)
        random = np.random.default_rng([index, 7])
        count = self._source.windows
        return [self._window(image, view, masks, tuple(known), held_out, random) for _ in range(count)]

    def _window(
        self,
        image: Image,
        view: View,
        masks: Sequence[Mask],
        known: tuple[str, ...],
        held_out: bool,
        random: np.random.Generator,
    ) -> PoolPicture:
        shorter = min(image.height, image.width)
        tries = []
        for _ in range(_TRIES if self._source.window != (1.0, 1.0) else 1):
            side = max(32, round(shorter * random.uniform(*self._source.window)))
            side = min(side, shorter)
            if view.things:  # somewhere in the window lies a thing
                x, y = view.things[int(random.integers(len(view.things)))].centre
                x, y = x - random.uniform(0.15, 0.85) * side, y - random.uniform(0.15, 0.85) * side
            else:
                x, y = random.uniform(0, image.width - side), random.uniform(0, image.height - side)
            left, top = (int(np.clip(v, 0, limit - side)) for v, limit in ((x, image.width), (y, image.height)))
            tries.append(Move(left, top, side, side))
        move = min(tries, key=lambda one: self._cut(one, view))
        kept, parts = [], []
        for thing, mask in zip(view.things, masks, strict=True):
            part = move.mask(mask)
            if part.area >= _VISIBLE * mask.area:
                kept.append(thing.index)
                parts.append(part)
        colours = [_reading(view, view.things[index], image, masks[index]) for index in kept]
        present = {view.things[index].name for index in range(len(view.things))}
        pixels = cv2.resize(move.pixels(image.pixels), (self._canvas, self._canvas), interpolation=cv2.INTER_AREA)
        spots = [_spots(part, random) for part in parts]
        return PoolPicture(
            np.asarray(pixels, np.uint8),
            float(move.width),
            tuple(view.things[index].name for index in kept),
            np.array([part.box for part in parts], np.float64).reshape(-1, 4),
            np.array([part.area for part in parts], np.float64),
            np.array(spots, np.float64).reshape(-1, _SPOTS, 2),
            tuple(colours),
            tuple(name for name in map(spoken, known) if name not in present),
            held_out,
        )

    @staticmethod
    def _cut(move: Move, view: View) -> int:
        """Count the things that a window shows in part."""
        boxes = [move.box(thing.box) for thing in view.things]
        return sum(box is not None and not move.holds(thing.box) for box, thing in zip(boxes, view.things, strict=True))


def _reading(view: View, thing: Thing, image: Image, mask: Mask) -> ColourReading:
    return view.colours(thing) or read_colours(image.pixels[mask.to_dense()])


def _spots(mask: Mask, random: np.random.Generator) -> list[tuple[float, float]]:
    first = mask.inner_point()
    assert first is not None
    rows, columns = np.nonzero(mask.to_dense())
    chosen = random.integers(len(rows), size=_SPOTS - 1)
    return [first, *((float(columns[k]) + 0.5, float(rows[k]) + 0.5) for k in chosen)]


def read_pools(config: NanoVLMConfig, data: str | Path) -> list[Pool]:
    """Draw or read every picture that a run learns from or is scored on."""
    pools = []
    for source in config.data:
        dataset = expand_data_folder(source.dataset, data)
        key = json.dumps([_POOL_VERSION, dataset, source.held_out, source.group, source.windows, source.window])
        name = f"{hashlib.sha256(f'{key}{config.network.canvas}'.encode()).hexdigest()[:16]}.npz"
        kept = Path(config.pool_folder) / name if config.pool_folder else None
        if kept is not None and kept.exists():
            pictures = _unpacked(kept)
        else:
            drawer = _Drawer(source, Path(data), config.network.canvas)
            in_words = questioned(drawer.dataset, source, config.network.canvas)
            if in_words is not None and config.stage == "dense":
                raise InputError(
                    f"{source.dataset}: answers in words are for stage answers: dense learns what lies where"
                )
            loader = DataLoader(drawer, batch_size=None, num_workers=2 * config.num_workers)
            pictures = in_words or [one for some in loader for one in some]
            if kept is not None:
                _pack(kept, pictures)
        pools.append(Pool(source, pictures))
    return pools


_POOL_VERSION = 2
"""Rises when the same source no longer gives the same pictures."""


def _pack(path: Path, pictures: Sequence[PoolPicture]) -> None:
    facts = [
        {
            "side": one.side,
            "names": one.names,
            "absent": one.absent,
            "held_out": one.held_out,
            "questions": [[text, asdict(choice)] for text, choice in one.questions],
            "colours": [[c.shares, sorted(c.clear), sorted(c.possible)] for c in one.colours],
        }
        for one in pictures
    ]
    file = io.BytesIO()
    np.savez(
        file,
        pixels=np.stack([one.pixels for one in pictures]),
        boxes=np.concatenate([one.boxes for one in pictures]),
        areas=np.concatenate([one.areas for one in pictures]),
        spots=np.concatenate([one.spots for one in pictures]),
        facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
    )
    make_folder(path.parent)
    write_atomically(path, file.getvalue())


def _unpacked(path: Path) -> list[PoolPicture]:
    with np.load(path, allow_pickle=False) as arrays:
        pixels, boxes, areas, spots = (arrays[name] for name in ("pixels", "boxes", "areas", "spots"))
        facts = json.loads(arrays["facts"].tobytes())
    pictures, start = [], 0
    for index, fact in enumerate(facts):
        here = slice(start, start + len(fact["names"]))
        start = here.stop
        colours = tuple(ColourReading(shares, frozenset(c), frozenset(p)) for shares, c, p in fact["colours"])
        names, absent = tuple(fact["names"]), tuple(fact["absent"])
        pictures.append(
            PoolPicture(
                pixels[index],
                fact["side"],
                names,
                boxes[here],
                areas[here],
                spots[here],
                colours,
                absent,
                fact["held_out"],
                tuple(
                    (text, Choice(tuple(choice["options"]), choice["right"], choice["reply"]))
                    for text, choice in fact["questions"]
                ),
            )
        )
    return pictures
