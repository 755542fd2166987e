"""Batches: manifests of any length through a recipe, killed at any moment, on one machine or on Ray."""

from fiducial.jobs.configs import BatchOptions
from fiducial.jobs.running import Batch, run

__all__ = ["Batch", "BatchOptions", "run"]
