"""Runs side by side, as text, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fiducial.evaluation.comparing import Comparison
from fiducial.evaluation.published import Table
from fiducial.evaluation.report import figures
from fiducial.evaluation.report.html import figure, fill, table
from fiducial.evaluation.report.markup import Child, tag
from fiducial.evaluation.report.wording import cell, label, markdown_table, milliseconds, number
from fiducial.metrics import Difference

NOTE = (
    "Differences are against the first run, with 95 % paired bootstrap intervals over whole pictures; * marks those "
    "whose interval does not hold 0."
)


def header(comparison: Comparison) -> list[str]:
    """Return the heads of the table's columns."""
    return ["", comparison.names[0], *(part for name in comparison.names[1:] for part in (name, "difference"))]


def rows(comparison: Comparison) -> list[list[str]]:
    """Return one row per statistic, then outcomes that were of no use, then seconds."""
    found = []
    for name in comparison.statistics:
        row = [label(name, comparison.policy)[0], number(comparison.summaries[0].report[name])]
        for summary, apart in zip(comparison.summaries[1:], comparison.differences, strict=True):
            row += [number(summary.report[name]), difference(apart.get(name))]
        found.append(row)
    found.append(_spread("no answer that could be used", (f"{_useless(s.outcomes):,}" for s in comparison.summaries)))
    times = (s.seconds.get("total", {}).get("mean") for s in comparison.summaries)
    found.append(_spread("ms a sample, mean", ("–" if t is None else milliseconds(t) for t in times)))
    return found


def difference(apart: Difference | None) -> str:
    """Write a difference with its interval."""
    if apart is None:
        return "–"
    sure = "*" if apart.low > 0 or apart.high < 0 else ""
    return f"{apart.value:+.3f} ({apart.low:+.3f} to {apart.high:+.3f}){sure}"


def markdown(comparison: Comparison) -> str:
    """Write the comparison as Markdown."""
    parts = [
        f"# {len(comparison.runs)} runs on {cell(comparison.runs[0].dataset_name)}",
        _lead(comparison),
        markdown_table(header(comparison), rows(comparison)),
        NOTE,
        *(
            part
            for each in comparison.published
            for part in (_title(each), _markdown_figures(each), _caution(each, comparison))
        ),
        "## Runs",
        markdown_table(
            ("run", "folder"), [(n, str(r.folder)) for n, r in zip(comparison.names, comparison.runs, strict=True)]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def html(comparison: Comparison) -> str:
    """Write the comparison as one HTML page."""
    title = f"{len(comparison.runs)} runs on {comparison.runs[0].dataset_name}"
    curves = [(name, summary.curve) for name, summary in zip(comparison.names, comparison.summaries, strict=True)]
    numeric = tuple(range(1, 2 * len(comparison.runs)))
    body: list[Child] = [
        tag("h1", title),
        tag("p", _lead(comparison), class_="lead"),
        tag("div", table(header(comparison), list(map(_stacked, rows(comparison))), numeric), class_="beside"),
        tag("p", NOTE, class_="soft"),
        tag("h2", "P@t"),
        tag("div", figure(figures.precision(curves, comparison.policy.comparison), "P@t of each run."), class_="two"),
    ]
    for each in comparison.published:
        columns = list(next(iter(each.rows.values())))
        told = [[name, *(number(values[column]) for column in columns)] for name, values in each.rows.items()]
        body += [
            tag("h2", _title(each).removeprefix("## ")),
            table(["", *columns], told, tuple(range(1, len(columns) + 1))),
            tag("p", _caution(each, comparison), class_="soft"),
        ]
    folders = [[name, str(run.folder)] for name, run in zip(comparison.names, comparison.runs, strict=True)]
    return fill(title, [*body, tag("h2", "Runs"), table(("run", "folder"), folders)])


def _stacked(row: Sequence[str]) -> list[Child]:
    """Put the intervals of differences under them: rows of several runs get long."""
    told: list[Child] = []
    for text in row:
        value, bracket, interval = text.partition(" (")
        told.append([value, tag("small", f"({interval}")] if bracket and value[0] in "+-" else text)
    return told


def _lead(comparison: Comparison) -> str:
    count = int(comparison.summaries[0].report["n"] or 0)
    left = f" {comparison.left_out:,} samples that not all runs have were left out." if comparison.left_out else ""
    return f"{count:,} samples that all runs share, counted by the policy {comparison.policy.name}.{left}"


def _spread(name: str, values: Iterable[str]) -> list[str]:
    first, *others = values
    return [name, first, *(part for value in others for part in (value, ""))]


def _useless(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes[name] for name in ("malformed", "truncated", "failed"))


def _title(each: Table) -> str:
    return f"## Published on {each.dataset}{f', {each.split}' if each.split else ''}"


def _markdown_figures(each: Table) -> str:
    columns = list(next(iter(each.rows.values())))
    told = [(name, *(number(values[column]) for column in columns)) for name, values in each.rows.items()]
    return markdown_table(("", *columns), told)


def _caution(each: Table, comparison: Comparison) -> str:
    if not each.policy:
        rule = "no policy here counts alike: do not compare"
    elif each.policy == comparison.policy.name:
        rule = f"counted by {each.policy}, as the runs above"
    else:
        rule = (
            f"counted by {each.policy}: not comparable with the runs above before these are counted so too (--policy)"
        )
    return f"Source: {each.source}; {rule}."
