"""The reports of runs and comparisons: one set of figures, as a page without scripts or requests and as Markdown.

Whatever a model, a dataset or a file's name says is text in both: the templates escape every value.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fiducial.contents import flat
from fiducial.datasets import Dataset
from fiducial.errors import FiducialError
from fiducial.evaluation.comparison import Comparison, PublishedTable
from fiducial.evaluation.report import gallery
from fiducial.evaluation.report.plots import MAX_COLUMNS, PALETTE, plots_of_run, plots_of_runs, standalone
from fiducial.evaluation.report.text import (
    AVERAGE_PRECISION,
    CONSISTENCY,
    COUNTS,
    OUTCOMES,
    cell,
    clean,
    difference,
    interval,
    label,
    markdown_table,
    milliseconds,
    number,
    size_class,
)
from fiducial.evaluation.run import Run
from fiducial.evaluation.summary import TIMES, Summary, summarise
from fiducial.files import json_text, make_folder, write_atomically

if TYPE_CHECKING:
    from jinja2 import Environment

TILES = ("mean_iou", "cum_iou", "p@0.5", "dice", "box_iou", "n_acc")
FEW = ("mean_iou", "cum_iou", "p@0.5", "box_iou")
"""The statistics of a page with many runs; all of them stand in its Markdown and JSON."""
NOTE = (
    "Differences are against the first run, with 95 % paired bootstrap intervals over whole pictures; * marks those "
    "whose interval does not hold 0."
)
_INTERVALS = (
    "Intervals are 95 % percentile bootstrap over whole pictures: how far the number could move had other pictures "
    "been drawn."
)
_SECONDS = (
    "total is the model's own work, from prompt to refined mask (its mean is what papers call AIT); reading the "
    "picture and scoring come on top."
)
_CORRELATION = "The segmenter's own scores and the true IoU: Spearman's rank correlation"
_CONSISTENCY = (
    "What an answer's text states of places, counts and sizes, held against the masks that came with it, whatever the "
    "truth is; tolerant at borders, and without the patient's sides."
)
_COLOURS = dict(zip(OUTCOMES, (PALETTE[0], PALETTE[2], PALETTE[1], PALETTE[3], "#808080"), strict=True))
_UNREAD = ("malformed", "truncated", "failed")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of a report: heads, rows of texts, and which columns are set to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Markup]]
    numeric: Sequence[int] = ()


def write_reports(run: Run, dataset: Dataset | None = None, *, images: bool = True) -> tuple[Summary, tuple[Path, ...]]:
    """Count a run, write ``summary.json``, ``report.html`` and ``report.md`` in its folder; return numbers and files.

    The page's pictures (``images``) come from ``dataset``; default: opened again as the run's card says.
    """
    summary = summarise(run)
    note = "" if images else "Pictures are left out: --no-images."
    if images and dataset is None:
        try:
            dataset = run.open_dataset()
        except FiducialError as error:  # a report without pictures is better than none
            note = f"Pictures are left out: {error}"
    values = run_figures(run, summary)
    cases, missing = gallery.gather(run, summary, dataset if images else None, count=6)
    colours = {"truth_colour": gallery.TRUTH, "prediction_colour": gallery.PREDICTION}
    page = {**values, **colours, "gallery": cases, "gallery_note": note or missing, "plots": plots_of_run(summary)}
    return summary, (
        write_atomically(run.folder / "summary.json", json_text(summary.as_json())),
        write_atomically(run.folder / "report.html", render("run.html", page)),
        write_atomically(run.folder / "report.md", render("run.md", values)),
    )


def write_comparison(folder: Path, comparison: Comparison) -> tuple[Path, ...]:
    """Write ``compare.json``, ``compare.md``, ``compare.html`` and the page's plots as SVG files."""
    make_folder(folder)
    values = comparison_figures(comparison)
    plots = plots_of_runs(list(zip(comparison.names, comparison.summaries, strict=True)))
    page = {**values, "stacked_numbers": _stacked(comparison, values["numbers"]), "plots": plots}
    return (
        write_atomically(folder / "compare.json", json_text(comparison.as_json())),
        write_atomically(folder / "compare.md", render("comparison.md", values)),
        write_atomically(folder / "compare.html", render("comparison.html", page)),
        *(write_atomically(folder / f"{name}.svg", standalone(svg)) for name, (svg, _) in plots.items()),
    )


def shown(summary: Summary) -> str:
    """Return what a notebook shows of a run: its numbers with their intervals, and how asking ended."""
    report, rules = summary.report, summary.policy
    count = int(report["n"] or 0)
    known = [name for name, value in report.items() if value is not None and name not in COUNTS]
    rows = [(label(n, rules, summary.unit)[0], number(report[n]), interval(summary.intervals.get(n))) for n in known]
    values = {
        "count": f"{count:,}",
        "policy": rules.name,
        "planned": f"{summary.planned:,}",
        "missing": f"{summary.planned - count:,}" if summary.planned > count else "",
        "numbers": Grid(("", "value", "95 % interval"), rows, (1, 2)),
        "outcomes": "; ".join(f"{n:,} {OUTCOMES[name]}" for name, n in summary.outcomes.items() if n),
    }
    return render("shown.html", values)


# -- figures ------------------------------------------------------------------------------------------


def run_figures(run: Run, summary: Summary) -> dict[str, Any]:
    """Return everything that the report of a run says, as texts and tables."""
    rules, report = summary.policy, summary.report
    latest = run.sessions[-1] if run.sessions else {}
    count, total = int(report["n"] or 0), sum(summary.outcomes.values()) or 1
    correlation = summary.score_correlation
    known = [name for name, value in report.items() if value is not None and name not in COUNTS]
    settings = [(key, str(value)) for key, value in flat(run.settings).items() if value not in (None, "")]
    outcomes = [(OUTCOMES[name], f"{n:,}", f"{n / total:.1%}") for name, n in summary.outcomes.items()]
    keys = [Markup('<span class="key" style="background:{}"></span>').format(_COLOURS[n]) for n in summary.outcomes]
    stages = [stage for stage in TIMES if stage in summary.seconds]
    return {
        "title": f"{run.name} on {run.dataset_name}",
        "policy": rules,
        "count": f"{count:,}",
        "planned": f"{summary.planned:,}",
        "missing": f"{summary.planned - count:,}" if summary.planned > count else "",
        "tiles": [(label(name, rules)[0], number(report[name])) for name in TILES if report.get(name) is not None],
        "numbers": Grid(
            ("", "value", "95 % interval", "what it is"),
            [
                (name, number(report[n]), interval(summary.intervals.get(n)), what)
                for n in known
                for name, what in [label(n, rules, summary.unit)]
            ],
            (1, 2),
        ),
        "interval_note": _INTERVALS,
        "correlation": "" if correlation is None else f"{_CORRELATION} {correlation:.2f}.",
        "counts": Grid(
            ("counted", ""), [(what, number(report[n])) for n, what in COUNTS.items() if report.get(n)], (1,)
        ),
        **_precision_figures(summary),
        "meter": [(n / total, _COLOURS[name]) for name, n in summary.outcomes.items()],
        "outcomes": Grid(("the answer", "samples", ""), outcomes, (1, 2)),
        "coloured_outcomes": Grid(
            ("", "the answer", "samples", ""), [(key, *row) for key, row in zip(keys, outcomes, strict=True)], (2, 3)
        ),
        "consistency": Grid(
            ("the answer's text, against its masks", "samples", ""),
            [(CONSISTENCY[name], f"{n:,}", f"{n / total:.1%}") for name, n in summary.consistency.items()],
            (1, 2),
        ),
        "consistency_note": _CONSISTENCY,
        "seconds": Grid(
            ("stage, ms a sample", "mean", "p50", "p95"),
            [
                (stage, *(milliseconds(summary.seconds[stage][key]) for key in ("mean", "p50", "p95")))
                for stage in stages
            ],
            (1, 2, 3),
        ),
        "seconds_note": _SECONDS,
        "sizes": Grid(
            ("target's part of the picture", "samples", "mean IoU"),
            [(size_class(low, high), number(n), number(mean)) for low, high, n, mean in summary.sizes if n],
            (1, 2),
        ),
        "command": shlex.join(latest.get("command") or ()) or "no command: called from Python",
        "settings": Grid(("setting", ""), [*settings, ("dataset fingerprint", run.fingerprint or "not finished")]),
        "commit": str(latest.get("commit") or "not known"),
        "started": str(latest.get("started", "")),
        "versions": Grid(("version of", ""), [(n, str(v)) for n, v in (latest.get("versions") or {}).items() if v]),
        "sessions": json.dumps(list(run.sessions), indent=1) if len(run.sessions) > 1 else "",
    }


def _precision_figures(summary: Summary) -> dict[str, Any]:
    """Return the table of average precision, without sizes that do not occur, and how it was counted or why not."""
    found = summary.precision
    if found is None or found.note:
        return {"precision": None, "precision_note": f"None: {found.note}." if found else ""}
    columns = {name: values for name, values in (("masks", found.masks), ("boxes", found.boxes)) if values is not None}
    rows = [
        (words, *(number(values[name]) for values in columns.values()))
        for name, words in AVERAGE_PRECISION.items()
        if any(values[name] is not None for values in columns.values())
    ]
    whose = "prompter" if found.ranked_by == "prompt" else "segmenter"
    note = (
        f"COCO's, whatever the policy: {found.samples:,} samples at their own size, all of one class, predictions "
        f"ranked by the {whose}'s scores."
    )
    return {"precision": Grid(("", *columns), rows, (1, 2)), "precision_note": note}


def comparison_figures(comparison: Comparison) -> dict[str, Any]:
    """Return everything that a comparison says, as texts and tables."""
    count = int(comparison.summaries[0].report["n"] or 0)
    left = f" {comparison.left_out:,} samples that not all runs have were left out." if comparison.left_out else ""
    folders = [(name, str(run.folder)) for name, run in zip(comparison.names, comparison.runs, strict=True)]
    return {
        "title": f"{len(comparison.runs)} runs on {comparison.runs[0].dataset_name}",
        "lead": f"{count:,} samples that all runs share, counted by the policy {comparison.policy.name}.{left}",
        "numbers": comparison_table(comparison),
        "note": NOTE,
        "published": [(*published_table(each), _caution(each, comparison)) for each in comparison.published],
        "folders": Grid(("run", "folder"), folders),
    }


def comparison_table(comparison: Comparison) -> Grid:
    """Return runs with their differences in columns: a row per statistic, then useless answers, then seconds."""
    first, *others = comparison.names
    header = ["", first, *(part for name in others for part in (name, "difference"))]
    rows = []
    for name in comparison.statistics:
        row = [_label(name, comparison), number(comparison.summaries[0].report[name])]
        for summary, apart in zip(comparison.summaries[1:], comparison.differences, strict=True):
            row += [number(summary.report[name]), difference(apart.get(name))]
        rows.append(row)
    useless = [f"{sum(summary.outcomes[name] for name in _UNREAD):,}" for summary in comparison.summaries]
    for name, (value, *more) in (
        ("no answer that could be used", useless),
        ("ms a sample, mean", [_milliseconds(summary) for summary in comparison.summaries]),
    ):
        rows.append([name, value, *(part for each in more for part in (each, ""))])
    return Grid(header, rows, range(1, len(header)))


def _stacked(comparison: Comparison, numbers: Grid) -> Grid:
    """Return the table for a page: intervals under their differences; many runs in rows, with the main statistics."""
    if len(comparison.runs) <= MAX_COLUMNS:
        signed = [[_small(text) if text[:1] in ("+", "-") else text for text in row] for row in numbers.rows]
        return Grid(numbers.header, signed, numbers.numeric)
    names = [name for name in FEW if name in comparison.statistics]
    rows = []
    for place, (run, summary) in enumerate(zip(comparison.names, comparison.summaries, strict=True)):
        values = [number(summary.report[name]) for name in names]
        if place:
            apart = [_small(difference(comparison.differences[place - 1].get(name)), small="small") for name in names]
            values = [value + more for value, more in zip(values, apart, strict=True)]
        rows.append([run, *values, _milliseconds(summary)])
    header = ("", *(_label(name, comparison) for name in names), "ms a sample")
    return Grid(header, rows, range(1, len(header)))


def _small(text: str, small: str = "span") -> Markup:
    value, bracket, rest = text.partition(" (")
    shown = Markup("<{0}>{1}</{0}>").format(small, value)
    return shown + Markup("<small>({}</small>").format(rest) if bracket else shown


def published_table(table: PublishedTable) -> tuple[str, Grid]:
    """Return the title and the rows of a published table."""
    columns = list(next(iter(table.rows.values())))
    rows = [(name, *(number(values[column]) for column in columns)) for name, values in table.rows.items()]
    split = f", {table.split}" if table.split else ""
    return f"Published on {table.dataset}{split}", Grid(("", *columns), rows, range(1, len(columns) + 1))


def _label(name: str, comparison: Comparison) -> str:
    unit = " and ".join(sorted({summary.unit for summary in comparison.summaries}))
    return label(name, comparison.policy, unit)[0]


def _milliseconds(summary: Summary) -> str:
    mean = summary.seconds.get("total", {}).get("mean")
    return "–" if mean is None else milliseconds(mean)


def _caution(table: PublishedTable, comparison: Comparison) -> str:
    rule = f"counted by {table.policy}: not comparable with the runs above before these are counted so too (--policy)"
    if not table.policy:
        rule = "no policy here counts alike: do not compare"
    elif table.policy == comparison.policy.name:
        rule = f"counted by {table.policy}, as the runs above"
    return f"Source: {table.source}; {rule}."


# -- templates ----------------------------------------------------------------------------------------


def render(template: str, values: Mapping[str, Any], package: str = "") -> str:
    """Fill a template, a page or Markdown; whatever is no :class:`Markup` is escaped.

    Args:
        template: its file, in this folder or in ``templates`` of ``package``, whose pages extend those of this folder.
        values: what it shows.
        package: another one with templates, such as ``fiducial.misground``.
    """
    return _environment(template.endswith(".html"), package).get_template(template).render(values)


@cache
def _environment(html: bool, package: str = "") -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    own = PackageLoader("fiducial.evaluation", "report")
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates"), own]) if package else own,
        autoescape=html,
        finalize=_clean if html else lambda value: value if isinstance(value, Markup) else cell(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["table"] = lambda grid: Markup(markdown_table(grid.header, grid.rows))
    made.filters["code"] = lambda text: Markup(" ".join(text.split()))
    style = own.get_source(made, "page.css")[0]
    made.globals["style"] = Markup(style)
    return made


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value
