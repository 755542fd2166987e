"""Published figures, kept as data: what papers report, on which data and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from fiducial.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Table:
    """One table of one paper.

    Args:
        dataset: name of the dataset, as :data:`fiducial.datasets.DATASETS` has it where it is one of them.
        split: part of it.
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
def tables() -> tuple[Table, ...]:
    """Return every table."""
    text = files("fiducial.evaluation").joinpath("published.yaml").read_text(encoding="utf-8")
    return tuple(
        Table(
            entry["dataset"],
            entry["split"],
            entry["policy"],
            entry["source"],
            {name: dict(zip(entry["columns"], values, strict=True)) for name, values in entry["rows"].items()},
        )
        for entry in yaml.safe_load(text)
    )


def published(dataset: str, split: str | None = None) -> tuple[Table, ...]:
    """Return the tables of a dataset; none where nobody's figures are known.

    Args:
        dataset: its name.
        split: a part of it; None returns those of all parts.
    """
    return tuple(table for table in tables() if table.dataset == dataset and split in (None, table.split))


def require_published(dataset: str) -> tuple[Table, ...]:
    """Return the tables of a dataset.

    Raises:
        UnknownNameError: no figures of such a dataset are known.
    """
    found = published(dataset)
    if not found:
        raise UnknownNameError("dataset with published figures", dataset, {table.dataset for table in tables()})
    return found
