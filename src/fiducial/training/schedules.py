"""Schedules of the learning rate."""

from __future__ import annotations

import math


def warm_cosine(step: int, steps: int, rate: float, warm_up: float) -> float:
    """Return the learning rate of a step: a straight rise, then half a cosine down to a hundredth.

    Args:
        step: the step, counted from 0.
        steps: all steps.
        rate: the highest rate.
        warm_up: part of all steps in which the rate rises, in 0..1.

    Example:
        >>> [round(warm_cosine(step, 10, 1.0, 0.2), 3) for step in (0, 1, 9)]
        [0.5, 1.0, 0.01]
    """
    done = (step + 1) / steps
    if done < warm_up:
        return rate * done / warm_up
    part = (done - warm_up) / max(1e-9, 1 - warm_up)
    return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, part))) / 2)
