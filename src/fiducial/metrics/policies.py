"""Policies: by which rule a sample is counted, where papers disagree; each was read off the script of its paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fiducial.errors import UnknownNameError
from fiducial.language import Outcome

Rule = Literal["pillow", "opencv"]
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Resize:
    """The canvas on which masks are compared, reached by nearest neighbour with the aspect not kept.

    Args:
        rule: which source pixel a new pixel takes; see :func:`fiducial.metrics.resize_mask`.
        size: height, width in pixels; None: the truth keeps its size and the prediction is brought to it.
    """

    rule: Rule
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How every case is counted on which papers differ.

    An answer counts as *unread* when nothing can be scored: malformed, failed, missing, or truncated before its first
    whole item. "Empty" is said of masks on the canvas that is scored, after resizing and ignore regions.

    Args:
        name: what it is called in commands and reports.
        summary: one sentence for people.
        source: where the rules were read.
        reports: which statistics the source itself prints; the others follow the rules given here, and are ours.
        empty_truth: when an empty truth met by an empty prediction gets IoU and Dice 1: ``"mask"`` whenever the mask
            is empty; ``"answer"`` only if the answer said that there is no target; ``"zero"`` never, it gets 0.
        unread: ``"zero"``: an unread answer gets IoU 0, also on an empty truth, and the truth's area is missed;
            ``"empty"``: it is a prediction of nothing like any other, right on an empty truth where that is right.
        unscored: outcomes whose samples leave every average: the prediction set that is scored is the rest.
        false_positive_area: whether pixels predicted on an empty truth enter the union of cumulative IoU.
        comparison: how mask IoU is held against the thresholds of P@t.
        precision_over: the denominator of P@t: ``"all"`` samples scored; ``"answered"``: those for which there is a
            mask, or an answer that could be read where the truth is empty; ``"with_target"``: truth not empty.
        thresholds: the t of P@t and Acc@t, IoU in 0..1.
        ignored_pixels: ``"excluded"`` from truth and prediction, or ``"foreground"``, part of the truth.
        resize: the canvas on which masks are compared; None: the original one.
        no_target_by: whether "there is no target" is read off the ``"mask"`` (no pixel) or the ``"answer"``.
        box_rule: ``"enclosing"``: one box around all predicted ones against one around all true ones; ``"any"``: the
            predicted box, single or enclosing, that overlaps the true one most, a box that is taken off a mask ending
            at the last pixel's number, one less than its edge; ``"last_pixel"``: such tight boxes of the scored masks.
        box_comparison: how box IoU is held against the thresholds of Acc@t.
    """

    name: str
    summary: str
    source: str
    reports: tuple[str, ...] = ()
    empty_truth: Literal["mask", "answer", "zero"] = "mask"
    unread: Literal["zero", "empty"] = "zero"
    unscored: tuple[Outcome, ...] = ()
    false_positive_area: bool = True
    comparison: Literal[">=", ">"] = ">="
    precision_over: Literal["all", "answered", "with_target"] = "all"
    thresholds: tuple[float, ...] = THRESHOLDS
    ignored_pixels: Literal["excluded", "foreground"] = "excluded"
    resize: Resize | None = None
    no_target_by: Literal["mask", "answer"] = "mask"
    box_rule: Literal["enclosing", "any", "last_pixel"] = "enclosing"
    box_comparison: Literal[">=", ">"] = ">="

    def passes(self, iou: float, threshold: float) -> bool:
        """Say whether a mask IoU passes a threshold of P@t."""
        return iou >= threshold if self.comparison == ">=" else iou > threshold

    def box_passes(self, iou: float, threshold: float) -> bool:
        """Say whether a box IoU passes a threshold of Acc@t."""
        return iou >= threshold if self.box_comparison == ">=" else iou > threshold


FIDUCIAL = Policy(
    name="fiducial",
    summary="Every sample counts, at the original size; finding nothing where nothing is meant is right, and what is "
    "drawn there is counted against the prediction.",
    source="our own",
)
"""Our default. An unread answer is wrong everywhere, also where the truth is empty: silence is no "no target"."""

LISA = Policy(
    name="lisa",
    summary="gIoU and cIoU as in reasoning segmentation: an empty union is IoU 1; ignore regions leave both masks.",
    source="dvlab-research/LISA: train_ds.py (validate), utils/utils.py (intersectionAndUnionGPU)",
    reports=("mean_iou", "cum_iou"),
    unread="empty",
)
"""The script adds 1 where the union has no pixel, and sums unions with whatever was drawn on an empty truth. It divides
by union + 1e-5, which we leave out: for one pixel it gives 0.99999. It feeds the true answer and so always has a mask:
that an unread answer is an empty mask is our choice."""

RMSIN = Policy(
    name="rmsin",
    summary="Referring segmentation of aerial pictures: compared at 480 x 480, an empty union is IoU 0, P@t takes >=.",
    source="Lsan2401/RMSIN: test.py (evaluate, computeIoU), data/dataset_refer_bert.py, torchvision's resize of a "
    "Pillow image",
    reports=("mean_iou", "cum_iou", "p@0.5", "p@0.6", "p@0.7", "p@0.8", "p@0.9"),
    empty_truth="zero",
    unread="empty",
    resize=Resize("pillow", (480, 480)),
)
"""The model predicts at 480 x 480 and the truth is brought there; a full-size prediction is brought there alike. The
model always draws, so that an unread answer is an empty mask is our choice. The script's dataset also loses pixels that
two polygons of one target cover; that belongs to reading, and is not copied."""

THINK2SEG = Policy(
    name="think2seg",
    summary="Compared at 840 x 840; no target is right only if the answer is an empty list; P@t is divided by the "
    "samples that have a mask, so failures raise it.",
    source="Ricardo-XZ/Think2Seg-RS: src/eval/test_think2seg-rs_*.py, geo_reward_func_ultra.py, "
    "dataset/EarthReason_datasets.py",
    reports=("mean_iou", "cum_iou", "p@0.5"),
    empty_truth="answer",
    false_positive_area=False,
    precision_over="answered",
    resize=Resize("pillow", (840, 840)),
    no_target_by="answer",
)
"""On an empty truth a wrong answer costs the mean but not cumulative IoU, for its mask is recorded as empty. Where
there is a target, an unread answer and an empty list add the truth's area to the union and leave the denominator of
P@t."""

VISIONREASONER = Policy(
    name="visionreasoner",
    summary="At the original size; an answer without boxes is right on an empty truth, also when it could not be "
    "read; ignore regions count as target; boxes pass above 0.5.",
    source="dvlab-research/VisionReasoner: evaluation scripts (compute_iou, compute_bbox_iou, calculate_metrics) and "
    "extract_bbox_points_think, read in copies of the repository; ReasonSeg as converted by Seg-Zero",
    reports=("mean_iou", "cum_iou", "n_acc", "box_acc@0.5"),
    empty_truth="answer",
    unread="empty",
    ignored_pixels="foreground",
    no_target_by="answer",
    box_rule="any",
    box_comparison=">",
)
"""An answer that cannot be parsed becomes an empty list there, hence right where the truth is empty. Where the data has
no boxes, the truth's is taken off its mask, from the first to the last pixel's number. The older Seg-Zero script gives
0 for an empty union and leaves out samples on which the segmenter raises; both are other policies. Its converter reads
ignore regions as target."""

SJTU = Policy(
    name="sjtu",
    summary="A mixed metric at 512 x 512: IoU of masks, GIoU of boxes around them, and a CIoU that takes box penalties "
    "off the mask's IoU; samples without a mask are left out.",
    source="jw-chae/SJTU: check_iou.ipynb",
    reports=("mean_iou", "box_giou", "mixed_ciou"),
    empty_truth="zero",
    unread="empty",
    unscored=(Outcome.NO_TARGET, Outcome.MALFORMED, Outcome.FAILED),
    resize=Resize("opencv", (512, 512)),
    box_rule="last_pixel",
)
"""Its columns are of different things, so its GIoU can exceed its IoU, and they cannot be compared with box metrics of
the same names. Its CIoU stands under ``mixed_ciou``, never under ``box_ciou``."""

PRS_MED = Policy(
    name="prs-med",
    summary="mDice and mIoU of binary masks at the truth's size; without a shared pixel both are 0.",
    source="huyquoctrinh/PRS-Med: evaluation/segmentation/eval.py, eval_functions.py (Fmeasure_calu)",
    reports=("dice", "mean_iou"),
    empty_truth="zero",
    unread="empty",
    resize=Resize("opencv", None),
)
"""The script averages over 256 thresholds of a soft, per-picture stretched prediction. We threshold at 0.5 and do not
stretch. For a binary mask its average differs by (share of the picture that is truth - IoU) / 256, at most 0.004,
because its last threshold takes the whole picture. It stops at a missing file: that an unread answer is an empty mask
is our choice."""

GREFCOCO = Policy(
    name="grefcoco",
    summary="Generalised referring segmentation: N-acc and T-acc by what the answer says; P@t over samples with a "
    "target only.",
    source="henghuiding/ReLA: gres_model/evaluation/refer_evaluation.py",
    reports=("mean_iou", "cum_iou", "n_acc", "t_acc", "p@0.7", "p@0.8", "p@0.9"),
    empty_truth="answer",
    precision_over="with_target",
    no_target_by="answer",
)
"""The model always answers, so that an unread answer is wrong everywhere is our choice."""

POLICIES: dict[str, Policy] = {
    each.name: each for each in (FIDUCIAL, LISA, RMSIN, THINK2SEG, VISIONREASONER, SJTU, PRS_MED, GREFCOCO)
}
"""Every policy by its name."""


def policy(name: str) -> Policy:
    """Return one of :data:`POLICIES` by its name, or raise UnknownNameError.

    Example:
        >>> policy("rmsin").resize.size
        (480, 480)
    """
    if name not in POLICIES:
        raise UnknownNameError("policy", name, POLICIES)
    return POLICIES[name]
