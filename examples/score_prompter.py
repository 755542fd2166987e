"""Tell what prompters wrote, of finished runs of one dataset side by side, as Markdown: by kind of request.

    fiducial evaluate "scenes:shapes?count=400&seed=900" --recipe think2seg-nano --out A
    fiducial evaluate "scenes:shapes?count=400&seed=900" --recipe classic --out B
    python examples/score_prompter.py A B

Intervals are 95 % bootstrap intervals over pictures, seed 0.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fiducial.evaluation.record import Record, read_records
from fiducial.evaluation.run import read_run
from fiducial.geometry import boxes

RESAMPLES = 1000
HIT = 0.5
Measure = Callable[[Record], float]


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of fiducial evaluate, of the same dataset")
    parser.add_argument("--names", nargs="*", default=(), help="what to call them")
    arguments = parser.parse_args()
    runs = [read_run(folder) for folder in arguments.runs]
    names = arguments.names or [run.name for run in runs]
    dataset = runs[0].open_dataset()
    families = {sample.id: str(sample.meta.get("family", "")) for sample in dataset}
    columns = [list(read_records(run.records_path)) for run in runs]
    if len({tuple(sorted(one.digest for one in column)) for column in columns}) > 1:
        parser.error("the runs are not about the same samples")
    print(f"| {runs[0].dataset_name}, {len(columns[0])} samples | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    kinds = sorted(set(families.values()) - {""})
    lines: list[tuple[str, Measure, Callable[[Record], bool]]] = [
        ("one target: box Acc@0.5", hit, lambda one: targets(one) == 1),
        ("one target: mean box IoU", best, lambda one: targets(one) == 1),
        *[
            (f"one target, {kind.replace('_', ' ')}: box Acc@0.5", hit, lambda one, k=kind: of(one, families, k))
            for kind in kinds
        ],
        ("several targets: mean best box IoU", best, lambda one: targets(one) > 1),
        ("several targets: as many boxes as targets", counted, lambda one: targets(one) > 1),
        ("no target: said so", none, lambda one: targets(one) == 0),
        ("mean mask IoU, targets there", masked, lambda one: targets(one) > 0),
        ("mean mask IoU, one target", masked, lambda one: targets(one) == 1),
        ("mean mask IoU, all samples", masked, lambda one: True),
    ]
    for title, measure, chosen in lines:
        cells = [cell([one for one in column if chosen(one)], measure) for column in columns]
        if any(cells):
            print(f"| {title} ({sum(map(chosen, columns[0]))}) | " + " | ".join(cells) + " |")
    print("| cumulative mask IoU | " + " | ".join(f"{cumulative(column):.3f}" for column in columns) + " |")
    for outcome in sorted({one.outcome.value for column in columns for one in column}):
        counts = [Counter(one.outcome.value for one in column)[outcome] for column in columns]
        print(f"| outcome {outcome} | " + " | ".join(map(str, counts)) + " |")


def targets(record: Record) -> int:
    """Count the true things."""
    return len(record.truth_boxes)


def of(record: Record, families: dict[str, str], kind: str) -> bool:
    """Whether a record is about one target, asked for by a phrase of a family."""
    return targets(record) == 1 and families[record.id] == kind


def answered(record: Record) -> np.ndarray:
    """Return the boxes (N, 4) that were answered."""
    found = [prompt["box"] for prompt in record.prompts if prompt["box"] is not None]
    return np.array(found, np.float64).reshape(-1, 4)


def best(record: Record) -> float:
    """Return the mean over targets of the IoU with the best answered box."""
    found = answered(record)
    return float(boxes.iou(np.array(record.truth_boxes), found).max(axis=1).mean()) if len(found) else 0.0


def hit(record: Record) -> float:
    """Return whether the first answered box meets the target."""
    found = answered(record)[:1]
    return float(len(found) and boxes.iou(np.array(record.truth_boxes), found).max() >= HIT)


def counted(record: Record) -> float:
    """Return whether as many boxes were answered as there are targets."""
    return float(len(answered(record)) == targets(record))


def none(record: Record) -> float:
    """Return whether the answer was that there is no target."""
    return float(record.outcome.value == "no_target")


def masked(record: Record) -> float:
    """Return the IoU of the united masks; where nothing is meant, 1 for no mask."""
    truth, mask = record.truth_mask, record.mask
    if truth is None or not truth:
        return float(record.outcome.value == "no_target")
    return float(mask.iou(truth))


def cumulative(records: Sequence[Record]) -> float:
    """Return the sum of the intersections over that of the unions, over all samples."""
    inter = union = 0
    for one in records:
        truth = one.truth_mask
        if truth is not None:
            inter += one.mask.intersection(truth).area
            union += one.mask.union(truth).area
    return inter / max(1, union)


def cell(records: Sequence[Record], measure: Measure) -> str:
    """Write a mean and its interval over pictures; "" for no record."""
    if not records:
        return ""
    pictures: dict[str, list[float]] = defaultdict(list)
    for one in records:
        pictures[one.picture].append(measure(one))
    sums = np.array([(sum(values), len(values)) for values in pictures.values()])
    random = np.random.default_rng(0)
    drawn = sums[random.integers(len(sums), size=(RESAMPLES, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    mean = sums[:, 0].sum() / sums[:, 1].sum()
    return f"{mean:.3f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
