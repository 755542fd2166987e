"""Evaluation: run a recipe on a dataset so that the numbers can be trusted, cut up, resumed, compared and shown."""

from fiducial.evaluation.bench import Bench
from fiducial.evaluation.folder import Run, read_run
from fiducial.evaluation.jobs import Job
from fiducial.evaluation.merging import merge
from fiducial.evaluation.prompting import BlindPrompts, TruthPrompts, parse_source
from fiducial.evaluation.records import Record
from fiducial.evaluation.running import Selection, evaluate
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
