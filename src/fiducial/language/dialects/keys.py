"""Keys: the words by which models call boxes, points, outlines, labels and scores, and the order that a word tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["box", "point", "negative", "outline", "point labels", "label", "score", "size", ""]

_BOX = frozenset(
    {
        *("bbox", "bboxes", "box", "boxes", "bb", "bounding", "boundingbox", "boundingboxes", "bound", "rect", "rects"),
        *("rectangle", "rectangles", "region", "regions", "roi", "rois", "coordinates", "coordinate", "coords"),
        *("coord", "location", "locations", "position", "positions", "边界框", "坐标"),
    }
)
_EITHER = frozenset({"coordinates", "coordinate", "coords", "coord", "location", "position", "坐标"})
"""Words for a box that hold a point when there are two numbers."""
_POINT = frozenset(
    {
        *("point", "points", "keypoint", "keypoints", "pt", "pts", "click", "clicks", "center", "centre", "centroid"),
        *("midpoint", "点"),
    }
)
_POSITIVE = frozenset({"positive", "pos", "foreground", "fg", "inside", "interior", "inner", "key"})
_NEGATIVE = frozenset({"negative", "neg", "background", "bg", "outside"})
_OUTLINE = frozenset(
    {
        *("polygon", "polygons", "poly", "polys", "vertices", "vertex", "quad", "quads", "quadrilateral", "outline"),
        *("outlines", "contour", "contours", "hull", "segmentation", "corners"),
    }
)
_ORDERS = {
    **dict.fromkeys(("xyxy", "xyxyn", "x1y1x2y2", "ltrb", "tlbr", "voc", "xminyminxmaxymax"), "xyxy"),
    **dict.fromkeys(("yxyx", "y1x1y2x2", "tlbryx", "yminxminymaxxmax"), "yxyx"),
    **dict.fromkeys(("xywh", "xywhn", "ltwh", "tlwh", "coco"), "xywh"),
    **dict.fromkeys(("cxcywh", "cxcywhn", "xcycwh", "ccwh", "yolo"), "cxcywh"),
}
ORDER_WORDS = {
    "xyxy": "x1, y1, x2, y2",
    "yxyx": "y1, x1, y2, x2",
    "xywh": "x, y, width, height",
    "cxcywh": "centre, width, height",
}
_MODIFIERS = frozenset(
    {
        *("2d", "abs", "absolute", "pixel", "pixels", "px", "norm", "normed", "normalized", "normalised", "relative"),
        *("rel", "list", "array", "final", "predicted", "pred", "prediction", "detected", "object", "objects"),
        *("target", "targets", "tight", "estimated", "best", "input", "output", "the", "of", "for", "in", "on"),
    }
)
"""What stands beside such a word without changing what it is."""
LABEL_KEYS = (
    *("label", "labels", "class", "class_name", "name", "object", "object_name", "category", "phrase", "caption"),
    *("description", "title", "text_content", "text", "标签", "类别"),
)
"""In the order in which they are asked for."""
NAMING_KEYS = LABEL_KEYS[:9]
"""Those that name, rather than tell."""
SCORE_KEYS = ("score", "confidence", "conf", "probability", "prob", "confidence_score", "certainty")
WRAPPERS = frozenset(
    {
        *("objects", "detections", "items", "results", "result", "answer", "instances", "predictions", "data"),
        *("output", "targets", "response", "annotations", "shapes", "final_answer", "features", "elements", "entities"),
        *("matches", "found", "boxes", "bboxes", "bounding_boxes"),
    }
)
"""Words for a list of targets, which are no labels."""
_SIZES = frozenset(
    {
        *("size", "sizes", "resolution", "dimension", "dimensions", "dims", "color", "colour", "colors", "colours"),
        *("rgb", "rgba", "bgr", "hsv", "hsl", "hex", "format", "range", "ranges", "scale", "canvas", "width", "height"),
        *("area", "padding", "offset", "timestamp", "version", "id", "ids", "ratio", "unit", "units", "viewport"),
        *("histogram", "palette", "extent", "extents", "limits", "bounds", "shape_type"),
    }
)
"""Last words of keys whose numbers are measures of something, and no place in the picture."""
_OF_THE_PICTURE = frozenset({"image", "img", "canvas", "original", "input", "picture"})

CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("min_x", "min_y", "max_x", "max_y"),
    ("left", "top", "right", "bottom"),
    ("left", "upper", "right", "lower"),
    ("x_left", "y_top", "x_right", "y_bottom"),
    ("x0", "y0", "x1", "y1"),
    ("x_1", "y_1", "x_2", "y_2"),
    ("top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y"),
    ("start_x", "start_y", "end_x", "end_y"),
    ("xtl", "ytl", "xbr", "ybr"),
)
SIZED = tuple(
    (*corner, *size)
    for corner in (("x", "y"), ("left", "top"), ("x_min", "y_min"), ("xmin", "ymin"), ("x1", "y1"))
    for size in (("width", "height"), ("w", "h"))
)
"""A corner, then width and height."""
CENTRED = tuple(
    (*centre, *size)
    for centre in (("cx", "cy"), ("x_center", "y_center"), ("center_x", "center_y"), ("x_centre", "y_centre"))
    for size in (("width", "height"), ("w", "h"))
)
"""A centre, then width and height."""
PAIRS = (
    ("top_left", "bottom_right"),
    ("topleft", "bottomright"),
    ("upper_left", "lower_right"),
    ("left_top", "right_bottom"),
    ("bottom_left", "top_right"),
    ("lower_left", "upper_right"),
    ("tl", "br"),
    ("lt", "rb"),
    ("min", "max"),
    ("start", "end"),
)
"""Two opposite corners, each with an x and a y."""
CENTRES = ("center", "centre", "centroid", "center_point", "centre_point")
SIZES = (("width", "height"), ("w", "h"))
COORDINATES = frozenset(name for names in (*CORNERS, *SIZED, *CENTRED, *PAIRS, CENTRES, ("x", "y")) for name in names)
"""Keys of which a box in several parts has at least one."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a key holds: its kind, for boxes the order that it tells ("" for the dialect's own), and more."""

    kind: Kind
    order: str = ""
    either: bool = False  # whether two numbers under it are a point
    several: bool = False  # whether a list of outlines is a list of targets


def plain_key(key: str) -> str:
    """Return a key in small letters with underscores: "Bounding Box", "bounding-box" and "boundingBox" are alike."""
    return re.sub(r"[-\s./]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key.strip())).lower()


@lru_cache(maxsize=1024)
def role_of(key: str) -> Role:
    """Return the role of a plain key.

    Example:
        >>> role_of("bbox_xywh").order, role_of("background_points").kind, role_of("image_size").kind
        ('xywh', 'negative', 'size')
    """
    if key in LABEL_KEYS:
        return Role("label")
    if key in SCORE_KEYS:
        return Role("score")
    words = [_singular(word) for word in key.split("_") if word and not word.isdigit()]
    if not words or len(key) > 60:
        return Role("")
    named = set(words)
    rest = named - _MODIFIERS
    if rest & {"labels", "label"} and rest - {"labels", "label"} <= _POINT | _POSITIVE and len(named) > 1:
        return Role("point labels")
    orders = [word for word in words if word in _ORDERS]
    if (rest & _BOX or orders) and rest - _BOX <= _ORDERS.keys() and len(orders) < 2:
        return Role("box", _ORDERS[orders[0]] if orders else "", either=not orders and rest <= _EITHER)
    if rest & _POINT and rest - _POINT <= _NEGATIVE | _POSITIVE:
        return Role("negative" if rest & _NEGATIVE else "point")
    if rest & _OUTLINE and rest <= _OUTLINE | _BOX:
        return Role("outline", several=bool(rest & {"polygons", "polys", "quads", "outlines", "contours"}))
    if words[-1] in _SIZES or (words[0] in _OF_THE_PICTURE and words[-1] in {"shape", "frame", "box", "bbox"}):
        return Role("size")
    return Role("")


def _singular(word: str) -> str:
    """Take the number off a word, as in box2d and point1; "x1" is none of ours."""
    plain = word.removesuffix("2d") or word
    trimmed = plain.rstrip("0123456789")
    return trimmed if trimmed in _BOX | _POINT | _OUTLINE else plain if plain in _BOX | _POINT | _OUTLINE else word
