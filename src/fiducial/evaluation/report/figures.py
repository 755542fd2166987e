"""The figures of a report, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fiducial.evaluation.report.markup import Markup
from fiducial.evaluation.report.plots import PALETTE, Axis, Plot, count_axis, share_axis
from fiducial.evaluation.summary import Row, Summary

BINS = 20
_LEAST_SHARE = 1e-5
_SHARE_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_SHARE_NAMES = ("0.001 %", "0.01 %", "0.1 %", "1 %", "10 %", "100 %")
_MOST_DOTS = 3000
_LEAST_IN_MEAN = 3


def of_summary(summary: Summary) -> list[tuple[Markup, str]]:
    """Return the figures of one run."""
    counted = [row for row in summary.rows if row.score.counted and row.quality is not None]
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


def precision(runs: Sequence[tuple[str, Sequence[tuple[float, float]]]], comparison: str = ">=") -> Markup:
    """Draw P@t of one or several runs, named."""
    plot = Plot(share_axis("threshold t"), share_axis(f"share with IoU {comparison} t"), "P@t against the threshold t")
    for place, (name, curve) in enumerate(runs):
        plot.line(curve, PALETTE[place % len(PALETTE)], name, dots=len(runs) == 1)
    return plot.svg()


def histogram(rows: Sequence[Row]) -> Markup:
    """Draw how many samples have which IoU."""
    counts, edges = np.histogram([row.quality or 0.0 for row in rows], bins=BINS, range=(0, 1))
    plot = Plot(share_axis("IoU"), count_axis(float(counts.max()), "samples"), "Distribution of IoU")
    bars = [(float(a), float(b), float(n)) for a, b, n in zip(edges, edges[1:], counts, strict=False) if n]
    return plot.bars([(round(a, 3), round(b, 3), n) for a, b, n in bars]).svg()


def by_size(rows: Sequence[Row]) -> Markup:
    """Draw IoU against the target's part of the picture, with the mean per third of a decade."""
    held = [row for row in rows if row.share > 0]
    x = Axis(_LEAST_SHARE, 1.0, _SHARE_TICKS, "target's part of the picture", logarithmic=True, names=_SHARE_NAMES)
    plot = Plot(x, share_axis("IoU"), "IoU against target size")
    places = [(max(row.share, _LEAST_SHARE), row.quality or 0.0) for row in held]
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
    sizes, values = np.array(places).T
    third = np.floor(np.log10(sizes) * 3)
    return [
        (float(10 ** np.log10(sizes[third == number]).mean()), float(values[third == number].mean()))
        for number in np.unique(third)
        if (third == number).sum() >= _LEAST_IN_MEAN
    ]
