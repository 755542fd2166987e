"""Calibration: what a detector's score is worth, so that 0.7 means right seven times in ten.

Platt's method: likelihood = sigmoid(slope * logit + intercept), fitted per domain on held-out detections, right when
they find a thing at an IoU of at least 0.5. Order is kept, so average precision within a domain stays the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiducial.prompters.grounder.weights import Name
from fiducial.training.grounder.scoring import Finding, Matches, by_name, matches_of

_ENOUGH = 20
"""Right and wrong detections that a domain needs for a fit of its own."""
_TRUST = 20
"""Things at which a name's own best threshold counts as much as that of its domain."""
_BOUNDS = (0.1, 0.7)
"""Thresholds stay inside, whatever few pictures say."""

Array = NDArray[np.float64]


def platt(logits: Array, hits: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit slope and intercept by maximum likelihood, lightly held to 1 and 0.

    Args:
        logits: (K,) of detections.
        hits: (K,) whether each is right.

    Returns:
        Slope, above 0, and intercept.
    """
    from scipy.optimize import minimize

    def loss(values: Array) -> float:
        worth = np.exp(values[0]) * logits + values[1]
        # log(1 + e^worth) - hits * worth is the cross-entropy.
        return float(np.logaddexp(0, worth).sum() - worth[hits].sum() + 0.5 * (values**2).sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7}).x
    return float(np.exp(found[0])), float(found[1])


def expected_error(likelihoods: Array, hits: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the expected calibration error: mean gap of likelihood and share of hits over bins of equal width.

    Args:
        likelihoods: (K,) in 0..1.
        hits: (K,) whether each is right.
        bins: number of bins.
    """
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
        enough = min(int(own.hits.sum()), int((~own.hits).sum())) >= _ENOUGH
        basis = own if enough else every
        slope, intercept = platt(_logits(basis.scores), basis.hits) if len(basis.hits) else (1.0, 0.0)
        likely = _worth(own.scores, slope, intercept)
        common = best_threshold(likely, own.hits, own.things)
        for name in mine:
            found = matches.get(name.name, Matches(np.zeros(0), np.zeros(0, dtype=bool), 0))
            best = best_threshold(_worth(found.scores, slope, intercept), found.hits, found.things)
            trust = found.things / (found.things + _TRUST)
            threshold = min(max(trust * best + (1 - trust) * common, _BOUNDS[0]), _BOUNDS[1])
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
    none = np.zeros(0)
    scores = np.concatenate([none, *[one.scores for one in matches]])
    hits = np.concatenate([none.astype(bool), *[one.hits for one in matches]])
    return Matches(scores, hits, sum(one.things for one in matches))


def _logits(scores: Array) -> Array:
    within = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(within / (1 - within)))


def _worth(scores: Array, slope: float, intercept: float) -> Array:
    return np.asarray(1 / (1 + np.exp(-(slope * _logits(scores) + intercept))))
