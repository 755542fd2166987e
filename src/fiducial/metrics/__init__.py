"""Metrics: masks, boxes, boundaries and instances, counted by a named policy.

Papers that compare themselves with one another count differently: an empty truth, an answer that cannot be read, the
size at which masks are compared. A :class:`Policy` names those choices; every score carries the name of its policy, and
scores of two policies never meet in one total.
"""

from fiducial.metrics.boundaries import boundary, boundary_f, hausdorff95
from fiducial.metrics.instances import InstanceSample, average_precision
from fiducial.metrics.intervals import Difference, bootstrap, paired_bootstrap
from fiducial.metrics.policies import POLICIES, Policy, Resize, policy
from fiducial.metrics.resizing import resize_mask
from fiducial.metrics.scoring import SampleScore, score_sample
from fiducial.metrics.totals import Totals, statistics

__all__ = [
    "POLICIES",
    "Difference",
    "InstanceSample",
    "Policy",
    "Resize",
    "SampleScore",
    "Totals",
    "average_precision",
    "bootstrap",
    "boundary",
    "boundary_f",
    "hausdorff95",
    "paired_bootstrap",
    "policy",
    "resize_mask",
    "score_sample",
    "statistics",
]
