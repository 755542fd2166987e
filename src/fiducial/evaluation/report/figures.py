"""The figures of a report, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fiducial.evaluation.report.markup import Markup
from fiducial.evaluation.report.plots import PALETTE, Axis, Plot, count_axis, share_axis
from fiducial.evaluation.summary import Row, Summary

BINS = 20
MOST_BESIDE = 4
"""So many runs have room beside each other, as bars and as columns of a table."""
_LEAST_SHARE = 1e-5
_SHARE_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_SHARE_NAMES = ("0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %")
_MOST_DOTS = 3000
_LEAST_IN_MEAN = 3


def of_summary(summary: Summary) -> list[tuple[Markup, str]]:
    """Return the figures of one run."""
    counted = _counted(summary)
    found = [
        (
            precision([("", summary.curve)], summary.policy.comparison),
            f"P@t: share of samples whose IoU is {summary.policy.comparison} t.",
        ),
        (histogram(counted), "Distribution of IoU over the samples."),
    ]
    if any(row.share > 0 for row in counted):
        found.append(
            (
                by_size(counted),
                "IoU against the target's part of the picture; the line is the mean of each third of a decade.",
            )
        )
    times = [row.seconds["total"] for row in summary.rows if row.seconds.get("total", 0) > 0]
    if times:
        found.append((latency(times), "Seconds a sample, model's own work: share of samples that were done by then."))
    return found


def of_several(runs: Sequence[tuple[str, Summary]]) -> dict[str, tuple[Markup, str]]:
    """Return the figures of several runs side by side, each run named, and their captions, by a name for files."""
    comparison = runs[0][1].policy.comparison
    counted = [(name, _counted(summary)) for name, summary in runs]
    found = {
        "precision": (
            precision([(name, summary.curve) for name, summary in runs], comparison),
            f"P@t: share of samples whose IoU is {comparison} t.",
        ),
    }
    if len(runs) <= MOST_BESIDE:
        found["iou"] = histograms(counted), "Distribution of IoU over the samples."
    if any(row.share > 0 for _, rows in counted for row in rows):
        caption = "Mean IoU against the target's part of the picture, per third of a decade."
        found["size"] = means_by_size(counted), caption
    return found


def _counted(summary: Summary) -> list[Row]:
    return [row for row in summary.rows if row.score.counted and row.quality is not None]


def precision(runs: Sequence[tuple[str, Sequence[tuple[float, float]]]], comparison: str = ">=") -> Markup:
    """Draw P@t of one or several runs, named."""
    plot = Plot(share_axis("threshold t"), share_axis(f"share with IoU {comparison} t"), "P@t against the threshold t")
    for place, (name, curve) in enumerate(runs):
        plot.line(curve, _colour(place), name, dots=len(runs) == 1, dashed=place >= len(PALETTE))
    return plot.svg()


def histogram(rows: Sequence[Row]) -> Markup:
    """Draw how many samples have which IoU."""
    counts, edges = np.histogram([row.quality or 0.0 for row in rows], bins=BINS, range=(0, 1))
    plot = Plot(share_axis("IoU"), count_axis(float(counts.max()), "samples"), "Distribution of IoU")
    bars = [(float(a), float(b), float(n)) for a, b, n in zip(edges, edges[1:], counts, strict=False) if n]
    return plot.bars([(round(a, 3), round(b, 3), n) for a, b, n in bars]).svg()


def histograms(runs: Sequence[tuple[str, Sequence[Row]]]) -> Markup:
    """Draw how many samples of several runs have which IoU, bars of one bin beside each other."""
    wide = BINS // 2
    counts = [np.histogram([row.quality or 0.0 for row in rows], bins=wide, range=(0, 1))[0] for _, rows in runs]
    most = max((int(count.max()) for count in counts), default=0)
    plot = Plot(share_axis("IoU"), count_axis(float(most), "samples"), "Distribution of IoU")
    part = 0.9 / wide / len(runs)
    for place, ((name, _), count) in enumerate(zip(runs, counts, strict=True)):
        begins = [step / wide + place * part for step in range(wide)]
        bars = [
            (round(begin, 4), round(begin + part, 4), float(n)) for begin, n in zip(begins, count, strict=True) if n
        ]
        plot.bars(bars, _colour(place), name)
    return plot.svg()


def means_by_size(runs: Sequence[tuple[str, Sequence[Row]]]) -> Markup:
    """Draw the mean IoU of several runs per third of a decade of the target's part of the picture."""
    plot = Plot(_size_axis(), share_axis("mean IoU"), "Mean IoU against target size")
    for place, (name, rows) in enumerate(runs):
        plot.line(_means(_places(rows)), _colour(place), name, dots=True, dashed=place >= len(PALETTE))
    return plot.svg()


def _colour(place: int) -> str:
    """Return the colour of a series; when they begin again, lines are dashed."""
    return PALETTE[place % len(PALETTE)]


def _size_axis() -> Axis:
    name = "target's part of the picture"
    return Axis(_LEAST_SHARE, 1.0, _SHARE_TICKS, name, logarithmic=True, names=_SHARE_NAMES)


def _places(rows: Sequence[Row]) -> list[tuple[float, float]]:
    return [(max(row.share, _LEAST_SHARE), row.quality or 0.0) for row in rows if row.share > 0]


def by_size(rows: Sequence[Row]) -> Markup:
    """Draw IoU against the target's part of the picture, with the mean per third of a decade."""
    plot = Plot(_size_axis(), share_axis("IoU"), "IoU against target size")
    places = _places(rows)
    plot.dots(places[:: max(1, len(places) // _MOST_DOTS)], opacity=0.6 if len(places) < 200 else 0.3)
    return plot.line(_means(places), PALETTE[1], "mean", dots=True).svg()


def latency(times: Sequence[float]) -> Markup:
    """Draw the share of samples done by a time."""
    ordered = np.sort(np.asarray(times))
    low, high = (10.0 ** f(np.log10(v)) for f, v in ((np.floor, ordered[0]), (np.ceil, ordered[-1] * 1.0001)))
    ticks = [low * 10**step for step in range(round(float(np.log10(high / low))) + 1)]
    x = Axis(float(low), float(high), ticks, "seconds", logarithmic=True)
    shares = (np.arange(len(ordered)) + 1) / len(ordered)
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 400)).astype(int))
    points = [(float(low), 0.0), (float(ordered[0]), 0.0)]
    points += [(float(ordered[place]), float(shares[place])) for place in keep]
    return Plot(x, share_axis("share of samples"), "Seconds a sample").line([*points, (float(high), 1.0)]).svg()


def _means(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the mean per third of a decade that holds a few samples, at the geometric mean of their sizes."""
    if not places:
        return []
    sizes, values = np.array(places).T
    third = np.floor(np.log10(sizes) * 3)
    return [
        (float(10 ** np.log10(sizes[third == number]).mean()), float(values[third == number].mean()))
        for number in np.unique(third)
        if (third == number).sum() >= _LEAST_IN_MEAN
    ]
