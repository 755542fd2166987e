"""Keys: the words by which models call a box, a point, a label; compared in small letters with underscores."""

from __future__ import annotations

BOX_KEYS = frozenset(
    {
        *("bbox_2d", "box_2d", "bbox", "box", "boxes", "bboxes", "boxes_2d", "bboxes_2d", "bound_box"),
        *("bounding_box", "bounding_boxes", "boundingbox", "bounding_box_2d", "boundingbox_2d", "xyxy", "rect"),
        *("coordinates", "coordinate", "coords", "rectangle", "region", "location", "position", "边界框", "坐标"),
    }
)
EITHER_KEYS = frozenset({"coordinates", "coordinate", "coords", "location", "position"})
"""Box keys that hold a point when there are two numbers."""
POSITIVE_KEYS = frozenset(
    {
        *("positive_points", "positive_point", "pos_points", "points", "point", "points_2d", "point_2d"),
        *("keypoints", "key_points", "center", "centre", "点"),
        *(f"{name}_{number}" for name in ("points", "point") for number in range(1, 5)),
    }
)
NEGATIVE_KEYS = frozenset({"negative_points", "negative_point", "neg_points", "background_points"})
LABEL_KEYS = (
    *("label", "labels", "class", "class_name", "name", "object", "object_name", "category", "phrase", "caption"),
    *("description", "title", "text_content", "text", "标签", "类别"),
)
"""In the order in which they are asked for."""
SCORE_KEYS = ("score", "confidence", "conf", "probability", "prob")
CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("x0", "y0", "x1", "y1"),
)
SIZED = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
"""A corner, then width and height."""
WRAPPERS = frozenset(
    {
        *("objects", "detections", "items", "results", "result", "answer", "instances", "predictions", "data"),
        *("output", "targets"),
    }
)
"""Words for a list of targets, which are no labels."""
