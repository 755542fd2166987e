r"""PRScore: whether an answer's words, its mask and the reference agree (CG-Reasoner's metric).

With :math:`ncos(u, v) = (\cos(u, v) + 1) / 2`, points :math:`p` that a :class:`fiducial.contracts.Text2Centroid` reads
out of the predicted and the reference text, :math:`m` the centroid of the *predicted* mask, all in the centred frame,
and :math:`d` the distance divided by the frame's diagonal, :math:`2\sqrt 2`::

    S_sem     = ncos(sentence embedding of the prediction, that of the reference)
    S_spatial = (ncos(p_ref, p_pred) + 1 - d(p_ref, p_pred)) / 2
    S_vis     = (ncos(p_pred, m) + 1 - d(p_pred, m)) / 2
    PRScore   = (S_sem + S_spatial + S_vis) / 3

All lie in 0..1. What the paper leaves open is decided here:

- a point at the centre has no direction: its ncos is 1 with another such point, 0.5 with any other;
- a blank text has S_sem 0; a predicted text that states no place has S_spatial and S_vis 0;
- an empty predicted mask has S_vis 0;
- a reference that states no place cannot be compared: S_spatial and the mean are None, and it is counted;
- where there is no target there is no place to agree on: such a case has no score, and is counted.

A model trained by one Text2Centroid and scored by the same one is scored by its teacher. So every score names its
reader, and the same numbers by reading phrases by rule stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.contracts import SentenceEmbedder, Text2Centroid
from fiducial.errors import InputError
from fiducial.geometry import Mask, Point, centroid_of

DIAGONAL = 2 * math.sqrt(2)
"""Of the centred frame, by which distances are divided."""
ZERO = 1e-6
"""A vector shorter than this has no direction."""
MIDDLE = 0.125
"""A point this close to an axis of the centred frame lies on neither side of it: half of "near the centre"."""

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PRCase:
    """One answer beside its reference.

    Args:
        predicted: the answer's text.
        reference: the true text.
        mask: the union of the predicted masks; None or empty: nothing was predicted.
        has_target: whether there is a target in truth.
    """

    predicted: str
    reference: str
    mask: Mask | None
    has_target: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """PRScore by one reader; None where it is not defined.

    Args:
        reader: the name of the Text2Centroid.
        predicted: the point of the predicted text, x, y in the centred frame; None where it states no place.
        reference: that of the reference text.
        spatial: S_spatial, 0..1.
        visual: S_vis, 0..1.
        total: PRScore, 0..1.
    """

    reader: str
    predicted: Point | None
    reference: Point | None
    spatial: float | None
    visual: float | None
    total: float | None


@dataclass(frozen=True, slots=True)
class PRScore:
    """How one answer fared.

    Args:
        semantic: S_sem, 0..1; None where there is no target.
        centroid: of the predicted mask, x, y in the centred frame; None where it is empty.
        by_reader: by the reader that was asked for.
        by_rule: by reading phrases by rule.
        position_right: whether predicted and reference text, read by rule, name the same side of both axes, neither
            side being one too; None where the reference names no place.
    """

    semantic: float | None
    centroid: Point | None
    by_reader: Reading
    by_rule: Reading
    position_right: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def pr_scores(
    cases: Sequence[PRCase], embedder: SentenceEmbedder, reader: Text2Centroid, rules: Text2Centroid
) -> list[PRScore]:
    """Score answers, all texts in one batch.

    Args:
        cases: n answers.
        embedder: sentence embeddings, for S_sem.
        reader: what PRScore is computed by.
        rules: the second opinion, which also says whether the position is right; one that reads by rule.

    Returns:
        n scores, in order.

    Example:
        >>> class Reader:
        ...     name = "always the upper right"
        ...     def read(self, texts): return np.full((len(texts), 2), 0.5)
        ...     def embed(self, texts): return np.ones((len(texts), 4)) / 2
        >>> mask = Mask.from_box((6, 0, 8, 2), height=8, width=8)
        >>> score = pr_scores([PRCase("here", "there", mask)], Reader(), Reader(), Reader())[0]
        >>> round(score.by_reader.spatial, 4), round(score.by_reader.visual, 4), round(score.by_reader.total, 4)
        (1.0, 0.9375, 0.9792)
    """
    if not cases:
        return []
    predicted, reference = [case.predicted for case in cases], [case.reference for case in cases]
    blank = np.array([not (case.predicted.strip() and case.reference.strip()) for case in cases], dtype=np.bool_)
    vectors = np.asarray(embedder.embed([*predicted, *reference]), dtype=np.float64)
    semantic = np.where(blank, 0.0, normalised_cosine(vectors[: len(cases)], vectors[len(cases) :]))
    centroids = np.array([_centroid(case.mask) for case in cases], dtype=np.float64).reshape(-1, 2)
    readings, points = [], []
    for one in (reader, rules):
        both = _read(one, [*predicted, *reference])
        points.append((both[: len(cases)], both[len(cases) :]))
        readings.append(_readings(cases, one.name, semantic, centroids, *points[-1]))
    right = (_sides(points[1][0]) == _sides(points[1][1])).all(axis=1) & ~np.isnan(points[1][0][:, 0])
    known = ~np.isnan(points[1][1][:, 0])
    return [
        PRScore(
            semantic=float(semantic[index]) if case.has_target else None,
            centroid=_point(centroids[index]),
            by_reader=readings[0][index],
            by_rule=readings[1][index],
            position_right=bool(right[index]) if case.has_target and known[index] else None,
        )
        for index, case in enumerate(cases)
    ]


def normalised_cosine(one: Points, other: Points) -> Points:
    """Return ncos, (n,) in 0..1, of vectors (n, D); without a direction: 1 where neither has one, else 0.5.

    Example:
        >>> normalised_cosine(np.array([[1.0, 0], [1, 0], [0, 0]]), np.array([[0, 2.0], [0, 0], [0, 0]])).tolist()
        [0.5, 0.5, 1.0]
    """
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1)
    nowhere = lengths[0] < ZERO, lengths[1] < ZERO
    product = np.where(nowhere[0] | nowhere[1], 1.0, lengths[0] * lengths[1])
    cosine = np.clip((one * other).sum(axis=1) / product, -1.0, 1.0)
    return np.where(nowhere[0] & nowhere[1], 1.0, np.where(nowhere[0] | nowhere[1], 0.5, (cosine + 1) / 2))


def agreement(one: Points, other: Points) -> Points:
    """Return how well points (n, 2) of the centred frame agree in direction and distance, (n,) in 0..1; NaN stays.

    Example:
        >>> agreement(np.array([[0.5, 0.5]]), np.array([[-0.5, -0.5]])).round(4).tolist()
        [0.25]
    """
    distance = np.linalg.norm(one - other, axis=1) / DIAGONAL
    return np.asarray((normalised_cosine(one, other) + 1 - distance) / 2)


def report(scores: Iterable[PRScore]) -> dict[str, Any]:
    """Return the means of scores as plain values, None where no score has one.

    They are ``n``, ``n_no_target`` (not scored), ``semantic``, ``by_reader`` and ``by_rule`` with the reader's name,
    the means of ``spatial``, ``visual`` and ``total``, ``n_unread`` (references that state no place, without a total)
    and ``n_unstated`` (predictions that state none), and ``position_accuracy`` over ``n_positions``.
    """
    known = list(scores)
    scored = [score for score in known if score.semantic is not None]
    right = [score.position_right for score in scored if score.position_right is not None]
    found: dict[str, Any] = {
        "n": len(known),
        "n_no_target": len(known) - len(scored),
        "semantic": _mean([score.semantic for score in scored]),
    }
    for key in ("by_reader", "by_rule"):
        readings: list[Reading] = [getattr(score, key) for score in scored]
        found[key] = {
            "reader": getattr(known[0], key).reader if known else None,
            **{name: _mean([getattr(one, name) for one in readings]) for name in ("spatial", "visual", "total")},
            "n_unread": sum(one.reference is None for one in readings),
            "n_unstated": sum(one.predicted is None for one in readings),
        }
    return {**found, "position_accuracy": _mean(right), "n_positions": len(right)}


def _readings(
    cases: Sequence[PRCase], name: str, semantic: Points, centroids: Points, predicted: Points, reference: Points
) -> list[Reading]:
    unread, unstated = np.isnan(reference[:, 0]), np.isnan(predicted[:, 0])
    spatial = np.where(unstated, 0.0, agreement(reference, predicted))
    visual = np.where(unstated | np.isnan(centroids[:, 0]), 0.0, agreement(predicted, centroids))
    total = (semantic + spatial + visual) / 3
    found = []
    for index, case in enumerate(cases):
        at = _point(predicted[index]), _point(reference[index])
        if not case.has_target:
            found.append(Reading(name, *at, None, None, None))
            continue
        known = not unread[index]
        found.append(
            Reading(
                name,
                *at,
                spatial=float(spatial[index]) if known else None,
                visual=float(visual[index]),
                total=float(total[index]) if known else None,
            )
        )
    return found


def _read(reader: Text2Centroid, texts: Sequence[str]) -> Points:
    points = np.asarray(reader.read(texts), dtype=np.float64).reshape(-1, 2)
    if len(points) != len(texts) or np.isinf(points).any():
        raise InputError(f"the reader {reader.name!r} gave {len(points)} points for {len(texts)} texts")
    points[np.isnan(points).any(axis=1)] = np.nan
    return points


def _centroid(mask: Mask | None) -> tuple[float, float]:
    return centroid_of([] if mask is None else [mask]) or (math.nan, math.nan)


def _sides(points: Points) -> Points:
    """Return on which side of each axis points lie: -1, 0 (neither), 1; NaN as 0."""
    return np.where(np.abs(points) < MIDDLE, 0.0, np.sign(np.nan_to_num(points)))


def _point(values: Points) -> Point | None:
    return None if np.isnan(values[0]) else (float(values[0]), float(values[1]))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
