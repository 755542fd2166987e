"""Breakdowns of one run: how it fares by the size of the target, and by the kind of phrase that was asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from fiducial.synthetic import FAMILIES

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
    """The result of a study.

    Args:
        title: what was varied, on which data.
        header: of the columns.
        rows: texts, one per column.
        values: the same as plain values, for programs.
        files: what was written.
    """

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
    """Tell the accuracy by the target's size: by its part of the picture, and by COCO's classes of area.

    Args:
        run: a run.
        out: folder for ``size.md`` and ``size.json``.
    """
    summary = summarise(run)
    rules = summary.policy
    lines = [
        (name, *_by_iou([row for row in summary.rows if row.score.counted and held(row)], rules))
        for name, held in _size_classes()
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


def _size_classes() -> list[tuple[str, Callable[[Row], bool]]]:
    shares = [
        (f"{size_class(low, high)} of the picture", _between("share", low, high)) for low, high in pairwise(SIZES)
    ]
    areas = [(name, _between("area", low, high)) for name, low, high in COCO_SIZES]
    return [("no target", lambda row: row.area == 0), *shares, *areas]


def _between(key: str, low: float, high: float) -> Callable[[Row], bool]:
    return lambda row: low < getattr(row, key) <= high


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
    """How one family fared.

    Args:
        family: its name; :data:`EVERY` for all of them.
        n: its samples.
        mean_iou: mean mask IoU, that of boxes where the truth has no masks; None where no sample has one.
        interval: 95 % bootstrap interval of ``mean_iou``, whole pictures drawn; None where there is none.
        half: share of samples whose IoU passes 0.5, where the policy has that threshold.
        n_no_target: samples without a target.
        n_acc: share of these that were taken for that; None where there is none.
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

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        names = {"half": "p@0.5", "useful": "answers_of_use"}
        return {names.get(key, key): list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def families_of(dataset: Dataset, rows: Iterable[Row]) -> dict[int, str]:
    """Return the family of each row's sample, by its place in the dataset.

    Args:
        dataset: the dataset of the run, whose samples have ``meta["family"]``: referring expressions or scenes.
        rows: of the run.

    Raises:
        InputError: a sample is not where it was when the run was made, or has no family.
    """
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

    Args:
        rows: of a run.
        families: the family of each row, by its place in the dataset.
        rules: the policy by which the rows were scored.
        seed: of the bootstrap.
    """
    known = [*FAMILIES, *sorted(set(families.values()) - set(FAMILIES))]
    there = [name for name in known if name in families.values()]
    scores = [_score(name, [row for row in rows if families[row.index] == name], rules, seed) for name in there]
    return (*scores, _score(EVERY, rows, rules, seed))


def family_table(run: Run, out: str | Path, dataset: Dataset | None = None) -> StudyTable:
    """Tell the accuracy of a run by the family of its instructions.

    Args:
        run: a run on referring expressions or scenes.
        out: folder for ``families.md`` and ``families.json``.
        dataset: that of the run; None opens it again.

    Raises:
        InputError: the dataset cannot be opened, is another one now, or its samples have no families.
    """
    rules = policy(str(run.settings["policy"]))
    rows = read_rows(run)
    if not rows:
        raise InputError(f"{run.records_path}: there is no record to count")
    scores = score_families(rows, families_of(run.open_dataset() if dataset is None else dataset, rows), rules)
    title = f"families: {run.name} on {run.dataset_name}, {len(rows)} samples, policy {rules.name}"
    values = {
        "study": "families",
        "policy": rules.name,
        "settings": dict(run.settings),
        "families": [score.as_json() for score in scores],
    }
    return StudyTable(title, _HEADER, tuple(map(_line, scores)), values).write(Path(out), "families", run)


def _score(name: str, rows: Sequence[Row], rules: Policy, seed: int) -> FamilyScore:
    report = Totals(rules).extend(row.score for row in rows).report()
    key = "mean_iou" if report["mean_iou"] is not None else "box_iou"
    scores, pictures = [row.score for row in rows], [row.picture for row in rows]
    bounds = None if report[key] is None else bootstrap(scores, rules, key, seed, groups=pictures)
    useful = sum(row.score.outcome.value in ("found", "no_target") for row in rows)
    return FamilyScore(
        name,
        len(rows),
        report[key],
        bounds,
        report.get("p@0.5"),
        int(report["n_no_target"] or 0),
        report["n_acc"],
        useful,
    )


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
