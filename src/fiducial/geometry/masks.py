"""Masks: sets of pixels kept as runs, never dense unless asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fiducial.errors import GeometryError
from fiducial.geometry import polygons as _polygons
from fiducial.geometry import runs as _runs
from fiducial.geometry.frames import Frame, numbers
from fiducial.geometry.polygons import Polygon, Ring

PolygonRule = Literal["centre", "coco"]
_COARSE = 512


@dataclass(frozen=True, eq=False)
class Mask:
    """A set of pixels of one image; equal pixels on equal canvases are equal masks, whatever their score.

    Args:
        height: of the canvas in pixels.
        width: of the canvas in pixels.
        runs: (N, 2) half-open runs over column-major pixel numbers, sorted and apart.
        score: the segmenter's own estimate of the quality (predicted IoU in 0..1), or None.

    Example:
        >>> mask = Mask.from_box((1, 1, 4, 3), height=5, width=6)
        >>> mask.area, mask.box, mask.centroid
        (6, (1.0, 1.0, 4.0, 3.0), (2.5, 2.0))
    """

    height: int
    width: int
    runs: NDArray[np.int64] = field(default_factory=lambda: _runs.EMPTY, repr=False)
    score: float | None = None

    def __post_init__(self) -> None:
        if not (_is_whole(self.height) and _is_whole(self.width)):
            raise GeometryError(f"a mask needs a size in whole pixels, got {self.height!r} x {self.width!r}")
        if self.height <= 0 or self.width <= 0:
            raise GeometryError(f"a mask needs a positive size, got {self.height} x {self.width}")
        given = np.asarray(self.runs)
        if given.size and given.dtype.kind not in "iu":
            raise GeometryError(f"a mask needs runs of whole numbers, got {given.dtype}")
        if given.size % 2 or (given.ndim != 2 and given.size):
            raise GeometryError(f"a mask needs runs of shape (N, 2), got {given.shape}")
        runs = given.astype(np.int64).reshape(-1, 2)
        gaps = np.diff(runs.ravel())
        inside = not len(runs) or (runs[0, 0] >= 0 and runs[-1, 1] <= self.height * self.width)
        if not inside or (gaps <= 0).any():
            raise GeometryError("a mask needs sorted runs that lie inside its canvas and do not touch")
        if self.height * self.width < 2**31:
            runs = runs.astype(np.int32)
        runs.setflags(write=False)
        put = object.__setattr__
        put(self, "height", int(self.height))
        put(self, "width", int(self.width))
        put(self, "runs", runs)

    @classmethod
    def empty(cls, height: int, width: int) -> Mask:
        """Make a mask without a pixel."""
        return cls(height, width)

    @classmethod
    def from_dense(
        cls,
        dense: ArrayLike,
        *,
        offset: tuple[int, int] = (0, 0),
        size: tuple[int, int] | None = None,
        score: float | None = None,
    ) -> Mask:
        """Make a mask of a dense array, or of a dense patch of a larger canvas.

        Args:
            dense: (h, w); what is not zero is foreground.
            offset: x, y of the patch's corner on the canvas.
            size: height, width of the canvas; default: that of the array.
            score: the segmenter's own estimate.
        """
        patch = np.asarray(dense)
        if patch.ndim != 2:
            raise GeometryError(f"a dense mask needs shape (height, width), got {patch.shape}")
        height, width = size if size is not None else patch.shape
        x, y = offset
        if x < 0 or y < 0 or x + patch.shape[1] > width or y + patch.shape[0] > height:
            raise GeometryError(
                f"a {patch.shape[0]} x {patch.shape[1]} patch at x={x}, y={y} "
                f"does not lie on a {height} x {width} canvas"
            )
        return cls(height, width, _runs.from_dense(patch.astype(bool, copy=False), x, y, height), score)

    @classmethod
    def from_box(cls, box: Sequence[float], height: int, width: int) -> Mask:
        """Make the mask of the pixels whose centre lies in a box x1, y1, x2, y2, clipped to the canvas."""
        x1, y1, x2, y2 = numbers(box, 4, "a box")
        left, right = (math.ceil(min(max(x - 0.5, 0), width)) for x in (x1, x2))
        top, bottom = (math.ceil(min(max(y - 0.5, 0), height)) for y in (y1, y2))
        column = np.arange(left, right, dtype=np.int64)
        return cls(height, width, _runs.normalise(np.stack([column * height + top, column * height + bottom], 1)))

    @classmethod
    def from_polygons(cls, polygons: Sequence[Any], height: int, width: int, *, rule: PolygonRule = "centre") -> Mask:
        """Fill polygons and join them.

        Args:
            polygons: each one ring, or a list of rings: the outline, then its holes. A ring is
                (K, 2) x, y in pixels, or a flat list x1, y1, x2, y2, ...
            height: of the canvas in pixels.
            width: of the canvas in pixels.
            rule: ``"centre"`` takes pixels whose centre lies inside, holes by the even-odd rule;
                ``"coco"`` is what pycocotools gives, ring by ring (it knows no holes).
        """
        filled = []
        for polygon in polygons:
            rings = [_polygons.as_ring(ring) for ring in _rings(polygon)]
            if rule == "coco":
                if len(rings) > 1:
                    raise GeometryError("the coco rule knows no holes: use rule='centre'")
                filled.append(_polygons.fill_coco(rings[0], height, width))
            elif rings:
                filled.append(_polygons.fill_centres(rings, height, width))
        return cls(height, width, _runs.union(filled))

    @classmethod
    def from_coco(cls, segmentation: Any, height: int | None = None, width: int | None = None) -> Mask:
        """Read a COCO ``segmentation``: a run-length code (compressed or not) or polygons.

        Args:
            segmentation: ``{"size": [h, w], "counts": str | bytes | list}``, or a list of flat polygons.
            height: of the canvas; needed for polygons, checked against a code.
            width: of the canvas.
        """
        if isinstance(segmentation, Mapping):
            h, w, runs = _runs.read_code(segmentation)
            if (height or h, width or w) != (h, w):
                raise GeometryError(f"a run-length code of {h} x {w} does not fit an image of {height} x {width}")
            return cls(h, w, runs)
        if height is None or width is None:
            raise GeometryError("polygons need the height and width of their image")
        return cls.from_polygons(segmentation, height, width, rule="coco")

    def to_dense(self) -> NDArray[np.bool_]:
        """Return a dense (height, width) bool array."""
        return _runs.to_dense(self._wide, self.height, self.width)

    def to_patch(self) -> tuple[NDArray[np.bool_], int, int]:
        """Return the dense pixels of the tight box, and the x, y of its corner; (0, 0) pixels for an empty mask."""
        if self.box is None:
            return np.zeros((0, 0), dtype=np.bool_), 0, 0
        left, top, right, bottom = (int(edge) for edge in self.box)
        columns = _runs.to_dense(self._wide - left * self.height, self.height, right - left)
        return np.ascontiguousarray(columns[top:bottom]), left, top

    def to_coco(self, *, compressed: bool = True) -> dict[str, Any]:
        """Return COCO's run-length code; ``counts`` is the list of lengths where it is not to be compressed."""
        counts = _runs.encode_counts(self._wide, self.height * self.width)
        return {
            "size": [self.height, self.width],
            "counts": _runs.compress(counts) if compressed else counts.tolist(),
        }

    def to_polygons(self) -> list[Polygon]:
        """Trace the outlines, one polygon per 4-connected part; ``from_polygons`` gives exactly this mask back."""
        return _polygons.trace(self._wide, self.height)

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return _runs.area(self._wide)

    @cached_property
    def box(self) -> tuple[float, float, float, float] | None:
        """Tight box x1, y1, x2, y2 around the pixels (one pixel has area 1), or None when empty."""
        pieces = self._columns
        if not len(pieces):
            return None
        left, right = pieces[0, 0], pieces[-1, 0] + 1
        return float(left), float(pieces[:, 1].min()), float(right), float(pieces[:, 2].max())

    @cached_property
    def centroid(self) -> tuple[float, float] | None:
        """Mean x, y of the pixels' centres, in continuous coordinates, or None when empty."""
        if not len(self.runs):
            return None
        column, top, bottom = self._columns.T
        length = bottom - top
        x = float((length * (column + 0.5)).sum()) / self.area
        y = float((length * (top + bottom) / 2).sum()) / self.area
        return x, y

    def convex_hull(self) -> Ring:
        """Return the corners (K, 2) x, y of the convex hull around the pixels; K is 0 when empty."""
        return _polygons.convex_hull(self._wide, self.height)

    def inner_point(self) -> tuple[float, float] | None:
        """Return the x, y that lies deepest inside, so that a point there is on the mask; None when empty."""
        inside, left, top = self.to_patch()
        if not inside.size:
            return None
        step = max(1, math.ceil(max(inside.shape) / _COARSE))
        coarse = inside[::step, ::step]
        if not coarse.any():
            step, coarse = 1, inside
        depth = _depth(coarse)
        # Of places that are equally deep the one nearest the middle, and only then the first, so nothing is left open.
        deepest = np.argwhere(depth >= depth.max() - 0.5)
        row, column = deepest[int(((deepest - deepest.mean(axis=0)) ** 2).sum(axis=1).argmin())]
        return left + float(column) * step + 0.5, top + float(row) * step + 0.5

    @property
    def frame(self) -> Frame:
        """The pixel frame of the mask's canvas."""
        return Frame.pixels(self.width, self.height)

    @property
    def nbytes(self) -> int:
        """Bytes that the runs take."""
        return int(self.runs.nbytes)

    @overload
    def contains(self, points: tuple[float, float]) -> bool: ...
    @overload
    def contains(self, points: Sequence[Sequence[float]] | NDArray[Any]) -> NDArray[np.bool_]: ...
    def contains(self, points: ArrayLike) -> bool | NDArray[np.bool_]:
        """Say whether points lie on the mask: one bool for one point x, y in pixels, (...) bools for (..., 2) of them.

        Example:
            >>> mask = Mask.from_box((1, 1, 4, 3), height=5, width=6)
            >>> mask.contains((2, 2)), mask.contains([(2, 2), (5, 2)]).tolist()
            (True, [True, False])
        """
        given = _as_points(points)
        x, y = given[..., 0], given[..., 1]
        on_canvas = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        column, row = (np.where(on_canvas, np.floor(value), 0).astype(np.int64) for value in (x, y))
        number = column * self.height + row
        hit = _runs.count_below(self._wide, number + 1) > _runs.count_below(self._wide, number)
        on_mask = hit & on_canvas
        return bool(on_mask) if given.ndim == 1 else np.asarray(on_mask)

    def components(self, connectivity: Literal[4, 8] = 8) -> list[Mask]:
        """Split into connected parts, largest first (ties: the one further left, then up, first)."""
        if connectivity not in (4, 8):
            raise GeometryError(f"connectivity is 4 or 8, got {connectivity}")
        labels = _runs.label_columns(self._columns, connectivity)
        order = np.argsort(labels, kind="stable")
        cuts = np.flatnonzero(np.diff(labels[order])) + 1
        pieces = np.split(self._columns[order], cuts) if len(labels) else []
        parts = [Mask(self.height, self.width, _runs.from_columns(part, self.height)) for part in pieces]
        return sorted(parts, key=lambda part: -part.area)

    def intersection(self, other: Mask) -> Mask:
        """Keep the pixels that are in both."""
        self.require_canvas(other)
        return Mask(self.height, self.width, _runs.intersection(self._wide, other._wide))

    def union(self, *others: Mask) -> Mask:
        """Join the pixels of this mask and others."""
        for other in others:
            self.require_canvas(other)
        return Mask(self.height, self.width, _runs.union([self._wide, *(other._wide for other in others)]))

    def difference(self, other: Mask) -> Mask:
        """Keep the pixels that are in this mask only."""
        return self.intersection(other.inverse())

    def inverse(self) -> Mask:
        """Keep the pixels that are not in this mask."""
        return Mask(self.height, self.width, _runs.complement(self._wide, self.height * self.width))

    def shared_area(self, other: Mask) -> int:
        """Count the pixels that are in both, without building their intersection."""
        self.require_canvas(other)
        many, few = (self, other) if len(self.runs) > len(other.runs) else (other, self)
        below = _runs.count_below(many._wide, few._wide)
        return int((below[:, 1] - below[:, 0]).sum())

    def iou(self, other: Mask) -> float:
        """Intersection over union in 0..1; 0 when both are empty (policies decide otherwise)."""
        return float(mask_iou([self], [other])[0, 0])

    def with_score(self, score: float | None) -> Mask:
        """Return the same pixels with another score."""
        return replace(self, score=score)

    def __bool__(self) -> bool:
        return bool(len(self.runs))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        same_canvas = (self.height, self.width) == (other.height, other.width)
        return same_canvas and np.array_equal(self.runs, other.runs)

    def __hash__(self) -> int:
        return hash((self.height, self.width, self.runs.tobytes()))

    @property
    def _wide(self) -> _runs.Runs:
        # made anew each time: kept, it would take twice the memory of the runs themselves
        return self.runs.astype(np.int64, copy=False)

    @property
    def _columns(self) -> NDArray[np.int64]:
        return _runs.columns(self._wide, self.height)

    def require_canvas(self, other: Mask) -> None:
        """Raise GeometryError when another mask has a canvas of another size."""
        if (self.height, self.width) != (other.height, other.width):
            raise GeometryError(
                f"masks of {self.height} x {self.width} and {other.height} x {other.width} do not share a canvas"
            )


def _is_whole(value: object) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and float(value).is_integer()  # type: ignore[arg-type]


def mask_iou(a: Sequence[Mask], b: Sequence[Mask]) -> NDArray[np.float64]:
    """Return the (N, M) float64 IoU in 0..1 of N and M masks of one canvas; 0 where both are empty."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    for mask in (*a, *b):
        a[0].require_canvas(mask)
    areas_a, areas_b = (np.array([mask.area for mask in masks], dtype=np.float64) for masks in (a, b))
    overlaps = np.zeros((len(a), len(b)))
    others = [mask._wide for mask in b]
    for i, one in enumerate(a):
        near = [k for k, other in enumerate(b) if _may_meet(one, other)]
        if not near:
            continue
        below = _runs.count_below(one._wide, np.concatenate([others[k] for k in near]))
        total = np.concatenate([[0], np.cumsum(below[:, 1] - below[:, 0])])
        bounds = np.concatenate([[0], np.cumsum([len(b[k].runs) for k in near])])
        overlaps[i, near] = total[bounds[1:]] - total[bounds[:-1]]
    unions = areas_a[:, None] + areas_b[None, :] - overlaps
    return np.divide(overlaps, unions, out=np.zeros_like(overlaps), where=unions > 0)


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Measure how far each pixel of an (h, w) patch lies from the outside (Borgefors 1986, 5 x 5 chamfer)."""
    straight, diagonal, knight = 10_000, 14_000, 21_969  # the weights of OpenCV's DIST_L2, exact as whole numbers
    far = 1 << 40
    depth = np.zeros((inside.shape[0] + 6, inside.shape[1] + 6), dtype=np.int64)
    depth[:2], depth[-2:], depth[:, :2], depth[:, -2:] = far, far, far, far  # what two steps beyond the rim costs
    core = depth[2:-2, 2:-2]
    core[1:-1, 1:-1][inside] = far
    slope = straight * np.arange(core.shape[1])
    for rows in (depth, depth[::-1, ::-1]):  # down and right, then up and left
        for above, near, here in zip(rows[:-4], rows[1:-3], rows[2:-2], strict=True):
            cost = np.minimum(np.minimum(above[1:-3], above[3:-1]), np.minimum(near[:-4], near[4:])) + knight
            cost = np.minimum(cost, np.minimum(near[1:-3], near[3:-1]) + diagonal)
            cost = np.minimum(np.minimum(cost, near[2:-2] + straight), here[2:-2])
            # Steps along the row: cost[j] = min over i <= j of cost[i] + (j - i) steps.
            here[2:-2] = np.minimum.accumulate(cost - slope) + slope
    return core[1:-1, 1:-1] / straight


def _may_meet(one: Mask, other: Mask) -> bool:
    """Compare boxes first: masks that are far apart share nothing."""
    if one.box is None or other.box is None:
        return False
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return a < g and e < c and b < h and f < d


def _as_points(points: ArrayLike) -> NDArray[np.float64]:
    try:
        given = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"points need numbers, got {points!r}") from None
    if given.size == 0 and given.ndim < 2:
        return given.reshape(0, 2)
    if given.shape[-1:] != (2,):
        raise GeometryError(f"points need shape (2,) or (..., 2), got {given.shape}")
    return given


def _rings(polygon: Any) -> Sequence[Any]:
    """Tell one ring from a list of rings by how deep it is nested."""
    if isinstance(polygon, np.ndarray):
        return [polygon]
    first = polygon[0] if len(polygon) else None
    if first is None:
        raise GeometryError("a polygon needs at least three x, y points, got none")
    deep = isinstance(first, (list, tuple, np.ndarray)) and len(first) and np.ndim(first[0]) > 0
    flat_rings = isinstance(first, (list, tuple)) and len(first) > 2 and np.ndim(first[0]) == 0
    array_rings = isinstance(first, np.ndarray) and first.ndim == 2
    return polygon if deep or flat_rings or array_rings else [polygon]
