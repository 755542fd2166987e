"""Metrics: masks, boxes, boundaries and instances, counted by a named :class:`Policy`, and words beside masks."""

from fiducial.metrics.boundaries import boundary, outline_measures
from fiducial.metrics.consistency import Consistency, Finding, Verdict, check_consistency
from fiducial.metrics.instances import InstanceSample, average_precision
from fiducial.metrics.intervals import Difference, bootstrap, mean_difference, mean_interval, paired_bootstrap
from fiducial.metrics.policies import POLICIES, Policy, policy
from fiducial.metrics.prscore import PRCase, PRScore, pr_scores
from fiducial.metrics.scoring import SampleScore, resize_mask, score_sample
from fiducial.metrics.totals import Totals, statistics

__all__ = [
    "POLICIES",
    "Consistency",
    "Difference",
    "Finding",
    "InstanceSample",
    "PRCase",
    "PRScore",
    "Policy",
    "SampleScore",
    "Totals",
    "Verdict",
    "average_precision",
    "bootstrap",
    "boundary",
    "check_consistency",
    "mean_difference",
    "mean_interval",
    "outline_measures",
    "paired_bootstrap",
    "policy",
    "pr_scores",
    "resize_mask",
    "score_sample",
    "statistics",
]
