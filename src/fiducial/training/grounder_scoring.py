"""How good a detector is on pictures with named things in them (boxes only), and what its scores are worth.

Average precision is COCO's (101 recall points, greedy matching, best first), with the area of a box as the size of a
thing, so that single names and sizes can be told apart at one IoU.

Calibration makes 0.7 mean right seven times in ten, by Platt's method: likelihood = sigmoid(slope * logit + intercept),
fitted per domain on held-out detections, right when they find a thing at an IoU of at least 0.5. Order is kept, so
average precision within a domain stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import boxes as box_arrays
from fiducial.metrics.instances import match, precision_of_hits
from fiducial.prompters.detector.reading import Detector
from fiducial.prompters.grounder.weights import Name
from fiducial.training.grounder_crops import IGNORED
from fiducial.training.grounder_data import LabelledPicture

_BATCH_SIZE = 8
_MAX_DETECTIONS = 100
"""Detections of one name in one picture that count, as COCO has it."""
_MIN_DETECTIONS = 20
"""Right and wrong detections that a domain needs for a fit of its own."""
_TRUST_COUNT = 20
"""Things at which a name's own best threshold counts as much as that of its domain."""
_THRESHOLD_RANGE = (0.1, 0.7)
"""Thresholds stay inside, whatever few pictures say."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found of one name in one picture."""

    name: str
    truth: Array  # (M, 4) true boxes
    ignored: Array  # (J, 4) boxes of things that are neither right nor wrong to find
    boxes: Array  # (K, 4) found boxes, best first
    scores: Array  # (K,) in 0..1

    @property
    def best(self) -> float:
        """The highest score; 0 where nothing was found."""
        return float(self.scores.max()) if len(self.scores) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which detections are right, of any number of findings."""

    scores: Array  # (K,) of the detections that count
    hits: NDArray[np.bool_]  # (K,) whether each found a thing that no better one had found
    things: int  # number of things there are to find

    @classmethod
    def joined(cls, scores: Sequence[Array], hits: Sequence[NDArray[np.bool_]], things: int) -> Matches:
        """Put the detections of several findings, or of none, together."""
        none = np.zeros(0)
        return cls(np.concatenate([none, *scores]), np.concatenate([none.astype(bool), *hits]), things)


def findings_of(detector: Detector, pictures: Sequence[LabelledPicture]) -> list[Finding]:
    """Ask for every name of each picture's dataset; average precision needs a detector with a threshold of 0."""
    found = []
    for start in range(0, len(pictures), _BATCH_SIZE):
        some = pictures[start : start + _BATCH_SIZE]
        answers = detector.detect([one.sample.image() for one in some], [one.names for one in some])
        for labelled, detections in zip(some, answers, strict=True):
            ignored = _boxes([thing.box for thing in labelled.things if thing.name == IGNORED])
            for name in labelled.names:
                mine = sorted((one for one in detections if one.name == name), key=lambda one: -one.score)
                mine = mine[:_MAX_DETECTIONS]
                truth = _boxes([thing.box for thing in labelled.things if thing.name == name])
                scores = np.array([one.score for one in mine], dtype=np.float64)
                found.append(Finding(name, truth, ignored, _boxes([one.box for one in mine]), scores))
    return found


def matches_of(
    findings: Iterable[Finding], min_iou: float = 0.5, size: tuple[float, float] = (0.0, float("inf"))
) -> Matches:
    """Match detections with things, best first, each thing once.

    Args:
        findings: of one name.
        min_iou: IoU from which a box is right.
        size: only things whose square root of area lies in this range count, and wrong boxes of that size.
    """
    scores, hits, things = [], [], 0
    for finding in findings:
        inside = _of_size(finding.truth, size)
        things += int(inside.sum())
        partners = match(box_arrays.iou(finding.boxes, finding.truth), [min_iou], inside)[0]
        right = partners >= 0
        # As in COCO: what found a thing of another size does not count, nor does a wrong box of another size.
        counts = np.where(right, inside[partners] if len(inside) else False, _of_size(finding.boxes, size))
        counts &= right | ~_on_ignored(finding)
        scores.append(finding.scores[counts])
        hits.append(right[counts])
    return Matches.joined(scores, hits, things)


def precision(matches: Matches) -> float | None:
    """Return the average precision in 0..1; None where there is nothing to find."""
    return precision_of_hits(matches.scores, matches.hits, matches.things)


def mean_precision(findings: Sequence[Finding], min_iou: float = 0.5) -> float:
    """Return the mean over names of the average precision at one IoU; 0 where there is nothing to find."""
    found = [precision(matches_of(some, min_iou)) for some in by_name(findings).values()]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else 0.0


def first_found(findings: Iterable[Finding]) -> float | None:
    """Return how often the best box finds the only thing of its name at an IoU of at least 0.5; None without any."""
    found = []
    for finding in findings:
        if len(finding.truth) == 1:
            best = finding.boxes[:1]
            found.append(bool((box_arrays.iou(best, finding.truth) >= 0.5).any()))
    return float(np.mean(found)) if found else None


def area_under_curve(scores: Array, positive: NDArray[np.bool_]) -> float | None:
    """Return how often the positive one of two has the higher score, ties counted half; None without both kinds."""
    from scipy.stats import rankdata

    some, others = int(positive.sum()), int((~positive).sum())
    if not some or not others:
        return None
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - some * (some + 1) / 2) / (some * others))


def by_name(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Sort findings by name, in the order in which names come up."""
    sorted_out: dict[str, list[Finding]] = {}
    for finding in findings:
        sorted_out.setdefault(finding.name, []).append(finding)
    return sorted_out


def _of_size(boxes: Array, size: tuple[float, float]) -> NDArray[np.bool_]:
    edge = np.sqrt(box_arrays.area(boxes))
    return np.asarray((edge >= size[0]) & (edge <= size[1]))


def _on_ignored(finding: Finding) -> NDArray[np.bool_]:
    """Say which boxes (K,) lie by half or more on one ignored thing."""
    if not len(finding.ignored) or not len(finding.boxes):
        return np.zeros(len(finding.boxes), dtype=bool)
    low = np.maximum(finding.boxes[:, None, :2], finding.ignored[None, :, :2])
    high = np.minimum(finding.boxes[:, None, 2:], finding.ignored[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    return np.asarray((shared >= 0.5 * box_arrays.area(finding.boxes)[:, None]).any(axis=1))


def _boxes(boxes: Iterable[Sequence[float]]) -> Array:
    return np.array(list(boxes), dtype=np.float64).reshape(-1, 4)


# -- calibration ----------------------------------------------------------------------------------


def platt(logits: Array, hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit a slope above 0 and an intercept to detections by maximum likelihood, lightly held to 1 and 0."""
    from scipy.optimize import minimize

    def loss(values: Array) -> float:
        worth = np.exp(values[0]) * logits + values[1]
        # log(1 + e^worth) - hits * worth is the cross-entropy.
        return float(np.logaddexp(0, worth).sum() - worth[hits].sum() + 0.5 * (values**2).sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7}).x
    return float(np.exp(found[0])), float(found[1])


def expected_error(likelihoods: Array, hits: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the expected calibration error: mean gap of likelihoods (K,) and share of hits, bins of equal width."""
    if not len(hits):
        return 0.0
    places = np.minimum((likelihoods * bins).astype(int), bins - 1)
    gaps = [abs(float(likelihoods[places == one].sum()) - int(hits[places == one].sum())) for one in set(places)]
    return sum(gaps) / len(hits)


def best_threshold(likelihoods: Array, hits: NDArray[np.bool_], things: int) -> float:
    """Return the likelihood at which F1 is highest, half way to the next lower detection; 0.5 without a hit."""
    order = np.argsort(-likelihoods, kind="mergesort")
    right = np.cumsum(hits[order])
    if not len(order) or not right[-1]:
        return 0.5
    scores = 2 * right / (np.arange(1, len(order) + 1) + things)
    best = int(scores.argmax())
    ranked = likelihoods[order]
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def calibrated(names: Sequence[Name], findings: Sequence[Finding]) -> tuple[tuple[Name, ...], dict[str, Any]]:
    """Give names their slope, intercept and threshold.

    Args:
        names: with slope 1 and intercept 0, as the findings were made with.
        findings: on held-out pictures, with a threshold of 0.

    Returns:
        The names, and per domain what was fitted: ``detections``, ``slope``, ``intercept`` and the expected
        calibration error ``before`` and ``after`` (of the same detections).
    """
    matches = {name: matches_of(some) for name, some in by_name(findings).items()}
    every = _together(list(matches.values()))
    result: dict[str, Name] = {}
    report: dict[str, Any] = {}
    for domain in dict.fromkeys(name.domain for name in names):
        mine = [name for name in names if name.domain == domain]
        own = _together([matches[name.name] for name in mine if name.name in matches])
        enough = min(int(own.hits.sum()), int((~own.hits).sum())) >= _MIN_DETECTIONS
        basis = own if enough else every
        slope, intercept = platt(_logits(basis.scores), basis.hits) if len(basis.hits) else (1.0, 0.0)
        likely = _worth(own.scores, slope, intercept)
        common = best_threshold(likely, own.hits, own.things)
        for name in mine:
            found = matches.get(name.name, Matches.joined([], [], 0))
            best = best_threshold(_worth(found.scores, slope, intercept), found.hits, found.things)
            trust = found.things / (found.things + _TRUST_COUNT)
            threshold = min(max(trust * best + (1 - trust) * common, _THRESHOLD_RANGE[0]), _THRESHOLD_RANGE[1])
            result[name.name] = replace(
                name, slope=round(slope, 5), intercept=round(intercept, 5), threshold=round(threshold, 4)
            )
        report[domain] = {
            "detections": len(own.hits),
            "own": enough,
            "slope": slope,
            "intercept": intercept,
            "before": expected_error(own.scores, own.hits),
            "after": expected_error(likely, own.hits),
        }
    return tuple(result[name.name] for name in names), report


def _together(matches: Sequence[Matches]) -> Matches:
    things = sum(one.things for one in matches)
    return Matches.joined([one.scores for one in matches], [one.hits for one in matches], things)


def _logits(scores: Array) -> Array:
    within = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(within / (1 - within)))


def _worth(scores: Array, slope: float, intercept: float) -> Array:
    return np.asarray(1 / (1 + np.exp(-(slope * _logits(scores) + intercept))))
