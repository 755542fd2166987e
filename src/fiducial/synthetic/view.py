"""Views: the things of one picture, named and measured, with the colours that they certainly have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import InputError
from fiducial.geometry import Box, Frame, Mask, Prompt
from fiducial.images import Image
from fiducial.language.candidates import COLOURS, Candidate, colour_names
from fiducial.synthetic.vocabulary import UNCOUNTABLE, spoken

CLEAR = 0.45
"""A thing clearly has a hue when this share of its pixels has it ..."""
CLEAR_OF_HUES = 0.75
"""... and this share of those that have any hue: cars have dark windows and white roofs."""
CLEAR_GREYS = 0.6
"""A thing clearly is black, white or grey when this share of its pixels is."""
CERTAIN = 0.3
"""Of its pixels, this share must have the colour certainly, that is away from the borders of the term."""
POSSIBLE, ALMOST = 0.15, 0.35
"""A thing may be called by a colour from this share on, or from that share of pixels near the term's borders."""
_GREYS = ("black", "white", "grey")
_STEPS = 32
_REACH = 1
"""Neighbouring cells of 8 x 8 x 8 RGB values within which another observer's borders may lie."""


@dataclass(frozen=True, slots=True)
class ColourReading:
    """What can be said of one thing's colour.

    Args:
        shares: share of its pixels per colour term, in 0..1.
        clear: the terms that it certainly has: one, or none.
        possible: the terms that somebody could use for it.
    """

    shares: dict[str, float]
    clear: frozenset[str]
    possible: frozenset[str]


def read_colours(pixels: ArrayLike) -> ColourReading:
    """Read the colours of a thing from its (N, 3) uint8 RGB pixels, of which there is one at least."""
    rgb = np.asarray(pixels, dtype=np.uint8).reshape(-1, 3)
    named = np.bincount(colour_names(rgb), minlength=len(COLOURS)) / len(rgb)
    cells = rgb // (256 // _STEPS)
    bits = _bits()[cells[:, 0], cells[:, 1], cells[:, 2]]
    certain = np.array([(bits == 1 << k).mean() for k in range(len(COLOURS))])
    possible = np.array([(bits & (1 << k) != 0).mean() for k in range(len(COLOURS))])
    most = COLOURS[int(np.argmax(named))]
    near = {COLOURS[k] for k in np.flatnonzero((named >= POSSIBLE) | (possible >= ALMOST))}
    shares = {COLOURS[k]: float(named[k]) for k in np.argsort(-named, kind="stable") if named[k] > 0}
    is_certain = certain[COLOURS.index(most)] >= CERTAIN and _is_clear(most, shares)
    return ColourReading(shares, frozenset({most} if is_certain else ()), frozenset(near | {most}))


def _is_clear(colour: str, shares: dict[str, float]) -> bool:
    if colour in _GREYS:
        return shares[colour] >= CLEAR_GREYS
    hues = sum(share for name, share in shares.items() if name not in _GREYS)
    return shares[colour] >= max(CLEAR, CLEAR_OF_HUES * hues)


def stated_colour(colour: str) -> ColourReading:
    """Return the reading of a thing whose colour is known because it was drawn so."""
    return ColourReading({colour: 1.0}, frozenset({colour}), frozenset({colour}))


def inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the mixed colours of the rim of an (H, W) bool mask, unless little would be left."""
    core = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return np.asarray(core if core.sum() * 4 >= mask.sum() else mask).astype(bool)


@cache
def _bits() -> NDArray[np.uint16]:
    """Return, per cell of the RGB cube, one bit for each term that occurs in its neighbourhood."""
    levels = (np.arange(_STEPS) * (256 // _STEPS)).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    names = colour_names(cube)
    bits = np.zeros(names.shape, dtype=np.uint16)
    for k in range(len(COLOURS)):
        padded = np.pad(names == k, _REACH)
        near = np.lib.stride_tricks.sliding_window_view(padded, (2 * _REACH + 1,) * 3).any(axis=(3, 4, 5))
        bits |= near.astype(np.uint16) << np.uint16(k)
    bits.setflags(write=False)
    return bits


MIN_BOX_SIDE = 7.0
"""Things whose box is thinner than this many pixels are overlooked, ..."""
MIN_SHARE, MIN_CUT_SHARE = 0.0004, 0.003
"""... and so are those that cover less of the picture than this; more is needed of what the border cuts, since
an elbow at the border is a person only to an annotator."""
MAX_ALIKE = 20
"""Above this number of things of one name nobody counts, and annotators stop as well."""


@dataclass(frozen=True)
class Thing:
    """One instance: its number in the picture, what people call it, its box x1, y1, x2, y2 and area in pixels."""

    index: int
    name: str
    box: Box
    area: float
    mask: Mask | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """Centre x, y of the box in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def box_area(self) -> float:
        """Area of the box in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True, eq=False)
class View:
    """All things of one picture.

    Args:
        things: the things, in the order of the picture's instances.
        read: returns the picture; asked only when colours are needed. None: colours are not spoken of.
        stated: the colour of each thing where it is known because it was drawn; else measured.
    """

    height: int
    width: int
    things: tuple[Thing, ...]
    read: Callable[[], Image] | None = None
    stated: tuple[ColourReading, ...] | None = None
    _readings: dict[int, ColourReading | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        labels: Sequence[str],
        *,
        masks: Sequence[Mask] | None = None,
        boxes: Sequence[Box] | None = None,
        read: Callable[[], Image] | None = None,
        stated: Sequence[ColourReading] | None = None,
    ) -> View:
        """Make a view of the N instances of a picture of height, width in pixels.

        Each has a label, a mask that is not empty or else a box x1, y1, x2, y2 in pixels, and perhaps a known colour;
        ``read`` returns the picture.
        """
        places = list(boxes) if boxes is not None else [mask.box for mask in masks or ()]
        if (masks is None and boxes is None) or len(labels) != len(places):
            raise InputError(f"{len(labels)} labels for {len(places)} masks or boxes: every instance needs both")
        things = []
        for index, (label, box) in enumerate(zip(labels, places, strict=True)):
            if box is None:
                raise InputError(f"instance {index} ('{label}') has an empty mask")
            mask = masks[index] if masks is not None else None
            own = float(mask.area) if mask is not None else (box[2] - box[0]) * (box[3] - box[1])
            things.append(Thing(index, spoken(label), box, own, mask))
        return cls(size[0], size[1], tuple(things), read, None if stated is None else tuple(stated))

    @property
    def frame(self) -> Frame:
        """The pixel frame of the picture."""
        return Frame.pixels(self.width, self.height)

    @property
    def names(self) -> frozenset[str]:
        """Every name that occurs."""
        return frozenset(thing.name for thing in self.things)

    @cached_property
    def groups(self) -> dict[str, tuple[Thing, ...]]:
        """The things that can be spoken of, by name: all of one name, when all of them can be seen."""
        found: dict[str, list[Thing]] = {}
        for thing in self.things:
            found.setdefault(thing.name, []).append(thing)
        return {
            name: tuple(group)
            for name, group in found.items()
            if name not in UNCOUNTABLE and len(group) <= MAX_ALIKE and all(map(self._is_visible, group))
        }

    def _is_visible(self, thing: Thing) -> bool:
        x1, y1, x2, y2 = thing.box
        share = MIN_CUT_SHARE if self.is_cut(thing) else MIN_SHARE
        return thing.area >= share * self.width * self.height and min(x2 - x1, y2 - y1) >= MIN_BOX_SIDE

    def is_cut(self, thing: Thing) -> bool:
        """Say whether a thing reaches the picture's border, so that part of it may lie outside."""
        x1, y1, x2, y2 = thing.box
        return min(x1, y1) < 1.5 or x2 > self.width - 1.5 or y2 > self.height - 1.5

    def colours(self, thing: Thing) -> ColourReading | None:
        """Return what can be said of a thing's colour, or None where nothing was measured."""
        if self.stated is not None:
            return self.stated[thing.index]
        if thing.index not in self._readings:
            self._readings[thing.index] = self._measured(thing)
        return self._readings[thing.index]

    def _measured(self, thing: Thing) -> ColourReading | None:
        if self.read is None or thing.mask is None:
            return None
        x1, y1, x2, y2 = (round(value) for value in thing.box)
        pixels = self.picture.pixels[y1:y2, x1:x2]
        return read_colours(pixels[inside(np.asarray(thing.mask.to_dense()[y1:y2, x1:x2]))])

    @cached_property
    def picture(self) -> Image:
        """The picture, read once."""
        if self.read is None:
            raise InputError("this view was made without a picture")
        return self.read()

    def candidates(self, *, coloured: bool) -> list[Candidate]:
        """Return the things as the candidates of a phrase; their colours may have to be measured."""
        found = []
        for thing in self.things:
            reading = self.colours(thing) if coloured else None
            prompt = Prompt(self.frame, box=thing.box, label=thing.name)
            found.append(Candidate(prompt, area=thing.area, colours=reading.shares if reading else {}))
        return found
