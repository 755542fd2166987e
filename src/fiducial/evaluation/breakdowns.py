"""Breakdowns of one run: how it fares by the size of the target, and by the kind of phrase that was asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from fiducial.datasets import Dataset
from fiducial.errors import InputError
from fiducial.evaluation.report.text import cell, interval, markdown_table, number, size_class
from fiducial.evaluation.run import Run
from fiducial.evaluation.summary import SIZES, Row, read_rows, summarise
from fiducial.files import json_text, make_folder, write_atomically
from fiducial.metrics import Policy, Totals, bootstrap, policy
from fiducial.synthetic.expressions import FAMILIES

COCO_SIZES = (
    ("small: up to 32 x 32 px", 0.0, 32.0**2),
    ("medium: up to 96 x 96 px", 32.0**2, 96.0**2),
    ("large: over 96 x 96 px", 96.0**2, math.inf),
)
"""COCO's classes of area."""
EVERY = "all"
"""Name of the line over all families."""
_HEADER = ("family", "samples", "mean IoU", "95 % of mean IoU", "P@0.5", "without a target", "N-acc", "answers of use")


@dataclass(frozen=True, slots=True)
class StudyTable:
    """The result of a study: what was varied on which data, as texts, as plain values, and the files written."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    values: dict[str, Any]
    files: tuple[Path, ...] = ()

    def write(self, out: Path, name: str, run: Run) -> StudyTable:
        """Write it as ``NAME.md``, with the command and the commit that made the run, and as ``NAME.json``."""
        make_folder(out)
        latest = run.sessions[-1] if run.sessions else {}
        command = " ".join(latest.get("command") or ["called from Python"])
        note = f"    {command}\n\nCommit {latest.get('commit') or 'not known'}."
        text = "\n\n".join([f"# {cell(self.title)}", markdown_table(self.header, self.rows), note]) + "\n"
        files = (
            write_atomically(out / f"{name}.md", text),
            write_atomically(out / f"{name}.json", json_text(self.values)),
        )
        return replace(self, files=files)


# -- by size ------------------------------------------------------------------------------------------


def size_table(run: Run, out: str | Path) -> StudyTable:
    """Tell the accuracy by size, of the picture and in COCO's classes, as ``size.md`` and ``size.json`` in a folder."""
    summary = summarise(run)
    rules = summary.policy
    shares = [(f"{size_class(low, high)} of the picture", "share", low, high) for low, high in pairwise(SIZES)]
    areas = [(name, "area", low, high) for name, low, high in COCO_SIZES]
    classes = [("no target", "area", -1.0, 0.0), *shares, *areas]
    counted = [row for row in summary.rows if row.score.counted]
    lines = [
        (name, *_by_iou([row for row in counted if low < getattr(row, key) <= high], rules))
        for name, key, low, high in classes
    ]
    title = f"size: {run.name} on {run.dataset_name}, {summary.report['n']} samples, policy {rules.name}"
    rows = tuple((name, f"{count:,}", *map(number, values)) for name, count, *values in lines if count)
    keys = ("target", "n", "mean_iou", "p@0.5", "p@0.7", "missed")
    values = {
        "study": "size",
        "policy": rules.name,
        "settings": dict(run.settings),
        "classes": [dict(zip(keys, line, strict=True)) for line in lines],
    }
    header = ("target", "samples", "mean IoU", "P@0.5", "P@0.7", "IoU 0")
    return StudyTable(title, header, rows, values).write(Path(out), "size", run)


def _by_iou(rows: Sequence[Row], rules: Policy) -> tuple[int, float | None, float | None, float | None, float | None]:
    ious = [row.quality for row in rows if row.quality is not None]
    if not ious:
        return 0, None, None, None, None
    count = len(ious)
    half, more = (sum(rules.passes(iou, t) for iou in ious) / count for t in (0.5, 0.7))
    return count, sum(ious) / count, half, more, sum(iou == 0 for iou in ious) / count


# -- by kind of phrase --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """How one family (:data:`EVERY`: all) fared.

    Args:
        mean_iou: mean mask IoU, that of boxes where the truth has no masks; None where no sample has one.
        interval: 95 % bootstrap interval of ``mean_iou``, whole pictures drawn.
        half: share of samples whose IoU passes 0.5, where the policy has that threshold.
        n_acc: share of the samples without a target that were taken for that.
        useful: answers that found something or said that there is nothing.
    """

    family: str
    n: int
    mean_iou: float | None
    interval: tuple[float, float] | None
    half: float | None
    n_no_target: int
    n_acc: float | None
    useful: int


def families_of(dataset: Dataset, rows: Iterable[Row]) -> dict[int, str]:
    """Return the family (``meta["family"]``) of each row's sample, by its place in the dataset of the run."""
    found: dict[int, str] = {}
    for row in rows:
        sample = dataset[row.index] if row.index < len(dataset) else None
        if sample is None or sample.id != row.id:
            raise InputError(
                f"{dataset.name}: sample {row.index} is not '{row.id}' any more: use the run's own dataset"
            )
        family = sample.meta.get("family")
        if not isinstance(family, str):
            raise InputError(
                f"{dataset.name}: sample '{row.id}' has no family: those of `fiducial refer` and of scenes have one"
            )
        found[row.index] = family
    return found


def score_families(
    rows: Sequence[Row], families: Mapping[int, str], rules: Policy, *, seed: int = 0
) -> tuple[FamilyScore, ...]:
    """Count each family, in the order of the generator, then others by name, then all of them.

    ``families`` holds the family of each row by its place in the dataset, ``rules`` is what the rows were scored by.
    """
    known = [*FAMILIES, *sorted(set(families.values()) - set(FAMILIES))]
    there = [name for name in known if name in families.values()]
    scores = [_score(name, [row for row in rows if families[row.index] == name], rules, seed) for name in there]
    return (*scores, _score(EVERY, rows, rules, seed))


def family_table(run: Run, out: str | Path, dataset: Dataset | None = None) -> StudyTable:
    """Tell the accuracy of a run by the family of its instructions, as ``families.md`` and ``families.json``.

    ``dataset`` is that of the run, referring expressions or scenes; None opens it again.
    """
    rules = policy(str(run.settings["policy"]))
    rows = read_rows(run)
    if not rows:
        raise InputError(f"{run.records_path}: there is no record to count")
    scores = score_families(rows, families_of(run.open_dataset() if dataset is None else dataset, rows), rules)
    title = f"families: {run.name} on {run.dataset_name}, {len(rows)} samples, policy {rules.name}"
    names = {"half": "p@0.5", "useful": "answers_of_use"}
    values = {
        "study": "families",
        "policy": rules.name,
        "settings": dict(run.settings),
        "families": [{names.get(key, key): value for key, value in asdict(score).items()} for score in scores],
    }
    return StudyTable(title, _HEADER, tuple(map(_line, scores)), values).write(Path(out), "families", run)


def _score(name: str, rows: Sequence[Row], rules: Policy, seed: int) -> FamilyScore:
    scores, pictures = [row.score for row in rows], [row.picture for row in rows]
    report = Totals(rules).extend(scores).report()
    key = "mean_iou" if report["mean_iou"] is not None else "box_iou"
    bounds = None if report[key] is None else bootstrap(scores, rules, key, seed, groups=pictures)
    useful = sum(score.outcome.value in ("found", "no_target") for score in scores)
    targetless = int(report["n_no_target"] or 0), report["n_acc"]
    return FamilyScore(name, len(rows), report[key], bounds, report.get("p@0.5"), *targetless, useful)


def _line(score: FamilyScore) -> tuple[str, ...]:
    return (
        score.family.replace("_", " "),
        f"{score.n:,}",
        number(score.mean_iou),
        interval(score.interval),
        number(score.half),
        f"{score.n_no_target:,}",
        number(score.n_acc),
        f"{score.useful:,}",
    )
