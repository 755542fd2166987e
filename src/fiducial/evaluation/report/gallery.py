"""The gallery: a few samples as pictures, with what is true and what was predicted drawn on them."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fiducial.datasets import Dataset
from fiducial.errors import InputError
from fiducial.evaluation.record import Record
from fiducial.evaluation.run import Run
from fiducial.evaluation.summary import Summary, known_rows
from fiducial.geometry import Box, Mask
from fiducial.images import Image
from fiducial.overlays.drawing import outline, point, rectangle, tint
from fiducial.overlays.page import Display

Pixels = NDArray[np.uint8]

TRUTH, PREDICTION = (0, 190, 255), (255, 130, 0)
"""Colours of what is true and what was predicted; the colour-blind can tell them apart too."""

MAX_SIDE = 420
"""Longest side of a picture in the gallery, in pixels."""

_MIN_SIDE = 240
_ZOOM = 0.4
_MARGIN = 0.35
_MIN_CUT = 64
_NEAR = 3
_MAX_TEXT = 1500


class Choice(NamedTuple):
    """Which samples are shown, by index: the worst and the best ones first, the random ones rising."""

    worst: tuple[int, ...]
    best: tuple[int, ...]
    random: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rated:
    """A sample that may be shown; several may be about one picture."""

    index: int
    iou: float
    picture: str = ""
    has_target: bool = True


def choose(rated: Sequence[Rated], count: int, seed: int = 0) -> Choice:
    """Choose samples for the gallery, ``count`` of each kind at most; best and worst share none.

    Among equals chance decides, by the seed. A group shows different pictures where it can, and among the best those
    with a target come first: a right "there is nothing" makes no telling picture.
    """
    chance = random.Random(seed)
    known = sorted(rated, key=lambda one: one.index)
    drawn = chance.sample(known, min(count, len(known)))
    shuffled = chance.sample(known, len(known))
    rising = sorted(shuffled, key=lambda one: one.iou)
    falling = sorted(shuffled, key=lambda one: (not one.has_target, -one.iou))
    worst = _spread(rising, min(count, (len(known) + 1) // 2))
    best = _spread([one for one in falling if one not in worst], min(count, len(known) // 2))
    drawn.sort(key=lambda one: one.index)
    return Choice(*(tuple(one.index for one in kind) for kind in (worst, best, drawn)))


def _spread(ranked: Sequence[Rated], count: int) -> list[Rated]:
    """Take the first ones, of different pictures as far as the first few allow: they should still be the first."""
    near = ranked[: _NEAR * count]
    first: list[Rated] = []
    again: list[Rated] = []
    seen = set()
    for one in near:
        (again if one.picture in seen and one.picture else first).append(one)
        seen.add(one.picture)
    return sorted((first + again)[:count], key=near.index)


@dataclass(frozen=True, slots=True)
class Case:
    """One sample of the gallery: its record, its IoU as the policy counts it, its pictures as ``data:`` addresses."""

    record: Record
    iou: float | None
    views: tuple[str, ...] = ()

    @property
    def has_no_target(self) -> bool:
        """Whether there is nothing to find, which a picture cannot show."""
        truth = self.record.truth_mask
        return not self.record.truth_boxes if truth is None else not truth

    @property
    def answer(self) -> str:
        """What the prompter thought, said and wrote, cut to a length that can be read."""
        text = "\n".join(filter(None, (self.record.thinking, self.record.text, self.record.raw)))
        return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + f" ... ({len(text):,} characters)"


def gather(run: Run, summary: Summary, dataset: Dataset | None, count: int) -> tuple[dict[str, list[Case]], str]:
    """Return up to ``count`` worst, best and random cases of a run, and a note on pictures that are missing.

    The pictures come from ``dataset``; None leaves them out.
    """
    rows = {row.index: row for row in known_rows(summary.rows)}
    rated = [Rated(row.index, row.quality or 0.0, row.picture, row.score.has_target) for row in rows.values()]
    choice = choose(rated, count, int(run.settings["seed"]))
    cases, note = {}, ""
    for record in run.records():
        if any(record.index in kind for kind in choice):
            views: tuple[str, ...] = ()
            try:
                views = () if dataset is None else _views(record, dataset)
            except (InputError, IndexError) as error:
                note = f"Pictures are missing: {error}"
            cases[record.index] = Case(record, rows[record.index].quality, views)
    named = zip(("Worst", "Best", "Random"), choice, strict=True)
    return {name: [cases[index] for index in indices] for name, indices in named}, note


def _views(record: Record, dataset: Dataset) -> tuple[str, ...]:
    image = dataset[record.index].image()
    if image.digest != record.picture:
        raise InputError(f"the picture of {record.id} is not the one that was measured")
    return tuple(pictures(record, image))


def pictures(record: Record, image: Image) -> list[str]:
    """Draw a sample: the whole picture, and a closer view where what there is to see is small in it.

    The closer view holds target and prediction where both fit into it, else the target alone; all are JPEG pictures
    as ``data:`` addresses.
    """
    drawn = [_draw(record, image, (0, 0, image.width, image.height))]
    close = _close_view(record, image)
    if close is not None:
        drawn.append(_draw(record, image, close))
    return [_data(picture) for picture in drawn]


def _draw(record: Record, image: Image, view: tuple[int, int, int, int]) -> Pixels:
    x1, y1, x2, y2 = view
    piece = Image(np.ascontiguousarray(image.pixels[y1:y2, x1:x2]), name=image.name)
    scale = min(MAX_SIDE / max(piece.width, piece.height), 8.0)
    if scale > 1:
        scale = max(1.0, math.floor(min(scale, math.ceil(_MIN_SIDE / max(piece.width, piece.height)))))
    shown = Display(piece.width, piece.height, max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    picture = shown.resize(piece)
    predicted, truth = _cut(record.mask, view), record.truth_mask
    coverage, x, y = shown.coverage(predicted)
    if coverage.size:
        tint(picture, coverage, x, y, PREDICTION, 0.3)
    _line(picture, shown, predicted, PREDICTION)
    if truth is not None:
        _line(picture, shown, _cut(truth, view), TRUTH)
    else:
        for box in record.truth_boxes:
            rectangle(picture, shown.box(_moved(box, view)), TRUTH, 2)
    for prompt in record.decoded_prompts():
        if prompt.box is not None:
            rectangle(picture, shown.box(_moved(prompt.box, view)), PREDICTION, 1)
        for place, kind in zip(prompt.points, prompt.labels, strict=True):
            at = shown.place((place[0] - x1, place[1] - y1))
            point(picture, at, 4.0, PREDICTION, positive=kind == 1)
    return picture


def _line(picture: Pixels, shown: Display, mask: Mask, colour: tuple[int, int, int]) -> None:
    coverage, x, y = shown.coverage(mask)
    if coverage.size:
        outline(picture, coverage >= 128, x, y, colour, 2)


def _moved(box: Box, view: tuple[int, int, int, int]) -> Box:
    return box[0] - view[0], box[1] - view[1], box[2] - view[0], box[3] - view[1]


def _cut(mask: Mask, view: tuple[int, int, int, int]) -> Mask:
    x1, y1, x2, y2 = view
    if (x1, y1, x2, y2) == (0, 0, mask.width, mask.height):
        return mask
    return Mask.from_dense(mask.to_dense()[y1:y2, x1:x2])


def _close_view(record: Record, image: Image) -> tuple[int, int, int, int] | None:
    """Return the part of the picture that holds what there is to see; None when that is most of the picture."""
    truth = record.truth_mask
    true = [*record.truth_boxes, *([truth.box] if truth is not None and truth.box is not None else [])]
    found = [prompt.box for prompt in record.decoded_prompts() if prompt.box is not None]
    found += [record.mask.box] if record.mask.box is not None else []
    return _around([*true, *found], image) or _around(true, image)


def _around(boxes: Sequence[Box], image: Image) -> tuple[int, int, int, int] | None:
    """Return the part of a picture around boxes, with a margin; None when there are none, or they take too much."""
    if not boxes:
        return None
    corners = np.array(boxes)
    (left, top), (right, bottom) = corners[:, :2].min(0).tolist(), corners[:, 2:].max(0).tolist()
    margin = max(_MARGIN * max(right - left, bottom - top), (_MIN_CUT - max(right - left, bottom - top)) / 2)
    x1, y1 = max(0, math.floor(left - margin)), max(0, math.floor(top - margin))
    x2, y2 = min(image.width, math.ceil(right + margin)), min(image.height, math.ceil(bottom + margin))
    if x2 <= x1 or y2 <= y1 or max(x2 - x1, y2 - y1) > _ZOOM * max(image.width, image.height):
        return None
    return x1, y1, x2, y2


def _data(picture: Pixels) -> str:
    import cv2

    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
