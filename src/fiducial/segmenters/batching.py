"""Prompts put together so that a decoder takes many at once and none of them notices.

SAM's decoders attend over every prompt token and know no attention mask, so a padding point, be it
of label -1 (a learned "not a point") or -10 (zeros), shifts the result of the prompt it pads. Prompts
are therefore never padded: those of one signature (with or without a box, so many points) go
together. A list of boxes, or of boxes with a point each, is one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiducial.errors import InputError
from fiducial.geometry import Prompts


@dataclass(frozen=True, slots=True, eq=False)
class PromptBatch:
    """Prompts of one signature, as arrays in the frame of the prompts they come from.

    Args:
        places: where each prompt stands in the list it comes from.
        boxes: (N, 4) float32 x1, y1, x2, y2, or None when these prompts have no box.
        points: (N, K, 2) float32 x, y with K >= 1, or None when these prompts have no points.
        labels: (N, K) int64 of 1 (on the target) and 0, or None like the points.
    """

    places: tuple[int, ...]
    boxes: NDArray[np.float32] | None
    points: NDArray[np.float32] | None
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.places)


def batches(prompts: Prompts, maximum: int) -> Iterator[PromptBatch]:
    """Put prompts of one signature together.

    Args:
        prompts: the prompts, in any one frame.
        maximum: most prompts in a batch, at least 1.

    Yields:
        Batches in order of each signature's first prompt; every prompt is in exactly one.

    Raises:
        InputError: a maximum below 1.
    """
    if maximum < 1:
        raise InputError(f"a batch needs room for at least one prompt, got {maximum}")
    alike: dict[tuple[bool, int], list[int]] = {}
    for place, prompt in enumerate(prompts):
        alike.setdefault((prompt.box is not None, len(prompt.points)), []).append(place)
    for (has_box, count), places in alike.items():
        for start in range(0, len(places), maximum):
            yield _batch(prompts, places[start : start + maximum], has_box, count)


def _batch(prompts: Prompts, places: list[int], has_box: bool, count: int) -> PromptBatch:
    chosen = [prompts[place] for place in places]
    return PromptBatch(
        places=tuple(places),
        boxes=np.array([prompt.box for prompt in chosen], dtype=np.float32) if has_box else None,
        points=np.array([prompt.points for prompt in chosen], dtype=np.float32) if count else None,
        labels=np.array([prompt.labels for prompt in chosen], dtype=np.int64) if count else None,
    )
