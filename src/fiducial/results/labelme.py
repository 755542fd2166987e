"""A result as a LabelMe file, for mending by hand.

Each connected part of a mask becomes a polygon; the parts of one target share label and ``group_id``. Outlines
are simplified: no point of the true outline is further than ``TOLERANCE`` pixels from the written one. LabelMe
polygons have no holes. A hole that is thinner than the tolerance is filled; a part with any larger hole is written
as a shape of the type ``"mask"`` (LabelMe 5.3 and later), which is exact. A target with an empty mask
is written as the rectangle and the points of its prompt.
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

from fiducial.geometry import Mask, Prompt
from fiducial.geometry.polygons import Polygon, Ring
from fiducial.overlays.drawing import cut_out
from fiducial.results.coco import UNNAMED, image_file
from fiducial.results.record import COORDINATE_DIGITS, dump, rounded

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

TOLERANCE = 1.0
"""How far, in pixels, a simplified outline may stray from the true one."""

FORMAT_VERSION = "5.5.0"
"""The version of LabelMe whose files these are like."""


def write(segmentation: Segmentation, folder: Path) -> bytes:
    """Return the file; ``imagePath`` leads from the folder to the image, ``imageData`` is null."""
    image = segmentation.image
    shapes = []
    targets = zip(segmentation.prompts, segmentation.masks, segmentation.scores, strict=True)
    for number, (prompt, mask, score) in enumerate(targets, start=1):
        note = "" if score is None else f"score {score:.3f}"
        drawn = _mask_shapes(mask) if mask else _prompt_shapes(prompt)
        shapes += [_shape(prompt.label or UNNAMED, number, note, **shape) for shape in drawn]
    return dump(
        {
            "version": FORMAT_VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": _image_path(image.name, folder),
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
    )


def simplify(ring: Ring, tolerance: float = TOLERANCE) -> Ring:
    """Drop points of a closed ring (Douglas and Peucker); fewer than three remain of what is thinner.

    Args:
        ring: (K, 2) x, y.
        tolerance: in pixels.
    """
    kept = cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), tolerance, closed=True)
    return kept.reshape(-1, 2).astype(np.float64)


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
    inside, x, y = cut_out(Mask.from_polygons([polygon], mask.height, mask.width))
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
