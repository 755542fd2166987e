"""The numbers of a run: every statistic of its policy with an interval, outcomes, sizes and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from fiducial.errors import InputError, extra_needed
from fiducial.evaluation.record import Record
from fiducial.evaluation.run import Run
from fiducial.geometry import Box, Mask, boxes
from fiducial.language import Outcome
from fiducial.metrics import (
    InstanceSample,
    Policy,
    SampleScore,
    Totals,
    Verdict,
    average_precision,
    bootstrap,
    check_consistency,
    policy,
    score_sample,
)
from fiducial.metrics import statistics as statistics_of

TIMES = ("read", "prompt", "encode", "decode", "refine", "total", "score")
"""Stages that are timed; ``total`` is the model's own work, prompt to refine."""

CURVE = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Thresholds of the curve of P@t."""

SIZES = (0.0, 0.001, 0.01, 0.05, 0.2, 1.0)
"""Edges of the classes of target size, as parts of the picture."""

_MANY = 5000
NO_SCORES = "no prediction carries a score to rank it by"


@dataclass(frozen=True, slots=True)
class Row:
    """What the numbers need of one record.

    Args:
        area: pixels of the target; of its boxes where there is no mask.
        share: its part of the picture's pixels, 0..1.
        unit: of distances between outlines: ``"mm"`` where the dataset knows the size of a pixel, else ``"px"``.
        expected: the segmenter's own estimate, the mean over its masks; None where one has none.
        verdict: whether what the answer's text states of places, counts and sizes holds for its masks.
    """

    index: int
    id: str
    picture: str
    digest: str
    area: float
    share: float
    score: SampleScore
    seconds: Mapping[str, float]
    unit: str = "px"
    expected: float | None = None
    verdict: Verdict = Verdict.NOTHING_STATED

    @property
    def quality(self) -> float | None:
        """Mask IoU, or box IoU where the truth has no masks; None when there is neither."""
        return self.score.box_iou if self.score.iou is None else self.score.iou


@dataclass(frozen=True, slots=True)
class Precision:
    """COCO's numbers for a run, whatever its policy: every sample counts, at the size of its picture, of one class.

    Predictions are ranked by the scores of a ``"prompt"`` or a ``"mask"``; masks and boxes hold twelve numbers each,
    the note says why there is none.
    """

    samples: int = 0
    ranked_by: str = ""
    masks: dict[str, float | None] | None = None
    boxes: dict[str, float | None] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a run.

    Args:
        planned: number of samples that belong to the run.
        report: every statistic (see ``Totals.report``).
        intervals: 95 % bootstrap interval of each statistic that exists; whole pictures are drawn.
        outcomes: how asking ended, counted.
        seconds: mean, median and 95th percentile per stage.
        curve: threshold and P@t over the policy's denominator.
        sizes: per class of target size: from, to (parts of the picture), samples, mean IoU; the first has no target.
        rows: what it was made of, in the order of the dataset.
        precision: average precision over instances; None where it was not asked for.
    """

    policy: Policy
    planned: int
    report: Mapping[str, float | int | None]
    intervals: Mapping[str, tuple[float, float]]
    outcomes: Mapping[str, int]
    seconds: Mapping[str, Mapping[str, float]]
    curve: tuple[tuple[float, float], ...]
    sizes: tuple[tuple[float, float, int, float | None], ...]
    rows: tuple[Row, ...] = field(repr=False)
    precision: Precision | None = None

    @property
    def score_correlation(self) -> float | None:
        """Spearman's rank correlation of the segmenter's own scores with the true IoU, -1..1.

        Samples with a target and a score count; None where fewer than three do, or all are alike.
        """
        pairs = [(row.expected, row.quality) for row in self.rows if row.area and row.score.counted]
        known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
        if len(known) < 3 or not np.ptp(known, axis=0).all():
            return None
        with extra_needed("rank correlations", "measure"):
            from scipy.stats import spearmanr

        return float(spearmanr(known[:, 0], known[:, 1])[0])

    @property
    def consistency(self) -> dict[str, int]:
        """How many answers' texts agree with their masks, contradict them, or state nothing that can be checked."""
        found = Counter(row.verdict for row in self.rows)
        return {verdict.name.lower(): found[verdict] for verdict in Verdict}

    @property
    def unit(self) -> str:
        """Of distances between outlines: ``"mm"``, ``"px"``, or both where not every sample knows its pixels' size."""
        return " and ".join(sorted({row.unit for row in self.rows}))

    def as_json(self) -> dict[str, Any]:
        """Return plain values; all but ``seconds`` are the same however the run was cut up."""
        return {
            "policy": self.policy.name,
            "planned": self.planned,
            **self.report,
            "hausdorff95_unit": self.unit,
            "outcomes": dict(self.outcomes),
            "consistency": self.consistency,
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "curve": [list(point) for point in self.curve],
            "score_correlation": self.score_correlation,
            "average_precision": None if self.precision is None else asdict(self.precision),
            "sizes": [dict(zip(("from", "to", "n", "mean_iou"), row, strict=True)) for row in self.sizes],
            "seconds": {stage: dict(values) for stage, values in self.seconds.items()},
        }

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from fiducial.evaluation.report import shown

        return shown(self)


def summarise(run: Run, policy_name: str | None = None, *, seed: int = 0) -> Summary:
    """Count a run, finished or not; another policy than its own scores every record anew. The seed draws bootstraps."""
    rules = policy(policy_name or str(run.settings["policy"]))
    summary = summary_of(read_rows(run, rules), rules, run.planned, seed=seed)
    return replace(summary, precision=precision_of(run.ordered()))


def read_rows(run: Run, rules: Policy | None = None) -> list[Row]:
    """Read the rows of a run in the order of its dataset, scored anew where the policy is not that of the run."""
    boundaries = bool(run.settings["boundaries"])
    again = None if rules is None or rules.name == run.settings["policy"] else rules
    rows = sorted((_row(record, again, boundaries) for record in run.records()), key=lambda row: row.index)
    for one, other in pairwise(rows):
        if one.index == other.index:
            raise InputError(f"{run.records_path}: sample {one.index} ({one.id}) has two records")
    return rows


def _row(record: Record, rules: Policy | None, boundaries: bool) -> Row:
    try:
        score = SampleScore.from_json(dict(record.score)) if rules is None else score_record(record, rules, boundaries)
        truth = record.truth_mask
    except (InputError, TypeError) as error:
        raise InputError(f"the record of sample {record.index} ({record.id}) makes no sense: {error}") from error
    area = float(boxes.area(record.truth_boxes).sum()) if truth is None else float(truth.area)
    share = min(1.0, area / (record.size[0] * record.size[1]))
    unit = "px" if record.spacing is None else "mm"
    scores = [score for score in record.mask_scores if score is not None]
    verdict = _verdict(record)
    expected = sum(scores) / len(scores) if scores and len(scores) == len(record.mask_scores) else None
    return Row(
        record.index,
        record.id,
        record.picture,
        record.digest,
        area,
        share,
        score,
        record.seconds,
        unit,
        expected,
        verdict,
    )


def _verdict(record: Record) -> Verdict:
    """Check the words of an answer of use against its masks; the patient's sides are not read."""
    if record.outcome in (Outcome.MALFORMED, Outcome.FAILED):
        return Verdict.NOTHING_STATED
    return check_consistency(record.text, [Mask.from_coco(code) for code in record.masks]).verdict


def score_record(record: Record, rules: Policy, boundaries: bool = False) -> SampleScore:
    """Score a record anew, by any policy, without asking any model."""
    prompts = record.decoded_prompts()
    boxed = len(prompts) and all(prompt.box is not None for prompt in prompts)
    return score_sample(
        rules,
        record.truth_mask,
        record.mask if record.masks else None,
        record.outcome,
        ignore=record.ignore_mask,
        truth_boxes=record.truth_boxes,
        predicted_boxes=prompts if boxed else None,
        boundaries=boundaries,
        spacing=record.spacing or (1.0, 1.0),
    )


def summary_of(rows: Sequence[Row], rules: Policy, planned: int, *, seed: int = 0) -> Summary:
    """Count rows; see :func:`summarise`."""
    if not rows:
        raise InputError("there is no record to count")
    totals = Totals(rules).extend(row.score for row in rows)
    return Summary(
        policy=rules,
        planned=planned,
        report=totals.report(),
        intervals=_intervals(rows, rules, totals, seed),
        outcomes=totals.outcomes,
        seconds=_seconds(rows),
        curve=_curve(rows, rules),
        sizes=_sizes(rows),
        rows=tuple(rows),
    )


def known_rows(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that count and have a mask or box IoU."""
    return [row for row in rows if row.score.counted and row.quality is not None]


def _intervals(rows: Sequence[Row], rules: Policy, totals: Totals, seed: int) -> dict[str, tuple[float, float]]:
    scores, groups = [row.score for row in rows], [row.picture for row in rows]
    draws = {"resamples": 500} if len(rows) > _MANY else {}
    report = totals.report()
    known = [name for name in statistics_of(rules) if report[name] is not None]
    return {name: bootstrap(scores, rules, name, seed, groups=groups, **draws) for name in known}


def _seconds(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    found = {}
    for stage in TIMES:
        values = [row.seconds[stage] for row in rows if stage in row.seconds]
        if values:
            median, late = np.quantile(values, [0.5, 0.95])
            found[stage] = {"mean": float(np.mean(values)), "p50": float(median), "p95": float(late)}
    return found


def _curve(rows: Iterable[Row], rules: Policy) -> tuple[tuple[float, float], ...]:
    """Return P@t over the samples in the policy's denominator; over all counted ones where there are boxes only."""
    counted = known_rows(rows)
    held = [row for row in counted if row.score.in_precision] or counted
    if not held:
        return ()
    return tuple((t, sum(rules.passes(row.quality or 0.0, t) for row in held) / len(held)) for t in CURVE)


def _sizes(rows: Iterable[Row]) -> tuple[tuple[float, float, int, float | None], ...]:
    """Return the mean IoU per class of size; samples without a target come first, as the class from 0 to 0."""
    counted = known_rows(rows)
    found = []
    for low, high in [(0.0, 0.0), *pairwise(SIZES)]:
        held = [row.quality or 0.0 for row in counted if (row.share == 0 if high == 0 else low < row.share <= high)]
        found.append((low, high, len(held), float(np.mean(held)) if held else None))
    return tuple(found)


# -- average precision --------------------------------------------------------------------------------


def precision_of(records: Iterable[Record]) -> Precision:
    """Compute average precision where predictions carry scores; records are in the order of the dataset.

    Predictions are ranked by the prompter's scores where it gives any, else by the segmenter's. One without a score,
    while others have one, ranks last. Each sample is matched for itself: a prediction can only be right about what
    its own instruction names.
    """
    held = list(records)
    ranked_by = _ranking(held)
    if not ranked_by:
        return Precision(note=NO_SCORES)
    with_masks = [_masks(record, ranked_by) for record in held if record.truth is not None]
    with_boxes = [_boxes(record, ranked_by) for record in held]
    return Precision(
        samples=len(held),
        ranked_by=ranked_by,
        masks=average_precision(with_masks) if with_masks else None,
        boxes=average_precision(with_boxes, kind="bbox"),
    )


def _ranking(records: Sequence[Record]) -> str:
    if any(prompt["score"] is not None for record in records for prompt in record.prompts):
        return "prompt"
    return "mask" if any(score is not None for record in records for score in record.mask_scores) else ""


def _scores(record: Record, ranked_by: str) -> list[float]:
    if ranked_by == "mask":
        found = [*record.mask_scores, *[None] * (len(record.prompts) - len(record.mask_scores))]
    else:
        found = [prompt["score"] for prompt in record.prompts]
    return [0.0 if score is None else float(score) for score in found]


def _masks(record: Record, ranked_by: str) -> InstanceSample:
    scored = zip(record.masks, _scores(record, ranked_by), strict=False)
    return InstanceSample(
        truth=record.truth_masks or (),
        predictions=tuple(Mask.from_coco(code).with_score(score) for code, score in scored),
        ignore=record.ignore_mask,
    )


def _boxes(record: Record, ranked_by: str) -> InstanceSample:
    """Compare boxes: the dataset's with those that were prompted, or of the masks where a prompt has none."""
    true = record.truth_boxes
    scores = enumerate(_scores(record, ranked_by))
    found = [(box, score) for place, score in scores if (box := _box(record, place)) is not None]
    size, masks = record.size, record.truth_masks or ()
    return InstanceSample(
        # As COCO does, the class of size is that of the mask where there is one.
        truth=masks if len(masks) == len(true) else tuple(Mask.from_box(box, *size) for box in true),
        predictions=tuple(Mask.from_box(box, *size).with_score(score) for box, score in found),
        truth_boxes=true,
        predicted_boxes=tuple(box for box, _ in found),
        ignore=record.ignore_mask,
    )


def _box(record: Record, place: int) -> Box | None:
    given = record.prompts[place]["box"]
    if given is not None:
        return given[0], given[1], given[2], given[3]
    return Mask.from_coco(record.masks[place]).box if place < len(record.masks) else None
