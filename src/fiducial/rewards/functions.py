"""Rewards as plain functions of a reply's text, of prompts and masks; a bad answer is a small number, never an error.

What was read of the published rewards, and what was not, stands with each function. Boxes and points are compared in
whichever frame both sides share; the published limits are pixels of the 840 x 840 canvas that the model is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import extra_needed
from fiducial.geometry import Frame, Mask, Prompt, Prompts, boxes
from fiducial.language import Answer, Outcome
from fiducial.language.dialects import Dialect
from fiducial.language.dialects.exact import NotExact, exact_json, exact_numbers
from fiducial.language.dialects.replies import MAX_CHARACTERS

Flags = NDArray[np.bool_]

_OPEN, _CLOSE = "<think>", "</answer>"
_BETWEEN = re.compile(r"</think>\s*+<answer>")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


# -- text -------------------------------------------------------------------------------------------------


def think_format(reply: str) -> float:
    r"""Say whether the whole reply is ``<think>..</think>``, white space, ``<answer>..</answer>``: 1 or 0.

    It accepts what the published ``<think>.*?</think>\s*<answer>.*?</answer>`` (full match, the dot takes every sign)
    accepts, in time linear in the text.

    Example:
        >>> think_format("<think>one ship</think> <answer>[]</answer>"), think_format("<answer>[]</answer>")
        (1.0, 0.0)
    """
    if not reply.startswith(_OPEN) or not reply.endswith(_CLOSE):
        return 0.0
    return float(_BETWEEN.search(reply, len(_OPEN), len(reply) - len(_CLOSE)) is not None)


def strict_format(reply: str, dialect: Dialect, frame: Frame) -> float:
    """Say whether the dialect's strict reader takes the reply from its first letter to its last: 1 or 0.

    For ``think2seg`` that means exactly two positive points an item and no key ``negative_points``, and a single bad
    item spoils all, as published. Stricter than published: the tags are needed, JSON is not repaired, and a number
    further past the canvas than half of it is refused.

    Args:
        reply: the whole completion.
        dialect: the form that it should have.
        frame: the dialect's frame of the image, as ``dialect.frame`` gives it.
    """
    outcome = dialect.decode(reply, frame, strict=True).outcome
    return float(outcome in (Outcome.FOUND, Outcome.NO_TARGET))


def item_format(reply: str, *, box_key: str = "bbox_2d", point_key: str = "point_2d") -> float:
    """Return how much of an answer's JSON list has the form of VisionReasoner, 0..1: the mean over its items.

    An item gets half for a box of four numbers and half for a point of two; an empty list is well formed. Published is
    only that items get 0 to 2 and are averaged: what earns them, and what an empty list gets, is our choice.

    Example:
        >>> item_format('<answer>[{"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]}, {"bbox_2d": [1, 2, 3, 4]}]</answer>')
        0.75
    """
    opened = reply.find("<answer>")
    closed = reply.find(_CLOSE, max(opened, 0))
    body = reply[opened + len("<answer>") if opened >= 0 else 0 : closed if closed >= 0 else len(reply)]
    try:
        items = exact_json(body.strip()) if len(body) <= MAX_CHARACTERS else None
    except NotExact:
        return 0.0
    if not isinstance(items, list):
        return 0.0
    earned = [_is_row(item, box_key, 4) + _is_row(item, point_key, 2) for item in items]
    return sum(earned) / (2 * len(earned)) if earned else 1.0


def non_repeat(reply: str, predicted: Prompts | None = None, *, max_repeats: int = 1) -> float:
    """Say whether a reply goes without repetition: 1, or 0 where more than ``max_repeats`` things were said before.

    Published (VisionReasoner) is 0 from two repeated sentences on. How sentences are told apart is not: here they end
    with a full stop, exclamation or question mark or a line, hold a letter, and stand before ``<answer>``; case and
    spaces do not count. Repeated boxes are ours, and count where prompts are given.

    Args:
        reply: the whole completion.
        predicted: what was read of it; its boxes are compared letter by letter.
        max_repeats: how many repeated sentences, and how many repeated boxes, are let pass.

    Example:
        >>> non_repeat("A ship. A ship. A pier."), non_repeat("A ship. A ship. A ship.")
        (1.0, 0.0)
    """
    thinking = reply.partition("<answer>")[0].replace("<think>", "\n").replace("</think>", "\n")
    pieces = [" ".join(piece.lower().split()) for piece in _SENTENCE.split(thinking)]
    sentences = [piece for piece in pieces if any(letter.isalpha() for letter in piece)]
    drawn = [prompt.box for prompt in predicted or () if prompt.box is not None]
    repeats = max(len(sentences) - len(set(sentences)), len(drawn) - len(set(drawn)))
    return float(repeats <= max_repeats)


# -- masks ------------------------------------------------------------------------------------------------


def mask_iou(predicted: Sequence[Mask] | None, truth: Sequence[Mask]) -> float:
    """Return the IoU of all predicted masks together and all true ones together, 0..1 (Think2Seg-RS).

    Where the truth has no pixel, an empty list of masks is right and gets 1, and any mask, even one without a pixel,
    gets 0: the published reward asks whether the list is empty.

    Args:
        predicted: one mask per predicted target; None: the answer could not be read, which gets 0.
        truth: one mask per true target, of the same canvas; none, or masks without a pixel: there is no target.

    Example:
        >>> ship = Mask.from_box((0, 0, 4, 4), 8, 8)
        >>> mask_iou([ship], [Mask.from_box((0, 0, 4, 8), 8, 8)]), mask_iou([], []), mask_iou([ship], [])
        (0.5, 1.0, 0.0)
    """
    if predicted is None:
        return 0.0
    if not any(truth):
        return float(not predicted)
    if not predicted:
        return 0.0
    return predicted[0].union(*predicted[1:]).iou(truth[0].union(*truth[1:]))


def no_target(answer: Answer, truth: Sequence[Mask]) -> float:
    """Say whether an answer is right about there being a target at all: 1 or 0; one that cannot be read is wrong."""
    if not any(truth):
        return float(answer.outcome is Outcome.NO_TARGET)
    return float(len(answer.prompts) > 0)


def suppress_duplicates(prompts: Prompts, threshold: float = 0.5) -> Prompts:
    """Leave out prompts whose box overlaps a larger one's by more than ``threshold`` IoU (Think2Seg-RS).

    What has points only stays. The order stays; of boxes of one size the first does.
    """
    boxed = [index for index, prompt in enumerate(prompts) if prompt.box is not None]
    kept = {boxed[int(place)] for place in boxes.nms_by_area(prompts.boxes[boxed], threshold)}
    kept |= set(range(len(prompts))) - set(boxed)
    return Prompts(prompts.frame, tuple(prompts[index] for index in sorted(kept)))


# -- boxes and points -------------------------------------------------------------------------------------


def box_iou(
    predicted: Prompts | None, truth: Prompts, *, threshold: float = 0.5, pixel_inclusive: bool = False
) -> float:
    """Return the share of boxes with IoU above ``threshold``, under the matching that makes it largest: 0..1.

    The count of matched pairs is divided by the larger of both numbers of targets, so that one too many costs as much
    as one too few. None of either is right and gets 1, which is ours: the published rewards know no empty truth.

    Args:
        predicted: what was read; None: the answer could not be read, which gets 0.
        truth: one prompt per true target, in the same frame.
        threshold: IoU that a pair has to exceed, 0..1.
        pixel_inclusive: take the far corner for the last pixel's number, so that sides are one longer.
    """
    return _share(predicted, truth, lambda one, other: _boxes_meet(one, other, threshold, pixel_inclusive))


def box_distance(predicted: Prompts | None, truth: Prompts, *, limit: float = 10.0) -> float:
    """Return the share of boxes whose four numbers are on average less than ``limit`` off: 0..1, as :func:`box_iou`."""
    return _share(predicted, truth, lambda one, other: _boxes_near(one, other, limit))


def point_distance(predicted: Prompts | None, truth: Prompts, *, limit: float = 30.0) -> float:
    """Return the share of targets whose points are right, under the best matching: 0..1, as :func:`box_iou`.

    Points are right when there are as many positive ones as in the truth, all lie inside the *predicted* box, and they
    are on average less than ``limit`` from the true ones, paired at their best (Seg-Zero: two points and 100 pixels,
    VisionReasoner: one and 30, both of an 840 x 840 canvas).
    """
    return _share(predicted, truth, lambda one, other: _points_near(one, other, limit))


def matched_accuracy(
    predicted: Prompts | None,
    truth: Prompts,
    *,
    min_iou: float = 0.5,
    max_box_distance: float = 10.0,
    max_point_distance: float = 30.0,
    pixel_inclusive: bool = False,
) -> Mapping[str, float]:
    """Return ``box_iou``, ``box_distance`` and ``point_distance``, each 0..1, under one matching for all three.

    Targets are matched (Hungarian algorithm) so that most of the three conditions hold; the counts are divided by the
    larger number of targets (VisionReasoner: sum / max(M, N), 0..3 together). What its cost is was not published where
    we could read it; among matchings with the same sum the one with most box IoU counts, then with most box distance,
    so that the order of the targets changes nothing.
    """
    names = ("box_iou", "box_distance", "point_distance")
    if predicted is None or not len(predicted) or not len(truth):
        return dict.fromkeys(names, float(predicted is not None and len(predicted) == len(truth)))
    truth.frame.require(predicted.frame, "the predicted prompts")
    agreement = np.stack(
        [
            _boxes_meet(predicted, truth, min_iou, pixel_inclusive),
            _boxes_near(predicted, truth, max_box_distance),
            _points_near(predicted, truth, max_point_distance),
        ]
    )
    base = min(agreement.shape[1:]) + 1
    rank = agreement.sum(axis=0) * base**2 + agreement[0] * base + agreement[1]
    rows, columns = _assign(rank)
    counts = agreement[:, rows, columns].sum(axis=1)
    return {name: float(count) / max(len(predicted), len(truth)) for name, count in zip(names, counts, strict=True)}


def true_prompts(truth: Sequence[Mask], frame: Frame, points: int = 1) -> Prompts:
    """Return what a perfect answer would say: a tight box and positive points for each mask that has a pixel.

    One point lies deepest inside (VisionReasoner: the maximum of the distance transform). Of several each is the centre
    of the largest circle that fits beside the ones before (Seg-Zero: "two largest inscribed circles"; how its authors
    found them was not published where we could read it, so letting the circles not overlap is ours).

    Args:
        truth: one mask per target.
        frame: of the image, in which the prompts are wanted.
        points: how many per target.
    """
    found = [
        Prompt(mask.frame, mask.box, tuple(_circle_centres(mask, points))).to(frame) for mask in truth if mask.area
    ]
    return Prompts(frame, tuple(found))


def _circle_centres(mask: Mask, count: int) -> list[tuple[float, float]]:
    if count <= 1:
        point = mask.inner_point()
        return [point] if point is not None and count else []
    with extra_needed("several points a target", "measure"):
        from scipy.ndimage import distance_transform_edt

    patch, left, top = mask.to_patch()
    free = np.pad(patch, 1)
    rows, columns = np.indices(free.shape)
    centres: list[tuple[float, float]] = []
    while len(centres) < count:
        if not free.any():  # a target of one pixel has room for one circle
            return centres + centres[-1:] * (count - len(centres))
        depth = distance_transform_edt(free)
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        centres.append((left + float(column) - 0.5, top + float(row) - 0.5))
        free &= (rows - row) ** 2 + (columns - column) ** 2 >= depth[row, column] ** 2
    return centres


def _is_row(item: Any, key: str, count: int) -> bool:
    try:
        return isinstance(item, dict) and len(exact_numbers(item.get(key), count, key)) == count
    except NotExact:
        return False


def _share(predicted: Prompts | None, truth: Prompts, compare: Any) -> float:
    """Match so that most pairs agree, and divide by the larger number of targets."""
    if predicted is None:
        return 0.0
    if not len(predicted) or not len(truth):
        return float(len(predicted) == len(truth))
    truth.frame.require(predicted.frame, "the predicted prompts")
    agreement = compare(predicted, truth)
    rows, columns = _assign(agreement)
    return float(agreement[rows, columns].sum()) / max(len(predicted), len(truth))


def _assign(gain: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    with extra_needed("matching answers with targets", "measure"):
        from scipy.optimize import linear_sum_assignment  # 0.3 s, and text rewards do not need it

    rows, columns = linear_sum_assignment(gain.astype(np.float64), maximize=True)
    return rows, columns


def _boxes_meet(predicted: Prompts, truth: Prompts, threshold: float, pixel_inclusive: bool) -> Flags:
    longer = np.array([0.0, 0.0, 1.0, 1.0]) if pixel_inclusive else 0.0
    overlaps = boxes.iou(np.nan_to_num(predicted.boxes) + longer, np.nan_to_num(truth.boxes) + longer)
    return np.asarray((overlaps > threshold) & _both_boxed(predicted, truth))


def _boxes_near(predicted: Prompts, truth: Prompts, limit: float) -> Flags:
    apart = np.abs(np.nan_to_num(predicted.boxes)[:, None] - np.nan_to_num(truth.boxes)[None]).mean(axis=2)
    return np.asarray((apart < limit) & _both_boxed(predicted, truth))


def _both_boxed(predicted: Prompts, truth: Prompts) -> Flags:
    one, other = (np.array([prompt.box is not None for prompt in prompts]) for prompts in (predicted, truth))
    return np.asarray(one[:, None] & other[None])


def _points_near(predicted: Prompts, truth: Prompts, limit: float) -> Flags:
    near = np.zeros((len(predicted), len(truth)), dtype=bool)
    for row, one in enumerate(predicted):
        if one.box is None or not one.positive_points:
            continue
        x1, y1, x2, y2 = one.box
        if not all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in one.positive_points):
            continue
        for column, other in enumerate(truth):
            if len(one.positive_points) == len(other.positive_points):
                gaps = np.array(one.positive_points)[:, None] - np.array(other.positive_points)[None]
                apart = np.hypot(gaps[..., 0], gaps[..., 1])
                rows, columns = _assign(-apart)
                near[row, column] = apart[rows, columns].mean() < limit
    return near
