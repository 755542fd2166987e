"""Scoring one sample under a policy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask, Prompts
from fiducial.geometry import runs as _runs
from fiducial.language import Outcome
from fiducial.metrics.boundaries import Spacing, outline_measures
from fiducial.metrics.boxes import (
    BoxOverlap,
    box_array,
    last_pixel_boxes,
    last_pixel_overlap,
    mask_boxes,
    mixed_ciou,
    overlap,
)
from fiducial.metrics.policies import Policy, Rule

_WITHOUT_ANSWER = (Outcome.NO_TARGET, Outcome.MALFORMED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class SampleScore:
    """What one sample contributes to totals and intervals; None where the truth has only boxes and masks are needed.

    Args:
        policy: the name of the policy it was counted by.
        outcome: how asking ended.
        counted: whether the sample is in the prediction set that the policy scores.
        read: whether the answer could be read and holds something to score, or says that there is no target.
        has_target: whether the truth holds anything.
        presence_right: whether the answer is right about there being a target.
        truth_area: pixels of the truth, on the canvas that the policy scores, as all areas here.
        predicted_area: pixels of the prediction.
        intersection: pixels of both.
        iou: mask IoU in 0..1 as the policy counts it.
        dice: Dice in 0..1, under the same rule.
        cum_intersection: what is added to the numerator of cumulative IoU.
        cum_union: what is added to its denominator.
        in_precision: whether the sample is in the denominator of P@t.
        box_iou: overlap of the boxes, 0..1; for this and the next three see :class:`BoxOverlap`.
        box_giou: -1..1.
        box_diou: -1..1.
        box_ciou: -1.5..1.
        mixed_ciou: SJTU's mix of mask IoU and box penalties; None under other policies.
        boundary_f: boundary F-score in 0..1, where it was asked for.
        hausdorff95: 95 % Hausdorff distance in the unit of the spacing, where it was asked for and there is one.
    """

    policy: str
    outcome: Outcome
    counted: bool
    read: bool
    has_target: bool
    presence_right: bool
    truth_area: int | None
    predicted_area: int | None
    intersection: int | None
    iou: float | None
    dice: float | None
    cum_intersection: int
    cum_union: int
    in_precision: bool
    box_iou: float | None
    box_giou: float | None
    box_diou: float | None
    box_ciou: float | None
    mixed_ciou: float | None = None
    boundary_f: float | None = None
    hausdorff95: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; :meth:`from_json` gives an equal score back."""
        return {**asdict(self), "outcome": self.outcome.value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SampleScore:
        """Read what :meth:`as_json` wrote; further keys are left alone."""
        missing = [each.name for each in fields(cls) if each.name not in values]
        if missing:
            raise InputError(f"a sample's score lacks {', '.join(missing)}")
        try:
            outcome = Outcome(values["outcome"])
        except ValueError as error:
            raise InputError(f"a sample's score: {error}") from None
        return cls(**{each.name: values[each.name] for each in fields(cls)} | {"outcome": outcome})


@dataclass(frozen=True, slots=True)
class _Case:
    """A sample laid out for counting."""

    policy: Policy
    outcome: Outcome
    read: bool
    truth: Mask | None
    prediction: Mask | None

    @property
    def wrong_anyway(self) -> bool:
        """Whether the answer counts as wrong whatever the truth."""
        return not self.read and self.policy.unread == "zero"

    @property
    def says_nothing(self) -> bool:
        """Whether the answer counts as "there is no target"."""
        return self.outcome is Outcome.NO_TARGET or (not self.read and not self.wrong_anyway)

    @property
    def empty_is_right(self) -> bool:
        """Whether nothing predicted is right where there is nothing to find."""
        rules = {"mask": True, "answer": self.says_nothing, "zero": False}
        return rules[self.policy.empty_truth] and not self.wrong_anyway


def score_sample(
    policy: Policy,
    sample_truth: Mask | None,
    prediction: Mask | None,
    outcome: Outcome,
    *,
    ignore: Mask | None = None,
    truth_boxes: ArrayLike | Prompts | None = None,
    predicted_boxes: ArrayLike | Prompts | None = None,
    boundaries: bool = False,
    spacing: Spacing = (1.0, 1.0),
) -> SampleScore:
    """Count one sample.

    Args:
        policy: the rules.
        sample_truth: the union of the true instances, empty when there is no target; None when only boxes are known.
        prediction: the union of what was predicted, on the same canvas (on any under a policy that resizes); None
            when there is no mask.
        outcome: how asking ended. An answer that found something but comes without a mask counts as missing.
        ignore: pixels that count for nothing, on the truth's canvas; they concern masks, boxes are taken as they are.
        truth_boxes: (N, 4) true boxes x1, y1, x2, y2 in pixels of the original image, or prompts; default: the tight
            box of the truth. (0, 4) says that there is no target. Prompts of points only are as if not given.
        predicted_boxes: in the same form; default: the tight box of the prediction.
        boundaries: also measure boundary F-score and Hausdorff 95, which takes longer than the rest.
        spacing: height, width of a pixel of the original image, for Hausdorff 95.

    Example:
        >>> from fiducial.metrics import policy
        >>> truth = Mask.from_box((0, 0, 4, 4), 8, 8)
        >>> half = Mask.from_box((0, 0, 4, 2), 8, 8)
        >>> score_sample(policy("fiducial"), truth, half, Outcome.FOUND).iou
        0.5
    """
    if sample_truth is None and truth_boxes is None:
        raise InputError("a sample without a mask as truth needs truth_boxes")
    if outcome in _WITHOUT_ANSWER and (prediction or _some(predicted_boxes)):
        raise InputError(f"an answer that is {outcome.value!r} cannot come with a mask or boxes")
    truth, predicted = _scored_masks(policy, sample_truth, prediction, ignore)
    case = _Case(policy, outcome, _is_read(outcome, prediction, predicted_boxes), truth, predicted)
    boxes = _box_overlap(case, sample_truth, prediction, truth_boxes, predicted_boxes)
    f_score: float | None = None
    distance: float | None = None
    if boundaries and truth is not None and predicted is not None and sample_truth is not None:
        # the size of a scored pixel, so that distances keep the unit of the original image
        sides = spacing[0] * sample_truth.height / truth.height, spacing[1] * sample_truth.width / truth.width
        if truth or predicted:
            f_score, distance = outline_measures(truth, predicted, spacing=sides)
        else:
            f_score, distance = float(case.empty_is_right), 0.0 if case.empty_is_right else None
    has_target = bool(truth) if truth is not None else _some(truth_boxes)
    counts = _mask_counts(case)
    mixed = None
    if policy.box_rule == "last_pixel" and truth is not None and predicted is not None:
        mixed = mixed_ciou(truth, predicted, counts["iou"])
    return SampleScore(
        policy=policy.name,
        outcome=outcome,
        counted=not _is_unscored(case, mask_is_missing=sample_truth is not None and prediction is None),
        read=case.read,
        has_target=has_target,
        presence_right=_presence_right(case, has_target),
        **counts,
        in_precision=truth is not None and _in_precision(case),
        box_iou=boxes.iou,
        box_giou=boxes.giou,
        box_diou=boxes.diou,
        box_ciou=boxes.ciou,
        mixed_ciou=mixed,
        boundary_f=f_score,
        hausdorff95=distance,
    )


def _some(boxes: ArrayLike | Prompts | None) -> bool:
    if boxes is None:
        return False
    return bool(len(boxes)) if isinstance(boxes, Prompts) else bool(np.size(boxes))


def _is_read(outcome: Outcome, prediction: Mask | None, predicted_boxes: ArrayLike | Prompts | None) -> bool:
    if outcome is Outcome.NO_TARGET:
        return True
    if outcome is Outcome.TRUNCATED:  # the items that were whole are kept: is there one?
        return bool(prediction) or _some(predicted_boxes)
    return outcome is Outcome.FOUND and (prediction is not None or _some(predicted_boxes))


def _is_unscored(case: _Case, *, mask_is_missing: bool) -> bool:
    """Whether the sample leaves the prediction set: a mask that is missing is missing, whatever the outcome says."""
    missing = mask_is_missing or not case.read
    return case.outcome in case.policy.unscored or (missing and Outcome.FAILED in case.policy.unscored)


def _scored_masks(
    policy: Policy, truth: Mask | None, prediction: Mask | None, ignore: Mask | None
) -> tuple[Mask | None, Mask | None]:
    """Bring masks onto the canvas that is scored and settle ignored pixels."""
    if truth is None:
        return None, None
    if ignore is not None and (ignore.height, ignore.width) != (truth.height, truth.width):
        raise GeometryError(
            f"an ignore region of {ignore.height} x {ignore.width} does not fit a truth of "
            f"{truth.height} x {truth.width}"
        )
    predicted = Mask.empty(truth.height, truth.width) if prediction is None else prediction
    if policy.resize is not None:
        height, width = policy.resize.size or (truth.height, truth.width)
        truth, predicted = (resize_mask(mask, height, width, policy.resize.rule) for mask in (truth, predicted))
        ignore = None if ignore is None else resize_mask(ignore, height, width, policy.resize.rule)
    if not ignore:
        return truth, predicted
    if policy.ignored_pixels == "foreground":
        return truth.union(ignore), predicted
    kept = ignore.inverse()
    return truth.intersection(kept), predicted.intersection(kept)


def _mask_counts(case: _Case) -> dict[str, Any]:
    """Count areas and what follows from them."""
    if case.truth is None or case.prediction is None:
        nothing = dict.fromkeys(("truth_area", "predicted_area", "intersection", "iou", "dice"))
        return {**nothing, "cum_intersection": 0, "cum_union": 0}
    shared = case.truth.shared_area(case.prediction)
    true, predicted = case.truth.area, case.prediction.area
    union = true + predicted - shared
    if union:
        iou, dice = shared / union, 2 * shared / (true + predicted)
    else:
        iou = dice = float(case.empty_is_right)
    adds_nothing = not true and not case.policy.false_positive_area
    return {
        "truth_area": true,
        "predicted_area": predicted,
        "intersection": shared,
        "iou": iou,
        "dice": dice,
        "cum_intersection": shared,
        "cum_union": 0 if adds_nothing else union,
    }


def _in_precision(case: _Case) -> bool:
    if case.policy.precision_over == "all":
        return True
    if case.policy.precision_over == "with_target":
        return bool(case.truth)
    return case.read and (not case.truth or case.outcome is not Outcome.NO_TARGET)


def _presence_right(case: _Case, has_target: bool) -> bool:
    """Whether the answer is right about there being a target (N-acc, T-acc)."""
    if case.wrong_anyway:
        return False
    by_mask = case.policy.no_target_by == "mask" and case.prediction is not None
    finds = bool(case.prediction) if by_mask else not case.says_nothing
    return finds == has_target


def _box_overlap(
    case: _Case,
    truth: Mask | None,
    prediction: Mask | None,
    truth_boxes: ArrayLike | Prompts | None,
    predicted_boxes: ArrayLike | Prompts | None,
) -> BoxOverlap:
    """Compare boxes in pixels of the original image; SJTU's in those of the scored masks."""
    if case.policy.box_rule == "last_pixel" and case.truth is not None and case.prediction is not None:
        return last_pixel_overlap(case.truth, case.prediction)
    canvas = truth if truth is not None else prediction
    frame = None if canvas is None else canvas.frame
    true, predicted = box_array(truth_boxes, frame), box_array(predicted_boxes, frame)
    tight = last_pixel_boxes if case.policy.box_rule == "any" else mask_boxes
    if true is None:
        true = tight(truth)
    if predicted is None:
        predicted = tight(prediction)
        if prediction is not None and frame is not None and prediction.frame != frame:
            predicted = prediction.frame.boxes_to(predicted, frame)
    agreed = case.policy.empty_truth != "zero" and not case.wrong_anyway
    return overlap(true, predicted, any_box=case.policy.box_rule == "any", agreed=agreed)


def resize_mask(mask: Mask, height: int, width: int, rule: Rule = "pillow") -> Mask:
    """Resize a mask by nearest neighbour; the aspect need not be kept.

    A new pixel takes one old pixel, and the two rules differ by half a pixel in which:

    * ``"pillow"`` takes the one that holds the new pixel's centre, (i + 0.5) * old / new rounded down;
    * ``"opencv"`` (``INTER_NEAREST``) takes the one that holds its top left corner, i * old / new rounded down, which
      shifts the picture by up to half an old pixel.

    Both are done in the same floating-point steps as in those libraries, so that masks agree pixel for pixel also where
    a position falls on an edge.

    Returns:
        A mask of (height, width); its score is kept. The very same mask where the size does not change.

    Example:
        >>> resize_mask(Mask.from_box((1, 0, 2, 1), 2, 2), 4, 4).box
        (2.0, 0.0, 4.0, 2.0)
    """
    if height <= 0 or width <= 0:
        raise GeometryError(f"a mask needs a positive size, got {height} x {width}")
    if (height, width) == (mask.height, mask.width):
        return mask
    rows, columns = source_pixels(mask.height, height, rule), source_pixels(mask.width, width, rule)
    pieces = _runs.columns(mask.runs.astype(np.int64), mask.height)
    first = np.searchsorted(pieces[:, 0], columns, side="left")
    last = np.searchsorted(pieces[:, 0], columns, side="right")
    column, piece = _runs.expand(first.astype(np.int64), last.astype(np.int64))
    top = np.searchsorted(rows, pieces[piece, 1], side="left")
    bottom = np.searchsorted(rows, pieces[piece, 2], side="left")
    new = np.stack([column, top, bottom], axis=1).astype(np.int64)
    return Mask(height, width, _runs.from_columns(new, height), mask.score)


def source_pixels(old: int, new: int, rule: Rule) -> NDArray[np.int64]:
    """List, for each of ``new`` pixels along an axis, the one of ``old`` pixels that it takes."""
    if rule == "opencv":
        place = np.arange(new) * (1.0 / (new / old))
    else:
        # Pillow walks: it adds the step again and again, and the rounding of that walk decides on edges.
        steps = np.full(new, old / new)
        steps[0] /= 2
        place = np.cumsum(steps)
    return np.asarray(np.minimum(np.floor(place), old - 1), dtype=np.int64)
