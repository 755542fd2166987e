"""A result read back from its JSON, strictly: what came over a wire or out of a file that somebody may have changed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from fiducial.contracts import Refinement
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.results.segmentation import STAGES, Segmentation

PROMPT = ("label", "score", "box", "points", "point_labels")
"""What a prompt may have."""
T = TypeVar("T")
_CALLED: Mapping[type[Any], str] = {list: "a list", dict: "an object", str: "a text", bool: "true or false"}


def read_segmentation(values: Mapping[str, Any], image: Image) -> Segmentation:
    """Make a result of what :meth:`fiducial.results.Segmentation.as_json` gave.

    Coordinates have the digits of the file. ``answer.prompts`` are those that the segmenter saw, for the others are not
    written. What may be missing is everything but ``prompts`` and ``masks``; other keys are left alone.

    Args:
        values: the JSON object.
        image: the image that it is about.

    Raises:
        InputError: anything that is not as it was written, with the place; GeometryError where it is a coordinate or a
            mask, or a mask of another size than the image's.

    Example:
        >>> import numpy as np
        >>> image = Image(np.zeros((40, 60, 3), np.uint8))
        >>> values = {"prompts": [{"box": [1, 2, 3, 4]}], "masks": [Mask.from_box((1, 2, 3, 4), 40, 60).to_coco()]}
        >>> read_segmentation(values, image).mask.area
        4
    """
    prompts = read_prompts(values.get("prompts"), image.frame, "prompts")
    codes, scores = read_list(values.get("masks"), "masks"), read_list(values.get("scores", []), "scores")
    if len(codes) != len(prompts) or len(scores) not in (0, len(prompts)):
        raise InputError(f"the result has {len(prompts)} prompts, {len(codes)} masks and {len(scores)} scores")
    masks = tuple(
        _mask(code, image, read_score(score, f"scores, {number}"), f"masks, {number}")
        for number, (code, score) in enumerate(zip(codes, scores or [None] * len(codes), strict=True))
    )
    found = Outcome.FOUND if len(prompts) else Outcome.NO_TARGET
    answer = Answer(
        _outcome(values.get("outcome", found.value)),
        prompts,
        thinking=_text(values, "thinking"),
        text=_text(values, "text"),
        repairs=tuple(require_kind(one, str, "repairs") for one in read_list(values.get("repairs", []), "repairs")),
    )
    steps = read_list(values.get("refinements", []), "refinements")
    return Segmentation(
        image=image,
        instruction=_text(values, "instruction"),
        answer=answer,
        masks=masks,
        prompts=prompts,
        recipe=_text(values, "recipe"),
        seconds=_seconds(values.get("seconds", {})),
        refinements=tuple(tuple(map(_refinement, read_list(one, "refinements"))) for one in steps),
    )


def read_prompts(values: Any, frame: Frame, where: str) -> Prompts:
    """Make prompts of what :meth:`fiducial.geometry.Prompts.as_json` gave.

    Args:
        values: a list of objects with ``box``, ``points``, ``point_labels``, ``label``, ``score``, each of which may be
            missing.
        frame: the frame of the numbers.
        where: what errors begin with.

    Raises:
        InputError: anything else; GeometryError where the geometry is none.
    """
    rows = read_list(values, where)
    return Prompts(frame, tuple(read_prompt(one, frame, f"{where}, {number}") for number, one in enumerate(rows)))


def read_prompt(values: Any, frame: Frame, where: str, known: Collection[str] = PROMPT) -> Prompt:
    """Make one prompt, as :func:`read_prompts` does, of the keys that are known."""
    given = require_kind(values, dict, where)
    if unknown := sorted(set(given) - set(known)):
        shown = ", ".join(f"{key!r:.40}" for key in unknown[:3])
        raise InputError(f"{where}: knows {', '.join(known)}, got {shown}")
    label, box, kinds = given.get("label"), given.get("box"), given.get("point_labels")
    spots = read_list([] if given.get("points") is None else given["points"], where)
    points = tuple(read_numbers(point, f"{where}, a point") for point in spots)
    try:
        return Prompt(
            frame,
            box=None if box is None else read_numbers(box, f"{where}, box"),  # type: ignore[arg-type]  # it counts them
            points=points,  # type: ignore[arg-type]
            point_labels=None if kinds is None else read_numbers(kinds, f"{where}, point_labels"),  # type: ignore[arg-type]
            label=None if label is None else require_kind(label, str, f"{where}, label"),
            score=read_score(given.get("score"), f"{where}, score"),
        )
    except GeometryError as error:
        raise GeometryError(f"{where}: {error}") from None


def _mask(code: Any, image: Image, score: float | None, where: str) -> Mask:
    try:
        mask = Mask.from_coco(require_kind(code, dict, where), image.height, image.width)
    except GeometryError as error:
        raise GeometryError(f"{where}: {error}") from None
    return mask if score is None else mask.with_score(score)


def _outcome(given: Any) -> Outcome:
    try:
        return Outcome(given)
    except ValueError:
        raise InputError(f"outcome: one of {', '.join(Outcome)} is expected, got {given!r:.40}") from None


def _refinement(values: Any) -> Refinement:
    given = require_kind(values, dict, "a refinement")
    figures = require_kind(given.get("figures", {}), dict, "figures of a refinement")
    for name, figure in figures.items():
        if isinstance(figure, bool) or not isinstance(figure, (int, float, str)):
            raise InputError(f"figures of a refinement: {name!r:.40} is a {type(figure).__name__}")
    changed = require_kind(given.get("changed"), bool, "changed of a refinement")
    return Refinement(_text(given, "refiner"), changed, _text(given, "reason"), figures)


def _seconds(values: Any) -> dict[str, float]:
    given = require_kind(values, dict, "seconds")
    return {key: read_numbers([given[key]], "seconds")[0] for key in STAGES if given.get(key) is not None}


def read_score(given: Any, where: str) -> float | None:
    """Read a score, a finite number, or null."""
    if given is None:
        return None
    score = read_numbers([given], where)[0]
    if not math.isfinite(score):
        raise InputError(f"{where}: a finite number is expected, got {score}")
    return score


def _text(values: Mapping[str, Any], key: str) -> str:
    return require_kind(values.get(key, ""), str, key)


def read_list(given: Any, where: str) -> list[Any]:
    """Return what has to be a list."""
    return require_kind(given, list, where)


def read_numbers(given: Any, where: str) -> tuple[float, ...]:
    """Read a list of numbers; truth values are none, and neither are whole numbers that no float holds."""
    values = read_list(given, where)
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        raise InputError(f"{where}: numbers are expected, got {values!r:.80}")
    try:
        return tuple(map(float, values))
    except OverflowError:
        raise InputError(f"{where}: a number is too large") from None


def require_kind(given: Any, kind: type[T], where: str) -> T:
    """Return what has to be a list, an object, a text or a truth value."""
    if not isinstance(given, kind):
        raise InputError(f"{where}: {_CALLED[kind]} is expected, got {type(given).__name__}")
    return given
