"""The nano detector: boxes with calibrated scores for the names that its weights were taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.cache import LRUCache
from fiducial.config import as_fields
from fiducial.errors import InputError, ModelError
from fiducial.geometry import boxes as box_arrays
from fiducial.images import Image
from fiducial.prompters.configs import NanoConfig
from fiducial.prompters.detector.limits import Limit
from fiducial.prompters.detector.reading import Detection, Reading
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.weights import EMBEDDED, STRIDE, Array, Grounder, bump_reach, load_grounder

MIN_LIKELIHOOD = 0.02
"""Likelihood of a heat map below which nothing is looked at further."""
MAX_PEAKS = 200
"""Most peaks of one name in one window."""
_GREY, _SPREAD = 114, 64
_MIN_AGREEMENT = 0.6
"""IoU with a peak's box from which the box of a place beside it counts too."""
MAX_REMEMBERED = 32 * 2**20
"""Bytes of looks that are kept, so that further names in the same pictures cost next to nothing: nine of usual size."""
_PIXELS_AT_ONCE = 2 * 640 * 640
"""Pixels that the network sees at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network says of one window, whatever is asked: embeddings (E, h, w) of places, distances (4, h, w)."""

    places: Array
    sides: Array


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """What one window shows of one name: boxes (K, 4) in pixels of what it sees, logits (K,) of the heat map."""

    boxes: NDArray[np.float64]
    logits: NDArray[np.float64]


class NanoDetector:
    """Boxes for names of a closed vocabulary.

    Looking at the mirrored picture too (``flips``) finds more: AP50 of the embedded weights on held-out aerial pictures
    is 0.905 instead of 0.891. It is done where the first look hints at a thing of a name (``hint``), and then the mean
    of both looks decides for that name, in that window; where there is no hint, there is nothing to be found.

    A peak's box is the mean of what the places around it say, which is nearer to the truth than its own alone.
    Looks are remembered by the picture's content: asking for other names in the same picture runs no network.

    Args:
        grounder: network and names.
        options: those of :class:`fiducial.prompters.configs.NanoConfig`; what says how to load is not used.
    """

    def __init__(self, grounder: Grounder, **options: Any) -> None:
        self.config = NanoConfig(**options)
        self.grounder = grounder
        self._remembered: LRUCache[tuple[str, Window, bool], Look] = LRUCache(
            MAX_REMEMBERED, lambda look: look.places.nbytes + look.sides.nbytes
        )

    @classmethod
    def from_config(cls, config: NanoConfig) -> NanoDetector:
        """Load weights: those of the package, or a safetensors file."""
        return cls(load_grounder(config.model, config.device), **as_fields(config))

    @classmethod
    def from_pretrained(cls, model: str | Path = EMBEDDED, **options: Any) -> NanoDetector:
        """Load weights; :class:`fiducial.prompters.configs.NanoConfig` has the options."""
        return cls.from_config(NanoConfig(model=str(model), **options))

    def read(self, noun: str) -> Reading:
        """Say what a noun phrase is taken to mean; a name that the weights were not taught is not known."""
        return self._words.look_up(noun)

    @cached_property
    def _words(self) -> Vocabulary:
        # Words of names that the weights were not taught mean nothing here: a "vessel" is a ship.
        return Vocabulary.read().covering((name.name, name.domain) for name in self.grounder.names)

    def vocabulary(self) -> tuple[str, ...]:
        """Return the names that are known, singular."""
        return self.grounder.vocabulary

    def hardly_found(self, image: Image, name: str) -> Limit | None:
        """Return what of a name is hardly found in a picture, as the vocabulary has it."""
        entry = next((one for one in self._words.entries if one.name == name and one.least), None)
        if entry is None:
            return None
        return Limit(round(entry.least / scale_of(image.width, image.height, self.config.zoom)), entry.hidden)

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name; see :meth:`fiducial.prompters.detector.reading.Detector.detect`."""
        if len(images) != len(names):
            raise InputError(f"{len(images)} pictures need as many lists of names, got {len(names)}")
        asked = [self.grounder.places(tuple(dict.fromkeys(some))) for some in names]
        looks = [
            (number, window)
            for number, image in enumerate(images)
            if asked[number]
            for window in windows_of(image.width, image.height, self.config.zoom)
        ]
        found: list[dict[int, list[Peaks]]] = [{} for _ in images]
        for group in _groups(looks):
            for (number, window), by_name in zip(group, self._seen(images, group, asked), strict=True):
                for place, peaks in by_name.items():
                    found[number].setdefault(place, []).append(_placed(peaks, window))
        return [self._detections(some) for some in found]

    def _seen(
        self, images: Sequence[Image], group: Sequence[tuple[int, Window]], asked: Sequence[Sequence[int]]
    ) -> list[dict[int, Peaks]]:
        """Look at windows of one size; return the peaks that each shows of the names asked for in its picture."""
        looks = self._looks(images, group)
        pairs = zip(group, looks, strict=True)
        found = [self._peaks(look, window, asked[number]) for (number, window), look in pairs]
        if not self.config.flips:
            return found
        names = [[place for place, peaks in some.items() if self._is_hinted(place, peaks)] for some in found]
        again = [place for place, hinted in enumerate(names) if hinted]
        both = self._looks(images, [group[one] for one in again], [looks[one] for one in again])
        for place, look in zip(again, both, strict=True):
            found[place].update(self._peaks(look, group[place][1], names[place]))
        return found

    def _looks(
        self, images: Sequence[Image], group: Sequence[tuple[int, Window]], before: Sequence[Look] = ()
    ) -> list[Look]:
        """Look at windows of one size, but for those that are remembered.

        With the first looks ``before``, look at the mirrored windows and return the means of both.
        """
        keys = [(images[number].digest, window, bool(before)) for number, window in group]
        found = {key: look for key in keys if (look := self._remembered.get(key)) is not None}
        new = {key: place for place, key in enumerate(keys) if key not in found}
        if new:
            pixels = [group[place][1].pixels(images[group[place][0]].pixels) for place in new.values()]
            inputs = _stacked(pixels, self.grounder.multiple)
            looks = self._look(inputs, [before[place] for place in new.values()] if before else ())
            for key, look in zip(new, looks, strict=True):
                found[key] = look
                self._remembered.put(key, look)
        return [found[key] for key in keys]

    def _look(self, inputs: Array, before: Sequence[Look] = ()) -> list[Look]:
        """Look at pictures (B, 3, H, W) as :func:`_stacked` makes them, or at them mirrored where there was a look."""
        places, sides = self.grounder.engine(np.ascontiguousarray(inputs[..., ::-1]) if before else inputs)
        if not (np.isfinite(places).all() and np.isfinite(sides).all()):
            raise ModelError("the nano grounder gave no finite numbers: its weights are broken or badly trained")
        if before:  # heat is linear in the embeddings: their mean gives the mean of the two heat maps
            places, sides = places[..., ::-1], sides[:, [2, 1, 0, 3], :, ::-1]
            pairs = zip(before, places, sides, strict=True)
            return [Look((one.places + other) / 2, (one.sides + far) / 2) for one, other, far in pairs]
        if len(inputs) == 1:
            return [Look(places[0], sides[0])]
        # Each look holds its own numbers, not the whole batch.
        return [Look(one.copy(), other.copy()) for one, other in zip(places, sides, strict=True)]

    def _is_hinted(self, place: int, peaks: Peaks) -> bool:
        """Tell whether a name has a peak that may be worth a second look."""
        return bool((self._scores(place, peaks.logits) >= self.config.hint).any())

    def _scores(self, place: int, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn logits of a name's heat map into likelihoods."""
        name = self.grounder.names[place]
        return np.asarray(1 / (1 + np.exp(-(name.slope * logits + name.intercept))))

    def _peaks(self, look: Look, window: Window, asked: Sequence[int]) -> dict[int, Peaks]:
        """Find where names, by their places in the vocabulary, are likelier than all around."""
        # The grey beside the picture holds nothing.
        rows, columns = (-(-side // STRIDE) for side in window.seen[::-1])
        heat = self.grounder.head.heat(look.places[None], self.grounder.vectors[list(asked)])[0]
        limit = np.array([*window.seen, *window.seen])
        every = zip(asked, heat, strict=True)
        return {
            place: _peaks_of(one, look.sides, (rows, columns), limit, partial(self._are_given, place))
            for place, one in every
        }

    def _are_given(self, place: int, logits: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which peaks of a name are likely enough to be given."""
        name = self.grounder.names[place]
        threshold = name.threshold if self.config.threshold is None else self.config.threshold
        return np.asarray(self._scores(place, logits) >= threshold)

    def _detections(self, found: dict[int, list[Peaks]]) -> list[Detection]:
        """Join what the windows of one picture show, name by name."""
        every = []
        for place, windows in found.items():
            boxes = np.concatenate([peaks.boxes for peaks in windows])
            name = self.grounder.names[place]
            logits = np.concatenate([peaks.logits for peaks in windows])
            given = self._are_given(place, logits)
            boxes, scores = boxes[given], self._scores(place, logits[given])
            for number in box_arrays.nms(boxes, scores, self.config.suppress):
                x1, y1, x2, y2 = boxes[number].tolist()
                every.append(Detection((x1, y1, x2, y2), float(scores[number]), name.name))
        return sorted(every, key=lambda one: -one.score)


def _groups(looks: Sequence[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
    """Put windows of one size together, as many as are seen at once."""
    by_size: dict[tuple[int, int], list[tuple[int, Window]]] = {}
    for look in looks:
        by_size.setdefault(look[1].seen, []).append(look)
    for (width, height), same in by_size.items():
        count = max(1, _PIXELS_AT_ONCE // (width * height))
        for start in range(0, len(same), count):
            yield same[start : start + count]


def _stacked(pixels: Sequence[NDArray[np.uint8]], multiple: int) -> Array:
    """Put pictures of one size into (B, 3, H, W) float32 about 0, grey at the right and bottom up to a multiple."""
    height, width = pixels[0].shape[:2]
    rows, columns = (-(-side // multiple) * multiple for side in (height, width))
    stacked = np.zeros((len(pixels), 3, rows, columns), np.float32)
    for number, one in enumerate(pixels):
        seen = stacked[number, :, :height, :width]
        np.subtract(one.transpose(2, 0, 1), np.float32(_GREY), out=seen)
        seen /= np.float32(_SPREAD)
    return stacked


def _peaks_of(
    heat: Array,
    sides: Array,
    inside: tuple[int, int],
    limit: NDArray[np.int64],
    are_given: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
) -> Peaks:
    """Return the best peaks of a heat map (h, w) that lie inside so many rows and columns, and their boxes.

    Those that are not given in the end, by their logits, have the box that the peak alone says.
    """
    least = np.log(MIN_LIKELIHOOD / (1 - MIN_LIKELIHOOD))
    tops = (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat >= least)
    rows, columns = np.nonzero(tops)
    best = np.argsort(-heat[rows, columns], kind="stable")[:MAX_PEAKS]
    rows, columns = rows[best], columns[best]
    x, y = (columns + 0.5) * STRIDE, (rows + 0.5) * STRIDE
    left, top, right, bottom = sides[:, rows, columns].astype(np.float64)
    boxes = np.stack([x - left, y - top, x + right, y + bottom], axis=1)
    logits = heat[rows, columns].astype(np.float64)
    for number in np.flatnonzero(are_given(logits)):
        boxes[number] = _settled(heat, sides, int(rows[number]), int(columns[number]))
    boxes = np.clip(boxes, 0, limit)
    sound = (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1) & (rows < inside[0]) & (columns < inside[1])
    return Peaks(boxes[sound], logits[sound])


def _settled(heat: Array, sides: Array, row: int, column: int) -> NDArray[np.float64]:
    """Return the box (4,) of a peak: the mean of those that the places under its bump give, as far as they agree.

    Each of them was taught that box. They count by the square of their likelihood.
    """
    left, top, right, bottom = sides[:, row, column].tolist()
    across, down = bump_reach(left + right), bump_reach(top + bottom)
    y1, x1 = max(0, row - down), max(0, column - across)
    under = (slice(y1, row + down + 1), slice(x1, column + across + 1))
    some = sides[:, *under].astype(np.float64)
    y, x = np.ogrid[y1 : y1 + some.shape[1], x1 : x1 + some.shape[2]]
    x, y = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
    boxes = np.stack([x - some[0], y - some[1], x + some[2], y + some[3]], axis=-1)
    own = (row - y1, column - x1)
    agree = box_arrays.iou(boxes.reshape(-1, 4), boxes[own][None]).reshape(boxes.shape[:2]) >= _MIN_AGREEMENT
    agree[own] = True  # also where it has no area, and agrees with nothing
    weight = np.exp(-2 * np.logaddexp(0, -heat[under][agree].astype(np.float64)))
    return np.asarray(weight @ boxes[agree] / weight.sum())


def _placed(peaks: Peaks, window: Window) -> Peaks:
    """Turn what a window shows into pixels of the picture; things that its edge may have cut are left out."""
    whole = window.whole(peaks.boxes)
    return Peaks(window.to_picture(peaks.boxes[whole]), peaks.logits[whole])


# -- where the grounder looks, and how closely: one rule, from the size of the picture alone -------------


HALF = 0.5
"""Scale of usual pictures: with it the network has half the pixels of both, and a quarter of the work."""
MIN_EDGE = 256
"""Shortest longest edge that is looked at, in pixels."""
MAX_ENLARGED = 4.0
WHOLE = 800
"""Longest edge that is looked at in one piece."""
WINDOW = 640
"""Edge of a window in pixels of what is looked at."""
OVERLAP = 128
"""What two windows share along an axis: things up to this size lie wholly in one of them."""
COARSER = 4
"""How much smaller each further look is."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, in its pixels, and the size at which it is looked at."""

    x: int
    y: int
    width: int
    height: int
    seen: tuple[int, int]  # width, height in pixels of what the network sees
    # Whether the left, top, right and bottom edge lie inside the picture, so that things may be cut there.
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def pixels(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (h, w, 3) what the network sees of a picture (H, W, 3)."""
        part = picture[self.y : self.y + self.height, self.x : self.x + self.width]
        if self.seen == (self.width, self.height):
            return part
        how = cv2.INTER_AREA if self.seen[0] < self.width else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, self.seen, interpolation=how), np.uint8)

    def to_picture(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn (K, 4) boxes in pixels of what is seen into pixels of the picture, clipped to this window."""
        scale = np.array([self.width / self.seen[0], self.height / self.seen[1]] * 2)
        offset = np.array([self.x, self.y] * 2)
        limit = np.array([self.width, self.height] * 2)
        return np.asarray(np.clip(boxes * scale, 0, limit) + offset)

    def whole(self, boxes: NDArray[np.float64], margin: float = 2.0) -> NDArray[np.bool_]:
        """Say which (K, 4) boxes in pixels of what is seen do not end at an edge that may cut them."""
        width, height = self.seen
        gaps = np.stack([boxes[:, 0], boxes[:, 1], width - boxes[:, 2], height - boxes[:, 3]], axis=1)
        return np.asarray(((gaps > margin) | ~np.array(self.inner)).all(axis=1))


def scale_of(width: int, height: int, zoom: float = 1.0) -> float:
    """Return the scale at which a picture of a size in pixels is seen first, ``zoom`` times closer.

    Example:
        >>> scale_of(1000, 800), scale_of(400, 300), scale_of(128, 128)
        (0.5, 0.64, 2.0)
    """
    return min(max(HALF, MIN_EDGE / max(width, height)), MAX_ENLARGED) * zoom


def windows_of(width: int, height: int, zoom: float = 1.0) -> list[Window]:
    """List where to look, in a picture of a size in pixels.

    Example:
        >>> windows_of(1000, 800)
        [Window(x=0, y=0, width=1000, height=800, seen=(500, 400), inner=(False, False, False, False))]
        >>> len(windows_of(4000, 3000))
        13
    """
    scale = scale_of(width, height, zoom)
    found: list[Window] = []
    while True:
        found += _level(width, height, scale)
        if max(width, height) * scale <= WHOLE:
            return found
        scale /= COARSER


def _level(width: int, height: int, scale: float) -> Iterator[Window]:
    for y1, y2 in _parts(height, scale):
        for x1, x2 in _parts(width, scale):
            seen = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
            inner = (x1 > 0, y1 > 0, x2 < width, y2 < height)
            yield Window(x1, y1, x2 - x1, y2 - y1, seen, inner)


def _parts(length: int, scale: float) -> list[tuple[int, int]]:
    """Cut one axis: in one piece when it is short enough, else into equal windows that share at least the overlap."""
    if length * scale <= WHOLE:
        return [(0, length)]
    side, step = int(WINDOW / scale), (WINDOW - OVERLAP) / scale
    count = int(np.ceil((length - side) / step)) + 1
    starts = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]
