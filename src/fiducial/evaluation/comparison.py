"""Comparing runs: on the samples that they share, with paired intervals, and with what papers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fiducial.errors import InputError, UnknownNameError
from fiducial.evaluation.run import Run, read_run
from fiducial.evaluation.summary import Row, Summary, read_rows, summary_of
from fiducial.files import read_yaml
from fiducial.metrics import Difference, Policy, paired_bootstrap, policy
from fiducial.metrics import statistics as statistics_of


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        names: of the runs, each different; the first is what the others are held against.
        summaries: the numbers of each, on the shared samples, by one policy.
        differences: per further run, per statistic: that run minus the first.
        left_out: samples that are not in every run and were left out.
        published: figures of papers on the same dataset.
    """

    policy: Policy
    names: tuple[str, ...]
    runs: tuple[Run, ...]
    summaries: tuple[Summary, ...]
    differences: tuple[Mapping[str, Difference], ...]
    left_out: int = 0
    published: tuple[PublishedTable, ...] = ()

    @property
    def statistics(self) -> list[str]:
        """The statistics that at least one run has, in the order of reports."""
        known = statistics_of(self.policy)
        return [name for name in known if any(summary.report[name] is not None for summary in self.summaries)]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [
            {
                key: {"value": each.value, "interval": [each.low, each.high], "share_above": each.first_better}
                for key, each in found.items()
            }
            for found in self.differences
        ]
        return {
            "policy": self.policy.name,
            "n": self.summaries[0].report["n"],
            "left_out": self.left_out,
            "runs": [
                {"name": name, "folder": str(run.folder), **summary.as_json()}
                for name, run, summary in zip(self.names, self.runs, self.summaries, strict=True)
            ],
            "differences": [
                {"run": name, "minus": self.names[0], **one} for name, one in zip(self.names[1:], rows, strict=True)
            ],
            "published": [asdict(table) for table in self.published],
        }


def compare(
    folders: Sequence[str | Path],
    *,
    policy_name: str | None = None,
    common: bool = False,
    tables: Sequence[PublishedTable] | None = None,
    seed: int = 0,
) -> Comparison:
    """Put runs side by side.

    Args:
        folders: of the runs; the first is the one that the others are held against.
        policy_name: count all of them anew by this policy; needed when theirs differ.
        common: use the samples that all runs have; without it runs on different samples are an error.
        tables: published figures to show with them; default: those of the first run's dataset.
        seed: of the bootstrap.
    """
    if len(folders) < 2:
        raise InputError("name at least two runs to compare")
    runs = tuple(read_run(folder) for folder in folders)
    rules = _one_policy(runs, policy_name)
    rows = [{row.id: row for row in read_rows(run, rules)} for run in runs]
    shared = _shared(runs, rows, common)
    kept = [{name: row for name, row in found.items() if name in shared} for found in rows]
    settings = runs[0].settings["dataset"]
    summaries = tuple(summary_of(list(found.values()), rules, len(shared), seed=seed) for found in kept)
    return Comparison(
        policy=rules,
        names=_names(runs),
        runs=runs,
        summaries=summaries,
        differences=tuple(_differences(one, kept[0], rules, seed) for one in kept[1:]),
        left_out=len(set().union(*rows)) - len(shared),
        published=published(settings["name"], settings["split"]) if tables is None else tuple(tables),
    )


def _one_policy(runs: Sequence[Run], wanted: str | None) -> Policy:
    if wanted is not None:
        return policy(wanted)
    names = list(dict.fromkeys(str(run.settings["policy"]) for run in runs))
    if len(names) > 1:
        raise InputError(f"the runs were counted by {' and '.join(names)}: say --policy to count all by one")
    return policy(names[0])


def _shared(runs: Sequence[Run], rows: Sequence[Mapping[str, Row]], common: bool) -> frozenset[str]:
    """Return the samples that every run has; they have to be the same tasks."""
    shared = frozenset(rows[0]).intersection(*rows[1:])
    for run, found in zip(runs[1:], rows[1:], strict=True):
        apart = sorted(set(rows[0]) ^ set(found))
        if apart and not common:
            raise InputError(
                f"{len(apart)} samples are in only one of {runs[0].folder} and {run.folder}, such as {apart[0]}: "
                "use --common to compare on those that all have"
            )
        changed = sorted(name for name in shared if found[name].digest != rows[0][name].digest)
        if changed:
            raise InputError(
                f"{len(changed)} samples differ in picture, instruction or truth between {runs[0].folder} and "
                f"{run.folder}, such as {changed[0]}"
            )
    if not shared:
        raise InputError("the runs share no sample")
    return shared


def _differences(found: Mapping[str, Row], first: Mapping[str, Row], rules: Policy, seed: int) -> dict[str, Difference]:
    ours, theirs = ({name: row.score for name, row in rows.items()} for rows in (found, first))
    groups = {name: row.picture for name, row in first.items()}
    differences = {}
    for name, share in statistics_of(rules).items():
        # A statistic that one of the two does not have cannot be compared.
        if all(any(share(score)[1] for score in run.values() if score.counted) for run in (ours, theirs)):
            differences[name] = paired_bootstrap(ours, theirs, rules, name, seed, groups=groups)
    return differences


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    """Name the runs by what was run, and where that is not enough by their folders."""
    names = [run.name for run in runs]
    folders = [run.folder.resolve().name for run in runs]
    if len(set(names)) == len(names):
        return tuple(names)
    if len(set(folders)) == len(folders):
        return tuple(folders)
    return tuple(f"{place}: {name}" for place, name in enumerate(names, start=1))


# -- published figures --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of one paper.

    Args:
        policy: name of the policy that counts alike, or "" where none does.
        source: where the figures stand.
        rows: per system its figures by name of the statistic; what a paper leaves out is None.
    """

    dataset: str
    split: str
    policy: str
    source: str
    rows: Mapping[str, Mapping[str, float | None]]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Return every table."""
    tables = []
    for entry in read_yaml(files("fiducial.evaluation").joinpath("published.yaml"), kind=list):
        columns = entry.pop("columns")
        rows = {name: dict(zip(columns, values, strict=True)) for name, values in entry.pop("rows").items()}
        tables.append(PublishedTable(**entry, rows=rows))
    return tuple(tables)


def published(dataset: str, split: str | None = None) -> tuple[PublishedTable, ...]:
    """Return the tables of a dataset, of one split or all; none where nobody's figures are known."""
    return tuple(table for table in published_tables() if table.dataset == dataset and split in (None, table.split))


def require_published(dataset: str) -> tuple[PublishedTable, ...]:
    """Return the tables of a dataset; an UnknownNameError where nobody's figures are known."""
    found = published(dataset)
    if not found:
        known = {table.dataset for table in published_tables()}
        raise UnknownNameError("dataset with published figures", dataset, known)
    return found
