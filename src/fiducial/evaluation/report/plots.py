"""Small plots as inline SVG: lines, bars and dots on two axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fiducial.evaluation.report.markup import Markup, tag

WIDTH, HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 14, 44
_ROW = 18
PALETTE = ("#2a6f97", "#d1495b", "#3a7d44", "#b5651d", "#6a4c93", "#4a4e69", "#118ab2", "#8f2d56")
"""Colours of series, in order."""
_DASH = "6 4"
_LOOK = (
    "text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #3d4757; } text.name { font-size: 12px; } "
    ".rule { stroke: #e6e9ee; } .mark { stroke: #8a93a3; }"
)

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its range, its marks, its name.

    Args:
        low: value at its beginning.
        high: value at its end.
        ticks: values that are marked.
        label: what it measures, with its unit.
        logarithmic: equal factors are equal lengths.
        names: texts of the marks; default: the values.
    """

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


UNIT_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(slots=True)
class Plot:
    """A plot that is drawn piece by piece.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        title: what is shown, for those who hear the page instead of seeing it.
    """

    x: Axis
    y: Axis
    title: str
    _pieces: list[Markup] = field(default_factory=list)
    _legend: list[tuple[str, str, bool]] = field(default_factory=list)

    def line(
        self,
        points: Sequence[Place],
        colour: str = PALETTE[0],
        name: str = "",
        *,
        dots: bool = False,
        dashed: bool = False,
    ) -> Plot:
        """Join points, with dots on them if wished; a name puts it into the legend."""
        places = [self._place(point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = _DASH if dashed else None
        look = {"fill": "none", "stroke": colour, "stroke_width": "2", "stroke_dasharray": dash}
        self._pieces.append(tag("polyline", points=path, **look))
        if dots:
            self._pieces.append(
                tag("g", [tag("circle", cx=x, cy=y, r=3.0, fill=colour) for x, y in places], class_="dots")
            )
        if name:
            self._legend.append((name, colour, dashed))
        return self

    def dots(self, points: Sequence[Place], colour: str = PALETTE[0], opacity: float = 0.35) -> Plot:
        """Put one dot per point."""
        drawn = [
            tag("circle", cx=x, cy=y, r=2.2, fill=colour, fill_opacity=opacity) for x, y in map(self._place, points)
        ]
        self._pieces.append(tag("g", drawn, class_="dots"))
        return self

    def bars(self, values: Sequence[tuple[float, float, float]], colour: str = PALETTE[0], name: str = "") -> Plot:
        """Draw bars: from x, to x, height; each says its height when pointed at."""
        floor = self._place((self.x.low, self.y.low))[1]
        drawn = []
        for low, high, value in values:
            (left, top), right = self._place((low, value)), self._place((high, value))[0]
            tip = tag("title", f"{low:g} to {high:g}: {value:g}")
            drawn.append(
                tag("rect", tip, x=left + 0.5, y=top, width=max(right - left - 1, 0.5), height=floor - top, fill=colour)
            )
        self._pieces.append(tag("g", drawn, class_="bars"))
        if name:
            self._legend.append((name, colour, False))
        return self

    def svg(self) -> Markup:
        """Return the picture; the legend stands above it, in nobody's way."""
        above = _ROW * len(self._legend)
        return tag(
            "svg",
            tag("title", self.title),
            self._frame(),
            self._pieces,
            self._legend_box(),
            viewBox=f"0 {-above} {WIDTH} {HEIGHT + above}",
            role="img",
            class_="plot",
        )

    def _place(self, point: Place) -> Place:
        across, up = (min(max(axis.part(value), 0.0), 1.0) for axis, value in zip((self.x, self.y), point, strict=True))
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    def _frame(self) -> list[Markup]:
        pieces = []
        for value, name in self.y.marks():
            _, y = self._place((self.x.low, value))
            pieces.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="rule"))
            pieces.append(tag("text", name, x=_LEFT - 6, y=y + 4, text_anchor="end"))
        for value, name in self.x.marks():
            x, y = self._place((value, self.y.low))
            pieces.append(tag("line", x1=x, x2=x, y1=y, y2=y + 4, class_="mark"))
            pieces.append(tag("text", name, x=x, y=y + 17, text_anchor="middle"))
        floor = HEIGHT - _BOTTOM
        pieces.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=floor, y2=floor, class_="mark"))
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        pieces.append(tag("text", self.x.label, x=middle, y=HEIGHT - 6, text_anchor="middle", class_="name"))
        turned = f"translate(13 {(HEIGHT - _BOTTOM + _TOP) / 2:g}) rotate(-90)"
        pieces.append(tag("text", self.y.label, transform=turned, text_anchor="middle", class_="name"))
        return pieces

    def _legend_box(self) -> list[Markup]:
        pieces: list[Markup] = []
        for row, (name, colour, dashed) in enumerate(reversed(self._legend), start=1):
            y = 4 - _ROW * row + _ROW / 2
            look = {"stroke": colour, "stroke_width": "4", "stroke_dasharray": _DASH if dashed else None}
            pieces.append(tag("line", x1=_LEFT, x2=_LEFT + 22, y1=y - 4, y2=y - 4, class_="keys", **look))
            shown = name if len(name) <= 60 else name[:57] + "..."
            pieces.append(tag("text", shown, x=_LEFT + 28, y=y))
        return pieces


def standalone(svg: Markup) -> str:
    """Make a plot a file of its own: with the look that a page gives it, black on white.

    Args:
        svg: what :meth:`Plot.svg` returned.
    """
    head, _, rest = svg.partition(">")
    box = head.partition('viewBox="')[2].partition('"')[0]
    left, top, width, height = box.split()
    ground = tag("rect", x=left, y=top, width=width, height=height, fill="#ffffff")
    size = f' xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    return f"{head}{size}>{tag('style', _LOOK)}{ground}{rest}\n"


def share_axis(label: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(0.0, 1.0, UNIT_TICKS, label)


def count_axis(most: float, label: str) -> Axis:
    """An axis from 0 to a round number that is at least ``most``."""
    step = _round_step(max(most, 1) / 4)
    high = step * math.ceil(max(most, 1) / step)
    return Axis(0.0, high, [step * i for i in range(round(high / step) + 1)], label)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return max(1.0, next(power * step for step in (1, 2, 5, 10) if raw <= power * step * (1 + 1e-9)))
