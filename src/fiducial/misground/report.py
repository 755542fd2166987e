"""The report of a run, as a page without scripts or requests and as Markdown, and the comparison of several."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fiducial.evaluation.report import Grid, render
from fiducial.evaluation.report.plots import PALETTE, Axis, Plot, share_axis
from fiducial.evaluation.report.text import difference
from fiducial.files import json_text, make_folder, write_atomically
from fiducial.misground.asking import AskedRun, sheet
from fiducial.misground.items import KINDS
from fiducial.misground.scoring import RunDifference, Scored, Share, Summary

_SHOWN_KINDS = 2  # items of each kind on the page: one that was right, one that was not
_SHEET = 420
_TEMPLATES = "fiducial.misground"
_SHORT = {
    "slice_order": "slices",
    "unanswerable": "unansw.",
    "superior-inferior": "S-I",
    "anterior-posterior": "A-P",
    "left-right": "L-R",
    "medial-lateral": "M-L",
    "no single one": "other",
}
"""Names of levels that are too long for a plot."""
_PAIRED = (
    "Pairs of items that are the same question about the same structures and differ in this factor alone. Differences "
    "with 95 % paired bootstrap intervals over whole situations; * marks those whose interval does not hold 0. p: "
    "McNemar's exact test, then corrected for all tests of the table (Holm)."
)
_INTERVALS = (
    "Intervals are 95 % percentile bootstrap over whole situations (the variants of one question succeed and fail "
    "together): how far the number could move had other questions been drawn from the same volumes, not other volumes."
)
_MIXED = (
    "Levels hold different mixes of kinds and structures, so their accuracies differ for other reasons too: what a "
    "factor alone changes stands in the table of pairs."
)
_FLIPS = (
    "Opposites: of the wrong choices, those that taking a direction for its opposite (superior for inferior) leads to."
)


def write_report(run: AskedRun, summary: Summary, scored: Sequence[Scored]) -> tuple[Path, ...]:
    """Write ``summary.json``, ``report.html`` and ``report.md`` into a run's folder."""
    values = figures(run, summary)
    plots = {
        factor: (_plot(factor, levels), _caption(factor))
        for factor, levels in summary.levels.items()
        if len(levels) > 1
    }
    page = {**values, "plots": plots, "cases": _cases(run, scored)}
    return (
        write_atomically(run.folder / "summary.json", json_text(summary.as_json())),
        write_atomically(run.folder / "report.html", render("report.html", page, _TEMPLATES)),
        write_atomically(run.folder / "report.md", render("report.md", values, _TEMPLATES)),
    )


def write_comparison(
    folder: Path, named: Sequence[tuple[str, Summary]], differences: Sequence[RunDifference]
) -> tuple[Path, ...]:
    """Write ``compare.json`` and ``compare.md``: runs side by side with 95 % intervals, and against the first."""
    make_folder(folder)
    factors = [("all", {"all": named[0][1].total}), *named[0][1].levels.items()]
    rows = []
    for factor, levels in factors:
        for level in levels:
            shares = [s.total if factor == "all" else s.levels.get(factor, {}).get(level) for _, s in named]
            rows.append((factor, level, *("–" if one is None else _with_interval(one) for one in shares)))
    apart = Grid(
        ("run", "items", "accuracy", f"accuracy of {named[0][0]}", "difference", "p"),
        [
            (one.name, f"{one.n:,}", *map(percent, one.accuracies), difference(one.difference), f"{one.p:.3g}")
            for one in differences
        ],
        (1, 2, 3, 4, 5),
    )
    values = {"title": f"{len(named)} runs", "numbers": Grid(("factor", "level", *(n for n, _ in named)), rows)}
    plain = {
        "runs": [summary.as_json() for _, summary in named],
        "differences": [
            {"run": one.name, "minus": named[0][0], "n": one.n, "p": one.p, "difference": one.difference.value}
            | {"interval": [one.difference.low, one.difference.high]}
            for one in differences
        ],
    }
    return (
        write_atomically(folder / "compare.json", json_text(plain)),
        write_atomically(folder / "compare.md", render("compare.md", {**values, "apart": apart}, _TEMPLATES)),
    )


def figures(run: AskedRun, summary: Summary) -> dict[str, Any]:
    """Return everything that a report says, as texts and tables."""
    latest = run.sessions[-1] if run.sessions else {}
    total = summary.total
    tiles = [
        ("accuracy", percent(total.accuracy)),
        ("by chance", percent(total.chance)),
        ("no choice could be read", percent(total.unread)),
        ("opposites among the wrong", "–" if total.flips is None else percent(total.flips)),
    ]
    rows = [
        (factor, _level(factor, level), *_cells(one))
        for factor, levels in summary.levels.items()
        for level, one in levels.items()
    ]
    tests = [
        (
            test.factor,
            f"{test.first} – {test.second}",
            f"{test.pairs:,}",
            *map(percent, test.accuracies),
            difference(test.difference),
            f"{test.p:.3g}",
            f"{test.p_holm:.3g}",
        )
        for test in summary.tests
    ]
    return {
        "title": f"{summary.name} on {Path(run.settings['benchmark']['path']).name}",
        "count": f"{total.n:,}",
        "missing": f"{summary.planned - total.n:,}" if summary.planned > total.n else "",
        "planned": f"{summary.planned:,}",
        "tiles": tiles,
        "interval": f"{percent(total.low)} to {percent(total.high)}",
        "numbers": Grid(
            ("factor", "level", "items", "accuracy", "95 % interval", "by chance", "unread", "opposites"),
            rows,
            (2, 3, 4, 5, 6, 7),
        ),
        "interval_note": f"{_MIXED} {_INTERVALS} {_FLIPS}",
        "tests": Grid(
            ("factor", "levels", "pairs", "first", "second", "difference", "p", "p (Holm)"), tests, (2, 3, 4, 5, 6, 7)
        ),
        "tests_note": _PAIRED,
        "counts": Grid(
            ("", ""),
            [
                ("failed", f"{summary.failed:,}"),
                ("cut at the limit of tokens", f"{summary.cut:,}"),
                ("seconds a reply", f"{summary.seconds:.3f}"),
                *((f"chose {name}", f"{count:,}") for name, count in summary.choices.items()),
            ],
            (1,),
        ),
        "command": shlex.join(latest.get("command") or ()) or "no command: called from Python",
        "commit": str(latest.get("commit") or "not known"),
        "started": str(latest.get("started", "")),
    }


def percent(value: float) -> str:
    """Write a share."""
    return f"{100 * value:.1f} %"


def _with_interval(one: Share) -> str:
    return f"{percent(one.accuracy)} ({100 * one.low:.1f} to {100 * one.high:.1f})"


def _cells(one: Share) -> tuple[str, ...]:
    return (
        f"{one.n:,}",
        percent(one.accuracy),
        f"{100 * one.low:.1f} to {100 * one.high:.1f}",
        percent(one.chance),
        percent(one.unread),
        "–" if one.flips is None else percent(one.flips),
    )


def _level(factor: str, level: str) -> str:
    return f"{level}: {KINDS[level]}" if factor == "kind" else level  # type: ignore[index]


def _caption(factor: str) -> str:
    return f"Accuracy by {factor}, with 95 % intervals; dashed: by chance."


def _plot(factor: str, levels: Any) -> Markup:
    """Draw accuracies with their intervals, one dot a level, and what chance would reach."""
    places = [float(place) for place in range(len(levels))]
    names = [_SHORT.get(level, level) for level in levels]
    axis = Axis(-0.5, len(levels) - 0.5, places, factor, names=names)
    plot = Plot(axis, share_axis("accuracy"), f"Accuracy by {factor}")
    for place, one in zip(places, levels.values(), strict=True):
        plot.line([(place, one.low), (place, one.high)])
        plot.line([(place - 0.3, one.chance), (place + 0.3, one.chance)], PALETTE[1], dashed=True)
        plot.dots([(place, one.accuracy)], opacity=1, radius=4)
    return plot.svg()


def _cases(run: AskedRun, scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return a right and a wrong item of each kind, with its pictures inside the page."""
    cases = []
    for kind in KINDS:
        for right in (True, False):
            one = next((s for s in scored if s.item.factors.kind == kind and s.right is right), None)
            if one is not None:
                said = one.reply.failure or one.reply.text or "(nothing)"
                cases.append(
                    {
                        "item": one.item,
                        "right": right,
                        "said": said[:600],
                        "picture": _picture(run, one),
                        "factors": ", ".join(
                            f"{name} {getattr(one.item.factors, name)}" for name in ("kind", "view", "prompt", "terms")
                        ),
                    }
                )
    return cases


def _picture(run: AskedRun, one: Scored) -> str:
    import cv2

    from fiducial.misground.asking import pictures_of

    images = pictures_of(Path(run.settings["benchmark"]["path"]), one.item, "several")
    pixels = sheet(images).pixels if len(images) > 1 else images[0].pixels
    scale = min(1.0, _SHEET * (1 if len(images) == 1 else 2) / max(pixels.shape[:2]))
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    shown = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
