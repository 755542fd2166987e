"""Families: how a run fares by the kind of phrase that was asked, such as order, size, relation or colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fiducial.datasets import Dataset, open_dataset
from fiducial.errors import InputError
from fiducial.evaluation.folder import Run
from fiducial.evaluation.report.text import number
from fiducial.evaluation.studies import Table, note_of, write_table
from fiducial.evaluation.summary import Row, read_rows
from fiducial.metrics import Policy, Totals, bootstrap, policy
from fiducial.synthetic import FAMILIES

EVERY = "all"
"""Name of the line over all families."""
_HEADER = ("family", "samples", "mean IoU", "95 % of mean IoU", "P@0.5", "without a target", "N-acc", "answers of use")


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """How one family fared.

    Args:
        family: its name; :data:`EVERY` for all of them.
        n: its samples.
        mean_iou: mean mask IoU, that of boxes where the truth has no masks; None where no sample has one.
        interval: 95 % bootstrap interval of ``mean_iou``, whole pictures drawn; None likewise.
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
        return {
            "family": self.family,
            "n": self.n,
            "mean_iou": self.mean_iou,
            "interval": None if self.interval is None else list(self.interval),
            "p@0.5": self.half,
            "n_no_target": self.n_no_target,
            "n_acc": self.n_acc,
            "answers_of_use": self.useful,
        }


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
    there = sorted(set(families.values()), key=lambda name: (_rank(name), name))
    told = [_score(name, [row for row in rows if families[row.index] == name], rules, seed) for name in there]
    return (*told, _score(EVERY, rows, rules, seed))


def family_table(run: Run, out: str | Path, dataset: Dataset | None = None) -> Table:
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
    scores = score_families(rows, families_of(_opened(run) if dataset is None else dataset, rows), rules)
    title = f"families: {run.name} on {run.dataset_name}, {len(rows)} samples, policy {rules.name}"
    values = {
        "study": "families",
        "policy": rules.name,
        "settings": dict(run.settings),
        "families": [score.as_json() for score in scores],
    }
    table = Table(title, _HEADER, tuple(map(_line, scores)), values)
    return replace(table, files=write_table(Path(out), "families", table, note_of(run)))


def _opened(run: Run) -> Dataset:
    if not run.spec:
        raise InputError(
            f"{run.folder}: its dataset was given from Python: give it again, as family_table(..., dataset)"
        )
    return open_dataset(run.spec, split=run.settings["dataset"]["split"])


def _rank(name: str) -> int:
    known = tuple(FAMILIES)
    return known.index(name) if name in known else len(known)


def _score(name: str, rows: Sequence[Row], rules: Policy, seed: int) -> FamilyScore:
    report = Totals(rules).extend(row.score for row in rows).report()
    key = "mean_iou" if report["mean_iou"] is not None else "box_iou"
    scores, pictures = [row.score for row in rows], [row.picture for row in rows]
    interval = None if report[key] is None else bootstrap(scores, rules, key, seed, groups=pictures)
    useful = sum(row.score.outcome.value in ("found", "no_target") for row in rows)
    return FamilyScore(
        name,
        len(rows),
        report[key],
        interval,
        report.get("p@0.5"),
        int(report["n_no_target"] or 0),
        report["n_acc"],
        useful,
    )


def _line(score: FamilyScore) -> tuple[str, ...]:
    bounds = "–" if score.interval is None else f"{score.interval[0]:.3f} to {score.interval[1]:.3f}"
    return (
        score.family.replace("_", " "),
        f"{score.n:,}",
        number(score.mean_iou),
        bounds,
        number(score.half),
        f"{score.n_no_target:,}",
        number(score.n_acc),
        f"{score.useful:,}",
    )
