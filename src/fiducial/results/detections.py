"""A result as the ``Detections`` of the package supervision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fiducial.errors import MissingExtraError
from fiducial.results.coco import UNNAMED, categories_of

if TYPE_CHECKING:
    import supervision

    from fiducial.geometry import Box, Mask, Prompt
    from fiducial.results.segmentation import Segmentation


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
        mask=_stack(masks, image.height, image.width),
        confidence=np.array([np.nan if s is None else s for s in scores], dtype=np.float64) if known else None,
        class_id=np.array([numbers[name] - 1 for name in names], dtype=np.int64),
        data={"class_name": np.array(names, dtype=np.str_)},
    )


def _stack(masks: tuple[Mask, ...], height: int, width: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]:
    stack = np.zeros((len(masks), height, width), dtype=np.bool_)
    for number, mask in enumerate(masks):
        stack[number] = mask.to_dense()
    return stack


def _prompt_box(prompt: Prompt) -> Box:
    if prompt.box is not None:
        return prompt.box
    points = np.array(prompt.positive_points or prompt.points)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2
