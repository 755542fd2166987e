"""Around one point, which size: a judge of a few weights that is shown the masks of all crops at once.

A point on a sleeve may mean the sleeve, the coat or the person. The network that cuts sees one crop at a time, so what
it expects of its masks says little about which of them is meant. The judge sees how they grow from crop to crop. It
runs on NumPy; ``fiducial train sizes`` makes its weights (``training/sizes.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiducial.checkpoints import read_network
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Point
from fiducial.segmenters.configs import JUDGE
from fiducial.segmenters.nano_crops import Array, Crop

AGREEMENT = (0.2, 0.3)
"""How much it counts for a mask around points that the next smaller, and the next larger, crop give the same mask."""
LIMIT = 4.0
"""Figures are cut off this many standard deviations from their mean."""
MARGIN = 0.4
"""By how much the judge has to prefer another size to that of the rule; chosen on objects trained on, cut in three."""
FIGURES = (
    # trust, crop and area
    "trust", "side", "side_of_picture", "seen", "root_area", "log_area", "area_of_picture",
    # where it reaches the edge of the crop, and the rim of the picture
    "edge_sum", "edge_most", "edge_sides", "rim_sum", "rim_sides", "open",
    # how decided it is, and at the point
    "undecided", "undecided_area", "sharp", "at_point", "near_point",
    # its shape
    "depth", "depth_at_point", "log_depth", "pieces", "largest_piece", "own_piece", "extent", "aspect", "filled",
    "outline", "off", "extent_of_picture",
    # its neighbours
    "before", "after", "merit", "first", "last",
    # the picture: a scan is no photograph
    "colour", "dark", "bright", "contrast",
)  # fmt: skip
"""Names of what the judge is told of each mask, in order."""
_HALF = 2  # masks are looked at with 2 x 2 pixels put together, which takes a quarter of the time
_MOST_TRUST = 6.0
_SMALL, _DARK = 32, 0.1


class SizeJudge:
    """Chooses among the masks that were cut from crops of growing size around one point.

    Several small networks look at the figures of all sizes, of each size together with its neighbours and with the mean
    of all, and the mean of what they say is added to the rule's merit (:func:`merits`).

    Args:
        weights: what a network of ``training/sizes.py`` holds, by name, (members, ...) each; any floats.
        name: of the file, for messages.

    Raises:
        InputError: weights for other figures than :data:`FIGURES`.
    """

    def __init__(self, weights: dict[str, Any], name: str = JUDGE) -> None:
        self._weights = {key: np.asarray(value, np.float32) for key, value in weights.items()}
        members, figures, width = self._weights["own.weight"].shape
        if figures != len(FIGURES):
            raise InputError(f"{name}: this judge takes {figures} figures of each size, and {len(FIGURES)} are known")
        layers = {
            "own": (figures, width),
            "beside": (3 * width, width),
            "all": (4 * width, width),
            "verdict": (width, 1),
        }
        shapes: dict[str, tuple[int, ...]] = {f"{layer}.weight": (members, *shape) for layer, shape in layers.items()}
        shapes |= {f"{layer}.bias": (members, 1, shape[1]) for layer, shape in layers.items()}
        shapes |= {"mean": (figures,), "deviation": (figures,), "rule": (1,)}
        if {key: value.shape for key, value in self._weights.items()} != shapes:
            raise InputError(f"{name}: its layers do not fit each other")

    @classmethod
    def from_pretrained(cls, model: str | Path = JUDGE) -> SizeJudge:
        """Load weights: the package's own, or a safetensors file's."""

        def build(tensors: dict[str, Any], header: dict[str, Any]) -> SizeJudge:
            return cls(tensors, str(model))

        return read_network(model, JUDGE, build, framework="numpy")[0]

    def choose(self, figures: Array) -> int:
        """Return the index of the size that is meant, of (S, F) figures of S sizes in ascending order.

        It is the rule's own, unless another is better by :data:`MARGIN`.
        """
        said, rule = self.judge(figures), figures[:, FIGURES.index("merit")]
        if not np.isfinite(said).all():
            raise ModelError("the judge of sizes gave no finite numbers: its weights are broken or badly trained")
        best, first = int(np.argmax(said)), int(np.argmax(rule))
        return best if said[best] - said[first] > MARGIN else first

    def judge(self, figures: Array) -> Array:
        """Return a number (S,) for each size: the larger, the likelier it is the best."""
        own = self._weights
        told = np.clip((figures - own["mean"]) / own["deviation"], -LIMIT, LIMIT)
        hidden = np.maximum(self._linear("own", told[None]), 0)
        hidden = np.maximum(hidden + self._linear("beside", _with_neighbours(hidden)), 0)
        mean = np.broadcast_to(hidden.mean(axis=1, keepdims=True), hidden.shape)
        hidden = hidden + np.maximum(self._linear("all", np.concatenate([_with_neighbours(hidden), mean], axis=2)), 0)
        said = self._linear("verdict", hidden)[..., 0].mean(axis=0)
        return np.asarray(said + own["rule"] * figures[:, FIGURES.index("merit")], np.float32)

    def _linear(self, name: str, values: Array) -> Array:
        made = values @ self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return np.asarray(made, np.float32)


def _with_neighbours(hidden: Array) -> Array:
    """Put what is known of the next smaller and the next larger size beside that of each: (M, S, C) to (M, S, 3 C)."""
    nothing = np.zeros_like(hidden[:, :1])
    before = np.concatenate([nothing, hidden[:, :-1]], axis=1)
    after = np.concatenate([hidden[:, 1:], nothing], axis=1)
    return np.concatenate([hidden, before, after], axis=2)


def merits(qualities: Sequence[float], agreed: Sequence[float]) -> list[float]:
    """Say by rule how good masks of crops of growing size are: trust, and what the neighbours say.

    Args:
        qualities: IoU in 0..1 that the network expects of each of S masks.
        agreed: IoU of each of them, but the last, with the next larger one.
    """
    smaller, larger = AGREEMENT
    rows = zip(qualities, [0.0, *agreed], [*agreed, 0.0], strict=True)
    return [quality + smaller * before + larger * after for quality, before, after in rows]


def size_figures(
    likely: Sequence[Array],
    qualities: Sequence[float],
    agreed: Sequence[float],
    crops: Sequence[Crop],
    point: Point,
    pixels: NDArray[np.uint8],
) -> Array:
    """Describe the masks of all sizes around a point.

    Args:
        likely: (S, S) float32 probabilities per crop, crops from small to large.
        qualities: IoU in 0..1 that the network expects of each.
        agreed: IoU of each mask, but the last, with the next larger one.
        crops: where they were cut.
        point: x, y in pixels of the image.
        pixels: (H, W, 3) of the image.

    Returns:
        (sizes, F) float32, in the order of :data:`FIGURES`.
    """
    rows, rule, picture = [], merits(qualities, agreed), picture_figures(pixels)
    height, width = pixels.shape[:2]
    for index, (values, quality, crop) in enumerate(zip(likely, qualities, crops, strict=True)):
        certain = min(max(quality, 1e-6), 1 - 1e-6)
        trust = math.log(certain / (1 - certain))
        before = agreed[index - 1] if index else 0.0
        after = agreed[index] if index < len(agreed) else 0.0
        ends = float(index == 0), float(index == len(crops) - 1)
        own = _of_one(values, crop, point, width, height)
        rows.append((max(-_MOST_TRUST, min(trust, _MOST_TRUST)), *own, before, after, rule[index], *ends, *picture))
    return np.array(rows, np.float32)


def picture_figures(pixels: NDArray[np.uint8]) -> list[float]:
    """Describe a picture (H, W, 3): mean spread of its channels, part that is dark, mean and deviation, in 0..1."""
    small = cv2.resize(pixels, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    most, least = small.max(axis=2), small.min(axis=2)
    return [float((most - least).mean()), float((most < _DARK).mean()), float(small.mean()), float(small.std())]


def _of_one(likely: Array, crop: Crop, point: Point, width: int, height: int) -> list[float]:
    """Describe one mask: its crop, its area, where it leaves the crop, how decided it is, its shape about the point."""
    small = cv2.resize(likely, None, fx=1 / _HALF, fy=1 / _HALF, interpolation=cv2.INTER_AREA)
    size = small.shape[0]
    scale, longest = size / crop.side, max(width, height)
    hard = (small > 0.5).astype(np.uint8)
    area = float(np.count_nonzero(hard))
    left, top = max(0, round(-crop.x * scale)), max(0, round(-crop.y * scale))
    right, bottom = min(size, round((width - crop.x) * scale)), min(size, round((height - crop.y) * scale))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    seen = (right - left) * (bottom - top)
    found = [math.log2(crop.side / (_HALF * size)), math.log2(crop.side / longest), seen / size**2]
    in_picture = area / scale**2 / (width * height)
    found += [math.sqrt(area / seen), math.log(area / size**2 + 1e-3), math.log(in_picture + 1e-4)]
    # Where the crop ends inside the picture a mask that reaches the edge is cut off; at the picture's rim it is not.
    lines = hard[top:bottom, left], hard[top:bottom, right - 1], hard[top, left:right], hard[bottom - 1, left:right]
    inside = crop.x > 0, crop.x + crop.side < width, crop.y > 0, crop.y + crop.side < height
    touched = [float(line.mean()) for line in lines]
    edge = [part for part, ends_inside in zip(touched, inside, strict=True) if ends_inside]
    rim = [part for part, ends_inside in zip(touched, inside, strict=True) if not ends_inside]
    found += [sum(edge) / 4, max(edge, default=0.0), sum(part > 0 for part in edge) / 4]
    found += [sum(rim) / 4, sum(part > 0 for part in rim) / 4, len(edge) / 4]
    undecided = float((small * (1 - small)).sum())
    sharp = float(np.abs(small[top:bottom, left:right] - 0.5).mean())
    found += [4 * undecided / size**2, undecided / (float(small.sum()) + 2), 2 * sharp]
    x, y = (point[0] - crop.x) * scale, (point[1] - crop.y) * scale
    column, row = min(max(int(x), 0), size - 1), min(max(int(y), 0), size - 1)
    near = small[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    found += [float(small[row, column]), float(near.min())]
    return found + (_shape(hard, area, x, y, row, column, crop.side / longest) if area else [0.0] * 12)


def _shape(hard: Any, area: float, x: float, y: float, row: int, column: int, part: float) -> list[float]:
    """Describe the shape of a mask (size, size) of 0 and 1 that is not empty, and how the point lies in it."""
    size = hard.shape[0]
    depth = cv2.distanceTransform(np.pad(hard, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depth.max())
    count, labels, figures, _ = cv2.connectedComponentsWithStats(hard, connectivity=8)
    areas, own = figures[:, cv2.CC_STAT_AREA], labels[row, column]
    rows, columns = np.flatnonzero(hard.any(axis=1)), np.flatnonzero(hard.any(axis=0))
    wide, high = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
    middle = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    extent = max(wide, high)
    outline = np.count_nonzero((depth > 0) & (depth < 1.2))  # a step to the side is 0.955 long here, a slanted one 1.37
    return [
        deepest / math.sqrt(area),
        float(depth[row, column]) / max(deepest, 1.0),
        math.log(deepest + 1),
        math.log(count),
        float(areas[1:].max()) / area,
        float(areas[own]) / area if own else 0.0,
        extent / size,
        math.log(wide / high),
        area / (wide * high),
        outline / math.sqrt(area),
        math.hypot(middle[0] - x, middle[1] - y) / extent,
        math.log(extent / size * part),
    ]
