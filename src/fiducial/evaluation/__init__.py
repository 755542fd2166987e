"""Evaluation: run a recipe on a dataset so that the numbers can be trusted, cut up, resumed, compared and shown."""

from fiducial.evaluation.job import Bench, Job
from fiducial.evaluation.prompting import BlindPrompts, TruthPrompts, parse_source
from fiducial.evaluation.record import Record
from fiducial.evaluation.run import Run, read_run
from fiducial.evaluation.running import Selection, evaluate, merge
from fiducial.evaluation.summary import Summary, summarise

__all__ = [
    "Bench",
    "BlindPrompts",
    "Job",
    "Record",
    "Run",
    "Selection",
    "Summary",
    "TruthPrompts",
    "evaluate",
    "merge",
    "parse_source",
    "read_run",
    "summarise",
]
