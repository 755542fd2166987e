"""The report in Markdown: numbers only, no pictures, so that it may travel."""

from __future__ import annotations

import shlex

from fiducial.evaluation.folder import Run
from fiducial.evaluation.report.wording import (
    COUNTS,
    OUTCOMES,
    cell,
    label,
    markdown_table,
    milliseconds,
    number,
    plain,
    precision_header,
    precision_rows,
    size_class,
    told,
    trust,
)
from fiducial.evaluation.summary import TIMES, Summary


def markdown(run: Run, summary: Summary) -> str:
    """Write the report of a run as Markdown."""
    rules, latest = summary.policy, (run.sessions[-1] if run.sessions else {})
    count = int(summary.report["n"] or 0)
    missing = summary.planned - count
    parts = [
        f"# {cell(run.name)} on {cell(run.dataset_name)}",
        f"{count:,} samples, counted by the policy **{cell(rules.name)}**. {cell(rules.summary)}",
        f"**{missing:,} of {summary.planned:,} samples are missing.**" if missing > 0 else "",
        "## Numbers",
        _numbers(summary),
        "Intervals are 95 % percentile bootstrap over whole pictures.",
        trust(summary.score_correlation),
        *_instances(summary),
        markdown_table(
            ("counted", ""),
            [(what, number(summary.report[name])) for name, what in COUNTS.items() if summary.report.get(name)],
        ),
        "## Outcomes",
        markdown_table(("answer", "samples"), [(OUTCOMES[n], number(c)) for n, c in summary.outcomes.items()]),
        "## Milliseconds a sample",
        _seconds(summary),
        "## Size of the target",
        markdown_table(
            ("part of the picture", "samples", "mean IoU"),
            [(size_class(low, high), number(n), number(mean)) for low, high, n, mean in summary.sizes if n],
        ),
        "## Where the numbers come from",
        "    " + " ".join(shlex.join(latest.get("command") or ["called from Python"]).split()),
        markdown_table(("setting", ""), [*plain(run.settings), ("dataset fingerprint", run.fingerprint or "–")]),
        f"Commit {cell(str(latest.get('commit') or 'not known'))}, {cell(str(latest.get('started', '')))}; "
        + cell(", ".join(f"{name} {value}" for name, value in (latest.get("versions") or {}).items() if value)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _numbers(summary: Summary) -> str:
    rows = []
    for name, value in summary.report.items():
        if value is not None and name not in COUNTS:
            low, high = summary.intervals[name]
            rows.append((label(name, summary.policy, summary.unit)[0], number(value), f"{low:.3f} to {high:.3f}"))
    return markdown_table(("", "value", "95 % interval"), rows)


def _instances(summary: Summary) -> tuple[str, ...]:
    found = summary.precision
    if found is None:
        return ()
    head = "## Average precision over instances"
    if found.note:
        return head, f"None: {cell(found.note)}."
    return head, markdown_table(precision_header(found), precision_rows(found)), told(found)


def _seconds(summary: Summary) -> str:
    rows = [
        (stage, *(milliseconds(summary.seconds[stage][key]) for key in ("mean", "p50", "p95")))
        for stage in TIMES
        if stage in summary.seconds
    ]
    return markdown_table(("stage", "mean", "p50", "p95"), rows)
