"""A result as a COCO instances file of one image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.results.record import SCORE_DIGITS, dump, rounded

if TYPE_CHECKING:
    from fiducial.results.segmentation import Segmentation

UNNAMED = "target"
"""What a target without a label is called where a name is needed."""


def write(segmentation: Segmentation, folder: Path) -> bytes:
    """Return the file: one image, one annotation per target in order, one category per label.

    Segmentations are run-length codes although ``iscrowd`` is 0 (pycocotools and its relatives read that), so
    masks are exact. ``bbox`` is the mask's tight box as x, y, width, height, all 0 for an empty mask. The
    ``score`` is an extra that result files have too. Categories are numbered from 1 as their labels first
    occur; a target without a label is a "target".
    """
    return dump(coco(segmentation))


def coco(segmentation: Segmentation) -> dict[str, Any]:
    """Return the values of the file."""
    image = segmentation.image
    categories = categories_of(segmentation)
    return {
        "info": {"description": segmentation.instruction, "contributor": f"fiducial {segmentation.recipe}".strip()},
        "licenses": [],
        "images": [
            {"id": 1, "file_name": image_file(image.name), "width": image.width, "height": image.height},
        ],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": categories[prompt.label or UNNAMED],
                "segmentation": mask.to_coco(),
                "area": mask.area,
                "bbox": _xywh(mask.box),
                "iscrowd": 0,
                "score": rounded(score, SCORE_DIGITS),
            }
            for number, (prompt, mask, score) in enumerate(
                zip(segmentation.prompts, segmentation.masks, segmentation.scores, strict=True), start=1
            )
        ],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()],
    }


def categories_of(segmentation: Segmentation) -> dict[str, int]:
    """Number the labels from 1, in the order in which they first occur."""
    names = dict.fromkeys(prompt.label or UNNAMED for prompt in segmentation.prompts)
    return {name: number for number, name in enumerate(names, start=1)}


def image_file(name: str) -> str:
    """Return the file name of an image without its folders."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2] or "image"


def _xywh(box: tuple[float, float, float, float] | None) -> list[float]:
    if box is None:
        return [0.0, 0.0, 0.0, 0.0]
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]
