"""What a reward service and its clients write to each other, as JSON over HTTP; both sides read it here, strictly.

An image is sent once and named by its digest (:attr:`fiducial.images.Image.digest`) from then on::

    PUT /v1/images/DIGEST?width=W&height=H       the H x W x 3 bytes of its pixels, rows from the top, RGB
    POST /v1/images/DIGEST/masks                 {"completions": [[{"box": [x1, y1, x2, y2] or null,
                                                     "points": [[x, y], ...], "point_labels": [1, 0, ...]}, ...], ...]}

Coordinates are continuous pixels of the image, and none lies further outside than the image is wide or high: work and
memory of some segmenters grow with them. The answer has one entry per completion, in order: its masks as COCO
run-length codes with the segmenter's own score, one per prompt; or why the segmenter could not cut them::

    {"completions": [{"masks": [{"size": [H, W], "counts": "...", "score": 0.93 or null}, ...]},
                     {"error": "...", "for_all": false}, ...]}

Any other answer is a problem as RFC 9457 has it, ``application/problem+json`` with ``type``, ``title``, ``status`` and
``detail``. :data:`fiducial.remote.UNKNOWN_IMAGE` (status 404) says that the image has to be sent again, status 429 and
503 that the same request is to be made later, after ``Retry-After`` seconds. Cutting changes nothing, so that every
request may be repeated. Masks cross the wire, not rewards: truth and reward functions stay with the trainer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from fiducial.errors import GeometryError, InputError, ModelError
from fiducial.files import parse_json
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.results.reading import read_list, read_prompt, read_score, require_kind
from fiducial.rewards.service import Cut


def image_path(digest: str) -> str:
    """Return the path of an image below the service's URL; its masks are asked for at ``/masks`` below that."""
    return f"/v1/images/{digest}"


def write_completions(completions: Sequence[Prompts]) -> bytes:
    """Write the prompts of completions, in pixels of one image; labels and scores stay behind."""
    rows = [[_plain(prompt) for prompt in prompts] for prompts in completions]
    return json.dumps({"completions": rows}, allow_nan=False, separators=(",", ":")).encode()


def read_completions(body: bytes, frame: Frame, max_prompts: int | None = None) -> list[Prompts]:
    """Read the prompts of completions.

    Args:
        body: as :func:`write_completions` writes it.
        frame: the image's pixel frame.
        max_prompts: most prompts of all completions together.

    Raises:
        InputError: anything else, with the place; GeometryError where a prompt is none.
    """
    given = parse_json(body, "the request", kind=dict)
    if set(given) != {"completions"}:
        raise InputError(f"the request: needs completions alone, got {', '.join(map(repr, given)) or 'nothing'}")
    rows = read_list(given["completions"], "completions")
    count = sum(len(read_list(row, f"completion {number}")) for number, row in enumerate(rows))
    if max_prompts is not None and count > max_prompts:
        raise InputError(f"{count:,} prompts in one request are more than the limit of {max_prompts:,}")
    return [
        Prompts(frame, tuple(_prompt(one, frame, f"completion {at}, prompt {k}") for k, one in enumerate(row)))
        for at, row in enumerate(rows)
    ]


def write_cuts(cuts: Sequence[Cut]) -> bytes:
    """Write what was cut for each completion."""
    rows: list[dict[str, Any]] = [
        {"error": str(cut), "for_all": cut.for_all}
        if isinstance(cut, ModelError)
        else {"masks": [{**mask.to_coco(), "score": _finite(mask.score)} for mask in cut]}
        for cut in cuts
    ]
    return json.dumps({"completions": rows}, allow_nan=False, separators=(",", ":")).encode()


def read_cuts(body: bytes, image: Image, completions: Sequence[Prompts]) -> list[Cut]:
    """Read what was cut for completions of an image.

    Raises:
        InputError: anything but one entry per completion with a mask of the image's size per prompt.
    """
    given = parse_json(body, "the answer", kind=dict)
    rows = read_list(given.get("completions"), "completions of the answer")
    if len(rows) != len(completions):
        raise InputError(f"the answer has {len(rows)} entries for {len(completions)} completions")
    return [_cut(row, image, prompts) for row, prompts in zip(rows, completions, strict=True)]


class RemoteCutError(ModelError):
    """The segmenter of a service could not cut the prompts of one completion."""

    def __init__(self, message: str, *, for_all: bool = False) -> None:
        super().__init__(message)
        self.for_all = for_all


def _plain(prompt: Prompt) -> dict[str, Any]:
    return {"box": prompt.box, "points": prompt.points, "point_labels": prompt.labels}


def _prompt(given: Any, frame: Frame, where: str) -> Prompt:
    read = read_prompt(given, frame, where, ("box", "points", "point_labels"))
    for x, y in (*read.points, *((read.box[:2], read.box[2:]) if read.box else ())):
        if not (-frame.width <= x <= 2 * frame.width and -frame.height <= y <= 2 * frame.height):
            raise GeometryError(
                f"{where}: ({x:g}, {y:g}) lies too far outside {frame.width:g} x {frame.height:g} pixels"
            )
    return read


def _cut(row: Any, image: Image, prompts: Prompts) -> Cut:
    if isinstance(row, dict) and isinstance(row.get("error"), str):
        return RemoteCutError(row["error"], for_all=row.get("for_all") is True)
    codes = read_list(require_kind(row, dict, "an entry of the answer").get("masks"), "masks of the answer")
    if len(codes) != len(prompts):
        raise InputError(f"the answer has {len(codes)} masks for {len(prompts)} prompts")
    masks = [Mask.from_coco(require_kind(code, dict, "a mask"), image.height, image.width) for code in codes]
    return tuple(
        mask.with_score(read_score(code.get("score"), "a mask's score"))
        for mask, code in zip(masks, codes, strict=True)
    )


def _finite(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else float(score)
