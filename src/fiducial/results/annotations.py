"""A result as annotations of other tools: COCO, LabelMe, and the ``Detections`` of the package supervision.

In LabelMe each connected part of a mask becomes a simplified polygon; the parts of one target share label and
``group_id``. Its polygons have no holes: one thinner than the tolerance is filled, a part with a larger one is a shape
of the type ``"mask"`` (LabelMe 5.3 and later), which is exact. Of an empty mask the prompt is written.
"""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import PIL.Image

from fiducial.errors import MissingExtraError
from fiducial.files import json_text, rounded
from fiducial.geometry import Box, Mask, Prompt
from fiducial.geometry.polygons import Polygon, Ring
from fiducial.results.segmentation import COORDINATE_DIGITS, SCORE_DIGITS, Segmentation

if TYPE_CHECKING:
    import supervision

UNNAMED = "target"
"""What a target without a label is called where a name is needed."""

TOLERANCE = 1.0
"""How far, in pixels, a simplified outline may stray from the true one."""


def write_coco(segmentation: Segmentation, folder: Path) -> str:
    """Return the file: one image, one annotation per target in order, one category per label.

    Segmentations are run-length codes although ``iscrowd`` is 0 (pycocotools and its relatives read that), so
    masks are exact. ``bbox`` is the mask's tight box as x, y, width, height, all 0 for an empty mask; ``score`` is an
    extra that result files have too. A target without a label is a "target".
    """
    image = segmentation.image
    categories = categories_of(segmentation)
    values = {
        "info": {"description": segmentation.instruction, "contributor": f"fiducial {segmentation.recipe}".strip()},
        "licenses": [],
        "images": [
            {"id": 1, "file_name": image_file(image.name), "width": image.width, "height": image.height},
        ],
        "annotations": [
            coco_annotation(number, 1, categories[prompt.label or UNNAMED], mask, score)
            for number, (prompt, mask, score) in enumerate(
                zip(segmentation.prompts, segmentation.masks, segmentation.scores, strict=True), start=1
            )
        ],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()],
    }
    return json_text(values)


def coco_annotation(number: int, image: int, category: int, mask: Mask, score: float | None) -> dict[str, Any]:
    """Return one target as an annotation: its id, that of its image and of its category, and its mask."""
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": mask.to_coco(),
        "area": mask.area,
        "bbox": _xywh(mask.box or (0.0, 0.0, 0.0, 0.0)),
        "iscrowd": 0,
        "score": rounded(score, SCORE_DIGITS),
    }


def write_labelme(segmentation: Segmentation, folder: Path) -> str:
    """Return the file; ``imagePath`` leads from the folder to the image, ``imageData`` is null."""
    image = segmentation.image
    shapes = []
    targets = zip(segmentation.prompts, segmentation.masks, segmentation.scores, strict=True)
    for number, (prompt, mask, score) in enumerate(targets, start=1):
        note = "" if score is None else f"score {score:.3f}"
        drawn = _mask_shapes(mask) if mask else _prompt_shapes(prompt)
        shapes += [_shape(prompt.label or UNNAMED, number, note, **shape) for shape in drawn]
    return json_text(
        {
            "version": "5.5.0",  # of the LabelMe whose files these are like
            "flags": {},
            "shapes": shapes,
            "imagePath": _image_path(image.name, folder),
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
    )


def simplify(ring: Ring) -> Ring:
    """Drop points of a closed ring (K, 2) (Douglas and Peucker); fewer than three remain of what is thinner."""
    kept = cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), TOLERANCE, closed=True)
    return kept.reshape(-1, 2).astype(np.float64)


def _xywh(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _shape(label: str, number: int, note: str, **values: Any) -> dict[str, Any]:
    return {"label": label, "group_id": number, "description": note, "flags": {}, "mask": None, **values}


def _mask_shapes(mask: Mask) -> list[dict[str, Any]]:
    shapes = []
    for polygon in mask.to_polygons():
        outline, *holes = polygon
        if any(len(simplify(hole)) >= 3 for hole in holes):
            shapes.append(_exact_shape(polygon, mask))
            continue
        points = simplify(outline)
        points = points if len(points) >= 3 else outline
        shapes.append({"shape_type": "polygon", "points": points.tolist()})
    return shapes


def _exact_shape(polygon: Polygon, mask: Mask) -> dict[str, Any]:
    inside, x, y = Mask.from_polygons([polygon], mask.height, mask.width).to_patch()
    file = io.BytesIO()
    PIL.Image.fromarray(inside).save(file, format="PNG")
    return {
        "shape_type": "mask",
        # The corners are the first and the last pixel of the patch, as LabelMe itself writes them.
        "points": [[x, y], [x + inside.shape[1] - 1, y + inside.shape[0] - 1]],
        "mask": base64.b64encode(file.getvalue()).decode("ascii"),
    }


def _prompt_shapes(prompt: Prompt) -> list[dict[str, Any]]:
    shapes: list[dict[str, Any]] = []
    if prompt.box is not None:
        x1, y1, x2, y2 = (rounded(value, COORDINATE_DIGITS) for value in prompt.box)
        shapes.append({"shape_type": "rectangle", "points": [[x1, y1], [x2, y2]]})
    for point, kind in zip(prompt.points, prompt.labels, strict=True):
        place = [rounded(value, COORDINATE_DIGITS) for value in point]
        shapes.append({"shape_type": "point", "points": [place], "flags": {"positive": kind == 1}})
    return shapes


def _image_path(name: str, folder: Path) -> str:
    """Lead from the folder to the image with forward slashes; a name that is no path stays alone."""
    if not Path(name).exists():
        return image_file(name)
    try:
        return Path(os.path.relpath(name, folder)).as_posix()
    except ValueError:  # another drive
        return Path(name).resolve().as_posix()


def to_supervision(segmentation: Segmentation) -> supervision.Detections:
    """Return N detections in the order of the targets.

    ``xyxy`` (N, 4) float64 is the mask's tight box, for an empty mask the prompt's; ``mask`` is (N, H, W) bool;
    ``confidence`` (N,) is None when no target has a score, and NaN where one has none; ``class_id`` counts labels from
    0 as they first occur; ``data["class_name"]`` holds them.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise MissingExtraError("Segmentation.to_supervision", "supervision", str(error)) from error

    image, prompts, masks = segmentation.image, segmentation.prompts, segmentation.masks
    boxes = [mask.box or _prompt_box(prompt) for prompt, mask in zip(prompts, masks, strict=True)]
    numbers = categories_of(segmentation)
    names = [prompt.label or UNNAMED for prompt in prompts]
    scores = segmentation.scores
    known = any(score is not None for score in scores)
    return supervision.Detections(
        xyxy=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        mask=np.array([mask.to_dense() for mask in masks], dtype=np.bool_).reshape(-1, image.height, image.width),
        confidence=np.array([np.nan if s is None else s for s in scores], dtype=np.float64) if known else None,
        class_id=np.array([numbers[name] - 1 for name in names], dtype=np.int64),
        data={"class_name": np.array(names, dtype=np.str_)},
    )


def _prompt_box(prompt: Prompt) -> Box:
    if prompt.box is not None:
        return prompt.box
    points = np.array(prompt.positive_points or prompt.points)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def categories_of(segmentation: Segmentation) -> dict[str, int]:
    """Number the labels from 1, in the order in which they first occur."""
    names = dict.fromkeys(prompt.label or UNNAMED for prompt in segmentation.prompts)
    return {name: number for number, name in enumerate(names, start=1)}


def image_file(name: str) -> str:
    """Return the file name of an image without its folders."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] or "image"
