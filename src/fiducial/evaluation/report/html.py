"""The report as one HTML page: no scripts, no outside requests, every text escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from fiducial.evaluation.folder import Run
from fiducial.evaluation.records import Record
from fiducial.evaluation.report import figures
from fiducial.evaluation.report.gallery import PREDICTION, TRUTH, Choice
from fiducial.evaluation.report.markup import Child, Markup, join, tag
from fiducial.evaluation.report.plots import PALETTE
from fiducial.evaluation.report.wording import (
    COUNTS,
    OUTCOMES,
    label,
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

TILES = ("mean_iou", "cum_iou", "p@0.5", "dice", "box_iou", "n_acc")
_COLOURS = {
    "found": PALETTE[0],
    "no_target": PALETTE[2],
    "malformed": PALETTE[1],
    "truncated": PALETTE[3],
    "failed": "#808080",
}
_MOST_TEXT = 1500


@dataclass(frozen=True, slots=True)
class Case:
    """One sample of the gallery.

    Args:
        record: of the sample.
        iou: as the policy counts it, or None.
        views: pictures as ``data:`` addresses; none when pictures are left out.
    """

    record: Record
    iou: float | None
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gallery:
    """The cases that are shown.

    Args:
        choice: which samples, and why.
        cases: each of them by its place.
        note: why pictures are missing, or "".
    """

    choice: Choice
    cases: Mapping[int, Case]
    note: str = ""


def page(run: Run, summary: Summary, gallery: Gallery) -> str:
    """Write the page of a run."""
    title = f"{run.name} on {run.dataset_name}"
    body = [
        _head(run, summary, title),
        _numbers(summary),
        _instances(summary),
        _curves(summary),
        _how_it_went(summary),
        _sizes(summary),
        _gallery(gallery),
        _origin(run),
    ]
    return fill(title, body)


def fill(title: str, body: Child) -> str:
    """Put a body into the page that all reports share."""
    here = files("fiducial.evaluation.report")
    template = Template(here.joinpath("page.html").read_text(encoding="utf-8"))
    style = here.joinpath("page.css").read_text(encoding="utf-8")
    return template.substitute(title=join(title), style=style, body=join(body))


def table(header: Sequence[str], rows: Sequence[Sequence[Child]], numeric: Sequence[int] = ()) -> Markup:
    """Make a table in a card; columns in ``numeric`` are set to the right."""

    def cells(name: str, row: Sequence[Child]) -> list[Markup]:
        return [tag(name, value, class_="number" if place in numeric else None) for place, value in enumerate(row)]

    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", cells("th", header))),
            tag("tbody", [tag("tr", cells("td", row)) for row in rows]),
        ),
        class_="card",
    )


def figure(picture: Markup, caption: str) -> Markup:
    """Put a plot and its caption into a card."""
    return tag("figure", picture, tag("figcaption", caption), class_="card")


def _head(run: Run, summary: Summary, title: str) -> Child:
    rules, count = summary.policy, int(summary.report["n"] or 0)
    missing = summary.planned - count
    latest = run.sessions[-1] if run.sessions else {}
    tiles = [
        tag("div", tag("b", number(summary.report[name])), tag("span", label(name, rules)[0]), class_="tile")
        for name in TILES
        if summary.report.get(name) is not None
    ]
    return [
        tag("h1", title),
        tag(
            "p", f"{count:,} samples, counted by the policy ", tag("b", rules.name), f". {rules.summary}", class_="lead"
        ),
        tag("p", f"{missing:,} of {summary.planned:,} samples are missing.", class_="warn") if missing > 0 else None,
        tag("p", f"{latest.get('started', '')} · commit {latest.get('commit') or 'not known'}", class_="soft"),
        tag("div", tiles, class_="tiles"),
    ]


def _numbers(summary: Summary) -> Child:
    rows = [
        [
            label(name, summary.policy, summary.unit)[0],
            number(value),
            _interval(summary, name),
            label(name, summary.policy)[1],
        ]
        for name, value in summary.report.items()
        if value is not None and name not in COUNTS
    ]
    counts = [[what, number(summary.report[name])] for name, what in COUNTS.items() if summary.report.get(name)]
    return [
        tag("h2", "Numbers"),
        table(("", "value", "95 % interval", "what it is"), rows, numeric=(1, 2)),
        tag(
            "p",
            "Intervals are percentile bootstrap over whole pictures: how far the number could move had other "
            "pictures been drawn.",
            class_="soft",
        ),
        tag("p", trust(summary.score_correlation), class_="soft"),
        table(("counted", ""), counts, numeric=(1,)),
    ]


def _instances(summary: Summary) -> Child:
    """Show average precision, or why there is none."""
    found = summary.precision
    if found is None:
        return None
    head = tag("h2", "Average precision over instances")
    if found.note:
        return [head, tag("p", f"None: {found.note}.", class_="soft")]
    return [head, table(precision_header(found), precision_rows(found), (1, 2)), tag("p", told(found), class_="soft")]


def _interval(summary: Summary, name: str) -> str:
    pair = summary.intervals.get(name)
    return "–" if pair is None else f"{pair[0]:.3f} to {pair[1]:.3f}"


def _curves(summary: Summary) -> Child:
    drawn = figures.of_summary(summary)
    return [tag("h2", "Curves"), tag("div", [figure(svg, caption) for svg, caption in drawn], class_="two")]


def _how_it_went(summary: Summary) -> Child:
    total = sum(summary.outcomes.values()) or 1
    meter = [
        tag("span", style=f"width:{100 * count / total:.3f}%;background:{_COLOURS[name]}")
        for name, count in summary.outcomes.items()
        if count
    ]
    outcomes = [
        [
            tag("span", class_="key", style=f"background:{_COLOURS[name]}"),
            OUTCOMES[name],
            number(count),
            f"{count / total:.1%}",
        ]
        for name, count in summary.outcomes.items()
    ]
    stages = [
        [stage, *(milliseconds(summary.seconds[stage][key]) for key in ("mean", "p50", "p95"))]
        for stage in TIMES
        if stage in summary.seconds
    ]
    return [
        tag("h2", "Outcomes and time"),
        tag(
            "div",
            tag("div", tag("div", meter, class_="meter"), table(("", "the answer", "samples", ""), outcomes, (2, 3))),
            table(("stage, ms a sample", "mean", "p50", "p95"), stages, (1, 2, 3)),
            class_="two",
        ),
        tag(
            "p",
            "total is the model's own work, from prompt to refined mask (its mean is what papers call AIT); "
            "reading the picture and scoring come on top.",
            class_="soft",
        ),
    ]


def _sizes(summary: Summary) -> Child:
    rows = [[size_class(low, high), number(count), number(mean)] for low, high, count, mean in summary.sizes if count]
    return [
        tag("h2", "Size of the target"),
        table(("target's part of the picture", "samples", "mean IoU"), rows, (1, 2)),
    ]


def _gallery(gallery: Gallery) -> Child:
    groups = (("Worst", gallery.choice.worst), ("Best", gallery.choice.best), ("Random", gallery.choice.random))
    keys = tag(
        "p",
        tag("span", class_="key", style=f"background:rgb{TRUTH}"),
        "truth",
        tag("span", class_="key", style=f"background:rgb{PREDICTION}"),
        "predicted: mask, boxes and points. A second view shows a part from nearer.",
        class_="soft",
    )
    body = [
        [tag("h3", name), tag("div", [_case(gallery.cases[place]) for place in places], class_="cases")]
        for name, places in groups
        if places
    ]
    return [tag("h2", "Gallery"), tag("p", gallery.note, class_="warn") if gallery.note else keys, body]


def _case(case: Case) -> Markup:
    record = case.record
    views = [tag("img", src=view, alt=f"{record.id}, view {place}") for place, view in enumerate(case.views, start=1)]
    count = f"{len(record.prompts)} prompt{'' if len(record.prompts) == 1 else 's'}"
    said = "\n".join(text for text in (record.thinking, record.text, record.raw) if text)
    return tag(
        "div",
        tag("div", views, class_="views") if views else None,
        tag("div", tag("b", record.instruction), tag("span", f"IoU {_short(case.iou)}"), class_="head"),
        tag(
            "div", " · ".join(filter(None, (record.id, record.outcome.value, count, _no_target(record)))), class_="soft"
        ),
        tag("div", _shortened(said), class_="said") if said else None,
        class_="case",
    )


def _short(iou: float | None) -> str:
    return "–" if iou is None else f"{iou:.2f}"


def _no_target(record: Record) -> str:
    """Tell where there is nothing to find: a picture cannot show that."""
    truth = record.truth_mask
    nothing = not record.truth_boxes if truth is None else not truth
    return "in truth there is no target" if nothing else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + f" ... ({len(text):,} characters)"


def _origin(run: Run) -> Child:
    latest = run.sessions[-1] if run.sessions else {}
    versions = [[name, str(value)] for name, value in (latest.get("versions") or {}).items() if value]
    settings = [[key, value] for key, value in plain(run.settings)]
    settings.append(["dataset fingerprint", run.fingerprint or "not finished"])
    return [
        tag("h2", "Where the numbers come from"),
        tag("pre", shlex.join(latest.get("command") or ["no command: called from Python"])),
        tag("div", table(("setting", ""), settings), table(("version of", ""), versions), class_="two"),
        tag(
            "details",
            tag("summary", "Every start of the program"),
            tag("pre", json.dumps(list(run.sessions), indent=1)),
        )
        if len(run.sessions) > 1
        else None,
    ]
