"""The plots of a report: lines, bars and dots on two axes, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from fiducial.evaluation.report.text import clean
from fiducial.evaluation.summary import Row, Summary, known_rows

WIDTH, HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 14, 44
_LEGEND_LINE = 18
PALETTE = ("#2a6f97", "#d1495b", "#3a7d44", "#b5651d", "#6a4c93", "#4a4e69", "#118ab2", "#8f2d56")
"""Colours of series, in order; when they begin again, lines are dashed."""
_DASH = Markup(' stroke-dasharray="6 4"')
_STYLE = Markup(
    "<style>text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #3d4757; } text.name { font-size: 12px; } "
    ".rule { stroke: #e6e9ee; } .mark { stroke: #8a93a3; }</style>"
)
UNIT_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its range, the values that are marked (with texts other than the values), its name with its unit."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    logarithmic: bool = False
    names: Sequence[str] = ()

    def part(self, value: float) -> float:
        """Return how far along the axis a value lies, 0..1 inside its range."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def marks(self) -> list[tuple[float, str]]:
        """Return the marked values with their texts."""
        return list(zip(self.ticks, self.names or [f"{tick:g}" for tick in self.ticks], strict=True))


def share_axis(label: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(0.0, 1.0, UNIT_TICKS, label)


def count_axis(most: float, label: str) -> Axis:
    """An axis from 0 to a round number that is at least ``most``."""
    raw = max(most, 1) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(1.0, next(power * step for step in (1, 2, 5, 10) if raw <= power * step * (1 + 1e-9)))
    count = math.ceil(max(most, 1) / step)
    return Axis(0.0, step * count, [step * i for i in range(count + 1)], label)


@dataclass(slots=True)
class Plot:
    """A plot that is drawn piece by piece; the title is for those who hear the page instead of seeing it."""

    x: Axis
    y: Axis
    title: str
    _pieces: list[Markup] = field(default_factory=list)
    _legend: list[tuple[str, str, bool]] = field(default_factory=list)

    def line(
        self,
        points: Sequence[Point],
        colour: str = PALETTE[0],
        name: str = "",
        *,
        dots: bool = False,
        dashed: bool = False,
    ) -> Plot:
        """Join points, with dots on them if wished; a name puts it into the legend."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._place, points))
        line = '<polyline points="{}" fill="none" stroke="{}" stroke-width="2"{}/>'
        self._pieces.append(Markup(line).format(path, colour, _DASH if dashed else ""))
        if dots:
            self.dots(points, colour, opacity=1, radius=3)
        if name:
            self._legend.append((name, colour, dashed))
        return self

    def dots(
        self, points: Sequence[Point], colour: str = PALETTE[0], opacity: float = 0.35, radius: float = 2.2
    ) -> Plot:
        """Put one dot per point."""
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:g}"/>')
        drawn = Markup("").join(dot.format(x, y, radius) for x, y in map(self._place, points))
        group = '<g class="dots" fill="{}" fill-opacity="{:g}">{}</g>'
        self._pieces.append(Markup(group).format(colour, opacity, drawn))
        return self

    def bars(self, values: Sequence[tuple[float, float, float]], colour: str = PALETTE[0], name: str = "") -> Plot:
        """Draw bars: from x, to x, height; each says its height when pointed at."""
        floor = self._place((self.x.low, self.y.low))[1]
        bar = Markup(
            '<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" fill="{}">'
            "<title>{:g} to {:g}: {:g}</title></rect>"
        )
        drawn = []
        for low, high, value in values:
            (left, top), right = self._place((low, value)), self._place((high, value))[0]
            width = max(right - left - 1, 0.5)
            drawn.append(bar.format(left + 0.5, top, width, floor - top, colour, low, high, value))
        self._pieces.append(Markup('<g class="bars">{}</g>').format(Markup("").join(drawn)))
        if name:
            self._legend.append((name, colour, False))
        return self

    def svg(self) -> Markup:
        """Return the picture; the legend stands above it, in nobody's way."""
        above = _LEGEND_LINE * len(self._legend)
        return Markup('<svg viewBox="0 {} {} {}" role="img" class="plot"><title>{}</title>{}</svg>').format(
            -above,
            WIDTH,
            HEIGHT + above,
            clean(self.title),
            Markup("").join([*self._frame(), *self._pieces, *self._keys()]),
        )

    def _place(self, point: Point) -> Point:
        across, up = (min(max(axis.part(value), 0.0), 1.0) for axis, value in zip((self.x, self.y), point, strict=True))
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    def _frame(self) -> list[Markup]:
        """Draw the axes with their marks and names."""
        line = Markup('<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" class="{}"/>')
        text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
        right, floor = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        pieces = []
        for value, name in self.y.marks():
            _, y = self._place((self.x.low, value))
            pieces += [line.format(_LEFT, right, y, y, "rule"), text.format(_LEFT - 6, y + 4, "end", "", name)]
        for value, name in self.x.marks():
            x, _ = self._place((value, self.y.low))
            pieces += [line.format(x, x, floor, floor + 4, "mark"), text.format(x, floor + 17, "middle", "", name)]
        turned = Markup('<text transform="translate(13 {:g}) rotate(-90)" text-anchor="middle" class="name">{}</text>')
        return [
            *pieces,
            line.format(_LEFT, right, floor, floor, "mark"),
            text.format((_LEFT + right) / 2, HEIGHT - 6, "middle", "name", clean(self.x.label)),
            turned.format((floor + _TOP) / 2, clean(self.y.label)),
        ]

    def _keys(self) -> list[Markup]:
        """Draw the legend, the first series on top."""
        key = Markup(
            '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="{}" stroke-width="4"{} class="keys"/>'
            '<text x="{}" y="{}">{}</text>'
        )
        pieces = []
        for row, (name, colour, dashed) in enumerate(reversed(self._legend), start=1):
            y = 4 + _LEGEND_LINE / 2 - _LEGEND_LINE * row
            shown = clean(name) if len(name) <= 60 else clean(name[:57]) + "..."
            dash = _DASH if dashed else ""
            pieces.append(key.format(_LEFT, _LEFT + 22, y - 4, y - 4, colour, dash, _LEFT + 28, y, shown))
        return pieces


def standalone(svg: Markup) -> str:
    """Make what :meth:`Plot.svg` returned a file of its own: styled as on a page, black on white."""
    head, _, rest = svg.partition(">")
    left, top, width, height = head.partition('viewBox="')[2].partition('"')[0].split()
    ground = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="#ffffff"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{_STYLE}{ground}{rest}\n'


# -- what a report shows ------------------------------------------------------------------------------

BINS = 20
MAX_COLUMNS = 4
"""So many runs have room side by side, as bars and as columns of a table."""
_MIN_SHARE = 1e-5
_MAX_DOTS = 3000
_MIN_IN_MEAN = 3


def plots_of_run(summary: Summary) -> dict[str, tuple[Markup, str]]:
    """Return the plots of one run with their captions, by name."""
    rows = known_rows(summary.rows)
    found = {
        "precision": _precision([("", summary)]),
        "iou": (_histogram([("", rows)], BINS), "Distribution of IoU over the samples."),
    }
    if any(row.share > 0 for row in rows):
        caption = "IoU against the target's part of the picture; the line is the mean of each third of a decade."
        found["size"] = _iou_by_size(rows), caption
    times = [row.seconds["total"] for row in summary.rows if row.seconds.get("total", 0) > 0]
    if times:
        caption = "Seconds a sample, model's own work: share of samples that were done by then."
        found["seconds"] = _seconds(times), caption
    return found


def plots_of_runs(runs: Sequence[tuple[str, Summary]]) -> dict[str, tuple[Markup, str]]:
    """Return the plots of several named runs with their captions, by name."""
    counted = [(name, known_rows(summary.rows)) for name, summary in runs]
    found = {"precision": _precision(runs)}
    if len(runs) <= MAX_COLUMNS:
        found["iou"] = _histogram(counted, BINS // 2), "Distribution of IoU over the samples."
    if any(row.share > 0 for _, rows in counted for row in rows):
        caption = "Mean IoU against the target's part of the picture, per third of a decade."
        found["size"] = _mean_by_size(counted), caption
    return found


def _precision(runs: Sequence[tuple[str, Summary]]) -> tuple[Markup, str]:
    rule = runs[0][1].policy.comparison
    plot = Plot(share_axis("threshold t"), share_axis(f"share with IoU {rule} t"), "P@t against the threshold t")
    for index, (name, summary) in enumerate(runs):
        colour, dashed = PALETTE[index % len(PALETTE)], index >= len(PALETTE)
        plot.line(summary.curve, colour, name, dots=len(runs) == 1, dashed=dashed)
    return plot.svg(), f"P@t: share of samples whose IoU is {rule} t."


def _histogram(runs: Sequence[tuple[str, Sequence[Row]]], bins: int) -> Markup:
    """Draw how many samples have which IoU; bars of one bin stand side by side, several with a gap after them."""
    counts = [np.histogram([row.quality or 0.0 for row in rows], bins=bins, range=(0, 1))[0] for _, rows in runs]
    most = max((int(count.max()) for count in counts), default=0)
    plot = Plot(share_axis("IoU"), count_axis(float(most), "samples"), "Distribution of IoU")
    width = (0.9 if len(runs) > 1 else 1.0) / bins / len(runs)
    for index, ((name, _), count) in enumerate(zip(runs, counts, strict=True)):
        starts = [step / bins + index * width for step in range(bins)]
        bars = [(round(a, 4), round(a + width, 4), float(n)) for a, n in zip(starts, count, strict=True) if n]
        plot.bars(bars, PALETTE[index], name)
    return plot.svg()


def _size_axis() -> Axis:
    ticks, names = zip(*((10.0**power, f"{10.0 ** (power + 2):g} %") for power in range(-5, 1)), strict=True)
    return Axis(_MIN_SHARE, 1.0, ticks, "target's part of the picture", logarithmic=True, names=names)


def _mean_by_size(runs: Sequence[tuple[str, Sequence[Row]]]) -> Markup:
    plot = Plot(_size_axis(), share_axis("mean IoU"), "Mean IoU against target size")
    for index, (name, rows) in enumerate(runs):
        colour, dashed = PALETTE[index % len(PALETTE)], index >= len(PALETTE)
        plot.line(_means(_by_share(rows)), colour, name, dots=True, dashed=dashed)
    return plot.svg()


def _iou_by_size(rows: Sequence[Row]) -> Markup:
    plot = Plot(_size_axis(), share_axis("IoU"), "IoU against target size")
    points = _by_share(rows)
    plot.dots(points[:: max(1, len(points) // _MAX_DOTS)], opacity=0.6 if len(points) < 200 else 0.3)
    means = _means(points)
    return plot.line(means, PALETTE[1], "mean", dots=True).svg() if means else plot.svg()


def _by_share(rows: Sequence[Row]) -> list[Point]:
    return [(max(row.share, _MIN_SHARE), row.quality or 0.0) for row in rows if row.share > 0]


def _means(points: Sequence[Point]) -> list[Point]:
    """Return the mean per third of a decade that holds a few samples, at the geometric mean of their sizes."""
    if not points:
        return []
    sizes, values = np.array(points).T
    third = np.floor(np.log10(sizes) * 3)
    return [
        (float(10 ** np.log10(sizes[third == k]).mean()), float(values[third == k].mean()))
        for k in np.unique(third)
        if (third == k).sum() >= _MIN_IN_MEAN
    ]


def _seconds(times: Sequence[float]) -> Markup:
    """Draw the share of samples done by a time."""
    ordered = np.sort(np.asarray(times))
    low = 10.0 ** math.floor(math.log10(ordered[0]))
    high = 10.0 ** math.ceil(math.log10(ordered[-1] * 1.0001))
    ticks = [low * 10**step for step in range(round(math.log10(high / low)) + 1)]
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 400)).astype(int))
    curve = [(float(ordered[k]), (int(k) + 1) / len(ordered)) for k in keep]
    points = [(low, 0.0), (float(ordered[0]), 0.0), *curve, (high, 1.0)]
    x = Axis(low, high, ticks, "seconds", logarithmic=True)
    return Plot(x, share_axis("share of samples"), "Seconds a sample").line(points).svg()
