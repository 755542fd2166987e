"""How good a detector is on pictures with named things in them: any detector, boxes only.

Average precision is COCO's (101 recall points, greedy matching, best first), with the area of a box as the size of a
thing, so that single names and sizes can be told apart at one IoU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.geometry import boxes as box_arrays
from fiducial.prompters.detector.reading import Detector
from fiducial.training.grounder.pictures import IGNORED, Labelled

SIZES = {"below 32": (0.0, 32.0), "32 to 96": (32.0, 96.0), "above 96": (96.0, float("inf"))}
"""Square root of a box's area in pixels."""
_AT_ONCE = 8
_MOST = 100
"""Detections of one name in one picture that count, as COCO has it."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What was found of one name in one picture.

    Args:
        name: the name.
        truth: (M, 4) true boxes.
        ignored: (J, 4) boxes of things that are neither right nor wrong to find.
        boxes: (K, 4) found boxes, best first.
        scores: (K,) in 0..1.
    """

    name: str
    truth: Array
    ignored: Array
    boxes: Array
    scores: Array

    @property
    def best(self) -> float:
        """The highest score; 0 where nothing was found."""
        return float(self.scores.max()) if len(self.scores) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which detections are right, of any number of findings.

    Args:
        scores: (K,) of the detections that count.
        hits: (K,) whether each found a thing that no better one had found.
        things: number of things there are to find.
    """

    scores: Array
    hits: NDArray[np.bool_]
    things: int


def findings_of(detector: Detector, pictures: Sequence[Labelled]) -> list[Finding]:
    """Ask for every name of each picture's dataset.

    Args:
        detector: any detector that knows the names; with a threshold of 0 for average precision.
        pictures: held-out pictures.
    """
    found = []
    for start in range(0, len(pictures), _AT_ONCE):
        some = pictures[start : start + _AT_ONCE]
        answers = detector.detect([one.sample.image() for one in some], [one.names for one in some])
        for labelled, detections in zip(some, answers, strict=True):
            ignored = _boxes([thing.box for thing in labelled.things if thing.name == IGNORED])
            for name in labelled.names:
                mine = [one for one in detections if one.name == name][:_MOST]
                truth = _boxes([thing.box for thing in labelled.things if thing.name == name])
                scores = np.array([one.score for one in mine], dtype=np.float64)
                found.append(Finding(name, truth, ignored, _boxes([one.box for one in mine]), scores))
    return found


def matches_of(
    findings: Iterable[Finding], least: float = 0.5, size: tuple[float, float] = (0.0, float("inf"))
) -> Matches:
    """Match detections with things, best first, each thing once.

    Args:
        findings: of one name.
        least: IoU from which a box is right.
        size: only things whose square root of area lies in this range count, and wrong boxes of that size.
    """
    scores: list[Array] = []
    hits: list[NDArray[np.bool_]] = []
    things = 0
    for finding in findings:
        inside = _of_size(finding.truth, size)
        things += int(inside.sum())
        partners = _partners(finding, least, inside)
        right = partners >= 0
        # As in COCO: what found a thing of another size does not count, nor does a wrong box of another size.
        counts = np.where(right, inside[partners] if len(inside) else False, _of_size(finding.boxes, size))
        counts &= right | ~_on_ignored(finding)
        scores.append(finding.scores[counts])
        hits.append(right[counts])
    empty = np.zeros(0)
    return Matches(np.concatenate([empty, *scores]), np.concatenate([empty.astype(bool), *hits]), things)


def precision(matches: Matches) -> float | None:
    """Return the average precision in 0..1; None where there is nothing to find."""
    if not matches.things:
        return None
    hits = matches.hits[np.argsort(-matches.scores, kind="mergesort")]
    right = np.cumsum(hits)
    exact = right / np.arange(1, len(hits) + 1)
    exact = np.maximum.accumulate(exact[::-1])[::-1]
    places = np.searchsorted(right / matches.things, np.linspace(0, 1, 101), side="left")
    return float(np.append(exact, 0.0)[places].mean())


def mean_precision(findings: Sequence[Finding], least: float = 0.5) -> float:
    """Return the mean over names of the average precision at one IoU; 0 where there is nothing to find."""
    found = [precision(matches_of(some, least)) for some in by_name(findings).values()]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else 0.0


def table(findings: Sequence[Finding], threshold: float = 0.3) -> dict[str, Any]:
    """Return all figures as plain values; None where there is nothing to measure.

    Args:
        findings: from a detector with a threshold of 0.
        threshold: score from which a name is said to be in a picture.

    Returns:
        ``pictures`` (pairs of picture and name), ``things``, ``ap50``, ``ap75``, ``ap50_by_name``, ``ap50_by_size``
        (mean over names), ``single`` (share of the only things of their name that the best box finds at an IoU of at
        least 0.5), ``presence_auroc``, ``false_alarms`` and ``missed`` at the threshold.
    """
    named = by_name(findings)
    by_size = {key: [precision(matches_of(some, 0.5, size)) for some in named.values()] for key, size in SIZES.items()}
    best = np.array([finding.best for finding in findings])
    there = np.array([len(finding.truth) > 0 for finding in findings], dtype=bool)
    return {
        "pictures": len(findings),
        "things": sum(len(finding.truth) for finding in findings),
        "ap50": mean_precision(findings),
        "ap75": mean_precision(findings, 0.75),
        "ap50_by_name": {name: precision(matches_of(some)) for name, some in named.items()},
        "ap50_by_size": {key: _mean([one for one in values if one is not None]) for key, values in by_size.items()},
        "single": _mean([_single(finding) for finding in findings if len(finding.truth) == 1]),
        "presence_auroc": area_under_curve(best, there),
        "false_alarms": _mean(best[~there] >= threshold),
        "missed": _mean(best[there] < threshold),
    }


def area_under_curve(scores: Array, positive: NDArray[np.bool_]) -> float | None:
    """Return how often a positive has the higher score of two, ties counted half; None without one of the kinds."""
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


def _partners(finding: Finding, least: float, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (K,) the thing that each detection finds, or -1; things that count are taken before others."""
    overlaps = box_arrays.iou(finding.boxes, finding.truth)
    free = np.ones(len(finding.truth), dtype=bool)
    partners = np.full(len(finding.boxes), -1)
    for number in np.argsort(-finding.scores, kind="mergesort") if len(free) else ():
        for kind in (inside, ~inside):
            fitting = np.where(free & kind, overlaps[number], -1.0)
            if fitting.max() >= least:
                partners[number] = int(fitting.argmax())
                free[partners[number]] = False
                break
    return partners


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


def _single(finding: Finding) -> float:
    if not len(finding.boxes):
        return 0.0
    best = finding.boxes[int(finding.scores.argmax())]
    return float(box_arrays.iou(best[None], finding.truth)[0, 0] >= 0.5)


def _mean(values: Sequence[float] | NDArray[Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _boxes(boxes: Sequence[Sequence[float]]) -> Array:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
