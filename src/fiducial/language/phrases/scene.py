"""The scene: where candidates lie and how they measure, in the pixels of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.geometry import Frame
from fiducial.language.candidates import Candidate, quantile
from fiducial.language.phrases.bounds import Bound, Measure
from fiducial.language.phrases.nouns import name_stem
from fiducial.language.phrases.request import Order, Trait

COLOUR_SHARE = 0.25
"""A candidate has a colour when this share of its pixels has it, or when no other colour has more."""
NEAR = 1.0
"""Near: the gap between the boxes is at most this multiple of the reference's size."""
BESIDE = 0.5
"""Next to, beside, by: the gap is at most this multiple of it."""
EDGE_SHARE = 0.05
"""At the edge: the box comes within this share of the image's extent to its edge."""
NEAR_EDGE = 1 / 6
"""Near the edge: within this share of it."""
ROUND = 0.75
"""Round: roundness is at least this."""
DIMMER = 0.25
"""A white thing is called grey when another of its name is whiter by this mean luminance."""
LONE = 2.0
"""Isolated: no thing of the same name is closer than this multiple of the thing's size."""
HAS = 0.25
"""A thing is with another when the gap between them is at most this multiple of its own size."""
BRIGHT = 0.6
"""Bright: mean luminance is at least this; dark: at most 1 minus this."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Candidates of one image, measured.

    Args:
        candidates: the candidates.
        boxes: one box x1, y1, x2, y2 per candidate, in pixels from the top left, y downwards.
        width: width of the image in pixels.
        height: height of the image in pixels.
    """

    candidates: tuple[Candidate, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    width: float
    height: float

    @classmethod
    def of(cls, candidates: Sequence[Candidate], frame: Frame) -> Scene:
        """Make a scene of candidates that are all in one frame."""
        upright = Frame.pixels(frame.width, frame.height)
        boxes = []
        for candidate in candidates:
            frame.require(candidate.prompt.frame, "the candidates")
            x1, y1, x2, y2 = frame.boxes_to(candidate.prompt.box or (), upright).tolist()
            boxes.append((x1, y1, x2, y2))
        return cls(tuple(candidates), tuple(boxes), frame.width, frame.height)

    # -- one candidate ---------------------------------------------------------------------------

    def centre(self, index: int) -> tuple[float, float]:
        """Return the centre x, y of a candidate's box."""
        x1, y1, x2, y2 = self.boxes[index]
        return (x1 + x2) / 2, (y1 + y2) / 2

    def area(self, index: int) -> float:
        """Return a candidate's area in square pixels: its own, or that of its box."""
        x1, y1, x2, y2 = self.boxes[index]
        own = self.candidates[index].area
        return (x2 - x1) * (y2 - y1) if own is None else own

    def measure(self, index: int, order: Order) -> float | None:
        """Return what a superlative sorts by, or None where nobody measured it."""
        x1, y1, x2, y2 = self.boxes[index]
        if order.measure == "area":
            return self.area(index)
        if order.measure == "place":
            return self.distance(index, order.sides)
        if order.measure == "isolation":
            return self.isolation(index)
        if order.measure in ("width", "height"):
            return x2 - x1 if order.measure == "width" else y2 - y1
        candidate = self.candidates[index]
        longer = max(x2 - x1, y2 - y1) if candidate.length is None else candidate.length
        known = {"length": longer, "roundness": candidate.roundness, "brightness": candidate.brightness}
        return known[order.measure]

    def keeps(self, index: int, bound: Bound, measure: Measure) -> bool:
        """Say whether a candidate's length, width, height or area keeps to a bound."""
        value = self.measure(index, Order(measure, True, measure))
        return value is not None and self.fits(value, bound, measure)

    def fits(self, value: float, bound: Bound, measure: Measure) -> bool:
        """Say whether a measure in pixels, or square pixels, keeps to a bound in this image."""
        return bound.holds(value, measure, self.width, self.height)

    def has_colours(self, index: int, colours: Sequence[str], *, any_of: bool) -> bool | None:
        """Say whether a candidate has one of the colours, or each of them; None when nobody measured any."""
        shares = self.candidates[index].colours
        if not shares:
            return None
        if self._is_dim(index):
            shares = {**shares, "grey": max(shares.values()), "white": 0.0}
        most = max(shares.values())
        has = [shares.get(colour, 0.0) >= COLOUR_SHARE or 0.0 < most == shares.get(colour) for colour in colours]
        return any(has) if any_of else all(has)

    def _is_dim(self, index: int) -> bool:
        """Say whether a candidate that is white by itself is grey beside whiter ones of its name."""
        mine = self.candidates[index]
        if mine.brightness is None or not mine.prompt.label or not _is_white(mine):
            return False
        name = name_stem(mine.prompt.label)
        beside = [one for one in self.candidates if name_stem(one.prompt.label or "") == name and _is_white(one)]
        return max(one.brightness or 0.0 for one in beside) - mine.brightness > DIMMER

    def has_trait(self, index: int, trait: Trait, among: Sequence[int]) -> bool | None:
        """Say whether a vague adjective fits; None when nobody measured what it needs.

        Roundness and brightness have fixed thresholds; a size is compared with the median of the
        candidates it stands among (at least, or at most, the median).
        """
        order = trait.order
        value = self.measure(index, order)
        if value is None:
            return None
        if order.measure == "roundness":
            return value >= ROUND
        if order.measure == "isolation":
            return value >= LONE * math.sqrt(self._extent(index))
        if order.measure == "brightness":
            return value >= BRIGHT if order.largest else value <= 1 - BRIGHT
        values = [known for known in (self.measure(other, order) for other in among) if known is not None]
        middle = float(quantile(values, 0.5))
        return value >= middle if order.largest else value <= middle

    def distance(self, index: int, sides: Sequence[str]) -> float:
        """Return how far a candidate's centre is from a side, a corner, the centre or the closest edge."""
        x, y = self.centre(index)
        across = {"left": x, "right": self.width - x}
        down = {"top": y, "bottom": self.height - y}
        level = [value for side, value in across.items() if side in sides]
        upright = [value for side, value in down.items() if side in sides]
        if "edge" in sides:
            return min([*level, *upright] or [*across.values(), *down.values()])
        if "corner" in sides:
            return math.hypot(min(level or across.values()), min(upright or down.values()))
        if "centre" in sides:
            level = level or [abs(x - self.width / 2)]
            upright = upright or [abs(y - self.height / 2)]
        return math.hypot(*level[:1], *upright[:1])

    def lies_in(self, index: int, place: Sequence[str], share: float) -> bool:
        """Say whether a candidate's centre lies in a part of the image, whose sides must hold together.

        A side holds in the outer ``share`` (0..1) of its axis; the centre in the middle share of each axis on which
        no side was named; ``corner`` means an outer share on both axes; ``edge`` that the box comes to within 5 % of
        the edge, or as far as the share where that is at most a sixth.
        """
        x, y = self.centre(index)
        level = _zones(x, self.width, share)
        upright = _zones(y, self.height, share)
        zones = {"left": level[0], "right": level[2], "top": upright[0], "bottom": upright[2]}
        named = [side for side in place if side in zones]
        if "edge" in place:
            return any(self._at_edge(index, side, share) for side in named or zones)
        holds = all(zones[side] for side in named)
        across = any(side in ("left", "right") for side in named)
        down = any(side in ("top", "bottom") for side in named)
        if "corner" in place:
            return holds and (level[0] or level[2]) and (upright[0] or upright[2])
        if "centre" in place:
            return holds and (across or level[1]) and (down or upright[1])
        return holds

    def _at_edge(self, index: int, side: str, share: float) -> bool:
        x1, y1, x2, y2 = self.boxes[index]
        reach = {"left": x1, "right": self.width - x2, "top": y1, "bottom": self.height - y2}
        reached = max(EDGE_SHARE, share if share <= NEAR_EDGE else 0.0)
        return reach[side] <= reached * (self.width if side in ("left", "right") else self.height)

    def holds(self, kind: str, index: int, other: int) -> bool:
        """Say whether a relation holds between a candidate and a reference.

        Left, right, above and below compare the centres. Near and beside compare the gap between the
        boxes with the reference's size, the square root of its box's area. Inside needs the centre,
        and half of the candidate's box, in the reference's box. On needs the centre between the
        reference's left and right edges and the lower edge between its top and bottom edges. With
        needs a gap of at most a quarter of the candidate's own size.
        """
        (x, y), (u, v) = self.centre(index), self.centre(other)
        if kind in ("left_of", "right_of"):
            return x < u if kind == "left_of" else x > u
        if kind in ("above", "below"):
            return y < v if kind == "above" else y > v
        if kind in ("larger", "smaller"):
            mine, its = self.area(index), self.area(other)
            return mine > its if kind == "larger" else mine < its
        if kind in ("near", "beside"):
            return self.gap(index, other) <= (NEAR if kind == "near" else BESIDE) * math.sqrt(self._extent(other))
        if kind == "with":
            return self.gap(index, other) <= HAS * math.sqrt(self._extent(index))
        return self._inside(index, other) if kind == "inside" else self._on(index, other)

    def between(self, index: int, first: int, second: int) -> bool:
        """Say whether a candidate lies between two others.

        Its centre falls between theirs along the line that joins them, and is off that line by at
        most half of their distance.
        """
        (x, y), (ax, ay), (bx, by) = self.centre(index), self.centre(first), self.centre(second)
        dx, dy = bx - ax, by - ay
        squared = dx * dx + dy * dy
        along = (x - ax) * dx + (y - ay) * dy
        off = abs((x - ax) * dy - (y - ay) * dx)
        return 0 < along < squared and off <= squared / 2

    def isolation(self, index: int) -> float:
        """Return the gap in pixels to the nearest other candidate of the same name; infinite where there is none."""
        name = name_stem(self.candidates[index].prompt.label or "")
        others = [
            k for k, one in enumerate(self.candidates) if name_stem(one.prompt.label or "") == name and k != index
        ]
        return min((self.gap(index, other) for other in others), default=math.inf)

    def gap(self, index: int, other: int) -> float:
        """Return the distance between two boxes in pixels, 0 when they touch or overlap."""
        a, b = self.boxes[index], self.boxes[other]
        return math.hypot(max(0.0, a[0] - b[2], b[0] - a[2]), max(0.0, a[1] - b[3], b[1] - a[3]))

    def apart(self, index: int, other: int) -> float:
        """Return the distance between two centres in pixels."""
        return math.dist(self.centre(index), self.centre(other))

    def aligned(self, index: int, other: int, kind: str) -> bool:
        """Say whether a thing beside another shares some of its height, or one above or below it some of its width."""
        a, b = self.boxes[index], self.boxes[other]
        low, high = (1, 3) if kind in ("left_of", "right_of") else (0, 2)
        return min(a[high], b[high]) > max(a[low], b[low])

    def _extent(self, index: int) -> float:
        x1, y1, x2, y2 = self.boxes[index]
        return (x2 - x1) * (y2 - y1)

    def _inside(self, index: int, other: int) -> bool:
        a, b = self.boxes[index], self.boxes[other]
        x, y = self.centre(index)
        shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        return b[0] <= x <= b[2] and b[1] <= y <= b[3] and 2 * shared >= self._extent(index)

    def _on(self, index: int, other: int) -> bool:
        x, _ = self.centre(index)
        left, top, right, bottom = self.boxes[other]
        return left <= x <= right and top <= self.boxes[index][3] <= bottom


def _is_white(candidate: Candidate) -> bool:
    shares = candidate.colours
    return bool(shares) and shares.get("white", 0.0) == max(shares.values())


def _zones(value: float, extent: float, share: float) -> tuple[bool, bool, bool]:
    """Say whether a coordinate lies in the first share, the middle share, the last share of an extent."""
    return value < share * extent, abs(value - extent / 2) <= share * extent / 2, extent - value < share * extent


SAME_LINE = 0.5
"""Two extents lie on one line when they share at least this part of the smaller one."""

Box = tuple[float, float, float, float]


def lines_among(boxes: Sequence[Box], kind: str) -> list[list[int]]:
    """Sort things into rows or columns.

    Things are taken by their centres, from the top for rows and from the left for columns. A thing joins the
    line before it when its extent across the line shares at least half of the smaller of the two with the mean
    extent of that line; else it begins a new one.

    Args:
        boxes: x1, y1, x2, y2 each, y downwards.
        kind: ``"row"`` or ``"column"``.

    Returns:
        The indices of each line, lines in order, things along the line.

    Example:
        >>> lines_among([(0, 0, 9, 10), (30, 2, 39, 12), (0, 20, 9, 30)], "row")
        [[0, 1], [2]]
    """
    low, high = (1, 3) if kind == "row" else (0, 2)
    order = sorted(range(len(boxes)), key=lambda index: (boxes[index][low] + boxes[index][high], index))
    lines: list[list[int]] = []
    for index in order:
        if lines and _shares(boxes[index], [boxes[other] for other in lines[-1]], low, high):
            lines[-1].append(index)
        else:
            lines.append([index])
    along = 0 if low else 1
    return [sorted(line, key=lambda index: (boxes[index][along] + boxes[index][along + 2], index)) for line in lines]


def _shares(box: Box, line: Sequence[Box], low: int, high: int) -> bool:
    start, end = (sum(other[edge] for other in line) / len(line) for edge in (low, high))
    shared = min(box[high], end) - max(box[low], start)
    return shared > 0 and shared >= SAME_LINE * min(box[high] - box[low], end - start)
