"""Prompts: the geometry that a promptable segmenter is given, one prompt per target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import GeometryError
from fiducial.geometry.frames import Frame, numbers

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One target: a box and/or points, in the numbers of one frame.

    Args:
        frame: the frame of every coordinate here.
        box: x1, y1, x2, y2 with x1 < x2 and y1 < y2, or None.
        points: (x, y) pairs; may lie outside the image.
        point_labels: one per point: 1 on the target, 0 beside it. Default: all 1.
        label: what the target is called, or None.
        score: confidence in 0..1, or None when nobody measured one.

    Example:
        >>> Prompt(Frame.unit(), box=(0.1, 0.2, 0.5, 0.6)).to(Frame.pixels(100, 200)).box
        (10.0, 40.0, 50.0, 120.0)
    """

    frame: Frame
    box: Box | None = None
    points: tuple[Point, ...] = ()
    point_labels: tuple[int, ...] | None = None
    label: str | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.box is not None:
            put(self, "box", numbers(self.box, 4, "a box"))
            x1, y1, x2, y2 = self.box
            if not (x1 < x2 and y1 < y2):
                raise GeometryError(f"a box needs x1 < x2 and y1 < y2, got ({x1:g}, {y1:g}, {x2:g}, {y2:g})")
        if not isinstance(self.frame, Frame):
            raise GeometryError(f"a prompt needs a Frame, got {type(self.frame).__name__}")
        points = _listed(self.points, "points")
        put(self, "points", tuple(numbers(point, 2, "a point") for point in points))
        labels = (1,) * len(points) if self.point_labels is None else _listed(self.point_labels, "point labels")
        if any(label not in (0, 1) for label in labels):
            raise GeometryError(f"point labels are 1 (on the target) or 0, got {tuple(labels)}")
        put(self, "point_labels", tuple(int(label) for label in labels))
        if len(self.labels) != len(self.points):
            raise GeometryError(f"{len(self.points)} points but {len(self.labels)} point labels")
        if self.box is None and not self.points:
            raise GeometryError("a prompt needs a box or at least one point")
        if self.score is not None:
            put(self, "score", numbers((self.score,), 1, "a score")[0])

    @property
    def labels(self) -> tuple[int, ...]:
        """One label per point: 1 on the target, 0 beside it."""
        return self.point_labels or ()

    @property
    def positive_points(self) -> tuple[Point, ...]:
        """The points that lie on the target."""
        return tuple(p for p, kind in zip(self.points, self.labels, strict=True) if kind == 1)

    @property
    def negative_points(self) -> tuple[Point, ...]:
        """The points that lie beside the target."""
        return tuple(p for p, kind in zip(self.points, self.labels, strict=True) if kind == 0)

    def to(self, frame: Frame) -> Prompt:
        """Return the same prompt with its coordinates in another frame of the same image."""
        if frame == self.frame:
            return self
        box = None if self.box is None else tuple(self.frame.boxes_to(self.box, frame).tolist())
        points = tuple(map(tuple, self.frame.points_to(self.points, frame).tolist())) if self.points else ()
        return replace(self, frame=frame, box=box, points=points)

    def with_points(self, points: Iterable[Point], labels: Iterable[int] | None = None) -> Prompt:
        """Return this prompt with further points of the same frame (positive unless said)."""
        new = tuple(points)
        kinds = (1,) * len(new) if labels is None else tuple(labels)
        return replace(self, points=self.points + new, point_labels=self.labels + kinds)

    def as_json(self) -> dict[str, Any]:
        """Return the prompt as plain JSON values: label, score, box, points, point_labels."""
        return {
            "label": self.label,
            "score": self.score,
            "box": None if self.box is None else [*self.box],
            "points": [[*point] for point in self.points],
            "point_labels": [*self.labels],
        }


@dataclass(frozen=True, slots=True)
class Prompts(Sequence[Prompt]):
    """All prompts of one answer, in one frame, in the order in which they were written."""

    frame: Frame
    items: tuple[Prompt, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.frame, Frame):
            raise GeometryError(f"prompts need a Frame, got {type(self.frame).__name__}")
        object.__setattr__(self, "items", _listed(self.items, "prompts"))
        for prompt in self.items:
            if not isinstance(prompt, Prompt):
                raise GeometryError(f"prompts need to be of type Prompt, got {type(prompt).__name__}")
            self.frame.require(prompt.frame, "the prompts")

    @classmethod
    def from_boxes(
        cls,
        frame: Frame,
        boxes: Iterable[Sequence[float]],
        *,
        labels: Sequence[str | None] | None = None,
        scores: Sequence[float | None] | None = None,
    ) -> Prompts:
        """Make one prompt per box x1, y1, x2, y2 of the frame, with the label and the score of each."""
        rows = list(boxes)
        names = [None] * len(rows) if labels is None else list(labels)
        trust = [None] * len(rows) if scores is None else list(scores)
        if not len(rows) == len(names) == len(trust):
            raise GeometryError(f"{len(rows)} boxes, {len(names)} labels, {len(trust)} scores")
        prompts = (
            Prompt(frame, box=numbers(box, 4, "a box"), label=name, score=score)
            for box, name, score in zip(rows, names, trust, strict=True)
        )
        return cls(frame, tuple(prompts))

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(N, 4) float64 boxes x1, y1, x2, y2; a row of NaN where a prompt has points only."""
        rows = [(math.nan,) * 4 if prompt.box is None else prompt.box for prompt in self.items]
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def to(self, frame: Frame) -> Prompts:
        """Return the same prompts with their coordinates in another frame of the same image."""
        return Prompts(frame, tuple(prompt.to(frame) for prompt in self.items))

    def fitted(self) -> tuple[Prompts, tuple[str, ...]]:
        """Clip to the image: edges are moved onto its border, what lies wholly outside goes.

        Returns:
            The prompts that keep a box or a positive point, and one note per change.
        """
        kept, notes = [], []
        for number, prompt in enumerate(self.items, start=1):
            box = prompt.box and self.frame.clip_box(prompt.box)
            if box and not (box[0] < box[2] and box[1] < box[3]):
                notes.append(f"target {number}: its box lies outside the image")
                box = None
            elif box != prompt.box:
                notes.append(f"target {number}: its box was clipped to the image")
            placed = zip(prompt.points, prompt.labels, strict=True)
            spots = [(point, kind) for point, kind in placed if self.frame.clip_point(point) == point]
            lost = len(prompt.points) - len(spots)
            if lost:
                notes.append(f"target {number}: dropped {lost} point{'s' * (lost > 1)} outside the image")
            if box is not None or any(kind for _, kind in spots):
                points, kinds = tuple(point for point, _ in spots), tuple(kind for _, kind in spots)
                kept.append(replace(prompt, box=box, points=points, point_labels=kinds))
        return Prompts(self.frame, tuple(kept)), tuple(notes)

    @property
    def numbers(self) -> list[float]:
        """Every coordinate of every box and point, in order."""
        return [
            value
            for prompt in self.items
            for value in (*(prompt.box or ()), *(edge for point in prompt.points for edge in point))
        ]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the prompts as plain JSON values, in their own frame."""
        return [prompt.as_json() for prompt in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> Prompts: ...
    def __getitem__(self, index: int | slice) -> Prompt | Prompts:
        if isinstance(index, slice):
            return Prompts(self.frame, self.items[index])
        return self.items[index]


def fractions_note(frame: Frame, numbers: Sequence[float]) -> str:
    """Say so where coordinates written for a frame are all fractions of 1 although it is much larger; else ""."""
    if not numbers or min(abs(frame.width), abs(frame.height)) <= 10:
        return ""
    if not all(0 <= value <= 1 for value in numbers) or not any(0 < value < 1 for value in numbers):
        return ""
    return f"the numbers look like fractions (0..1), this frame reaches {frame.extents[0][1]:g}: not rescaled"


def _listed(values: Any, what: str) -> tuple[Any, ...]:
    try:
        return tuple(values)
    except TypeError:
        raise GeometryError(f"{what} need to be a list or tuple, got {values!r}") from None
