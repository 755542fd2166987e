"""Runs side by side, as text, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fiducial.evaluation.comparing import Comparison
from fiducial.evaluation.published import Table
from fiducial.evaluation.report import figures
from fiducial.evaluation.report.html import figure, fill, table
from fiducial.evaluation.report.markup import Child, Markup, tag
from fiducial.evaluation.report.plots import standalone
from fiducial.evaluation.report.wording import cell, label, markdown_table, milliseconds, number
from fiducial.metrics import Difference

FEW = ("mean_iou", "cum_iou", "p@0.5", "box_iou")
"""The statistics of a page with many runs; all of them stand in its Markdown and JSON."""

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
        row = [label(name, comparison.policy, _unit(comparison))[0], number(comparison.summaries[0].report[name])]
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
    value, low, high = (f"{part:+.3f}".replace("-0.000", "+0.000") for part in (apart.value, apart.low, apart.high))
    return f"{value} ({low} to {high}){sure}"


def _unit(comparison: Comparison) -> str:
    return " and ".join(sorted({summary.unit for summary in comparison.summaries}))


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
    body: list[Child] = [
        tag("h1", title),
        tag("p", _lead(comparison), class_="lead"),
        tag("div", _numbers(comparison), class_="beside"),
        tag("p", NOTE, class_="soft"),
        tag("h2", "Curves"),
        tag("div", [figure(svg, caption) for svg, caption in _figures(comparison).values()], class_="two"),
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


def _numbers(comparison: Comparison) -> Markup:
    """Set runs in columns as long as there is room, else in rows with the most telling statistics."""
    if len(comparison.runs) <= figures.MOST_BESIDE:
        numeric = tuple(range(1, 2 * len(comparison.runs)))
        return table(header(comparison), list(map(_stacked, rows(comparison))), numeric)
    names = [name for name in FEW if name in comparison.statistics]
    told = []
    for place, (run, summary) in enumerate(zip(comparison.names, comparison.summaries, strict=True)):
        apart = comparison.differences[place - 1] if place else {}
        times = summary.seconds.get("total", {}).get("mean")
        told.append(
            [
                run,
                *([number(summary.report[name]), _small(apart.get(name)) if place else None] for name in names),
                "–" if times is None else milliseconds(times),
            ]
        )
    heads = [label(name, comparison.policy, _unit(comparison))[0] for name in names]
    return table(["", *heads, "ms a sample"], told, tuple(range(1, len(names) + 2)))


def _small(apart: Difference | None) -> list[Markup]:
    value, bracket, interval = difference(apart).partition(" (")
    return [tag("small", value), tag("small", f"({interval}")] if bracket else [tag("small", value)]


def _figures(comparison: Comparison) -> dict[str, tuple[Markup, str]]:
    return figures.of_several(list(zip(comparison.names, comparison.summaries, strict=True)))


def plots(comparison: Comparison) -> dict[str, str]:
    """Return the page's figures as SVG files, by name."""
    return {f"{name}.svg": standalone(svg) for name, (svg, _) in _figures(comparison).items()}


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
