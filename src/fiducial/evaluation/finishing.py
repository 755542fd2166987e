"""Finishing: the summary and the report of a run, beside its records."""

from __future__ import annotations

from pathlib import Path

from fiducial.datasets import Dataset
from fiducial.errors import FiducialError
from fiducial.evaluation.folder import Run
from fiducial.evaluation.opening import open_spec
from fiducial.evaluation.report.writing import write_report
from fiducial.evaluation.summary import Summary, summarise, write_summary


def finish(run: Run, dataset: Dataset | None = None, *, images: bool = True) -> tuple[Summary, tuple[Path, ...]]:
    """Count a run and write ``summary.json``, ``report.html`` and ``report.md``.

    Args:
        run: the run.
        dataset: where the report's pictures come from; default: opened again as the run's card says.
        images: put pictures into the report; without them it holds numbers and texts only.

    Returns:
        The numbers and the files.

    Raises:
        InputError: the run has no record, or a file cannot be written.
    """
    summary = summarise(run)
    note = "" if images else "Pictures are left out: --no-images."
    if images and dataset is None:
        dataset, note = _opened(run)
    written = [write_summary(run.folder, summary)]
    written += write_report(run, summary, dataset if images else None, note=note)
    return summary, tuple(written)


def _opened(run: Run) -> tuple[Dataset | None, str]:
    """Open the dataset of a run again; a report without pictures is better than none."""
    if not run.spec:
        return None, "Pictures are left out: the dataset was given from Python and cannot be opened again."
    try:
        return open_spec(run.spec, run.settings["dataset"]["split"]), ""
    except FiducialError as error:
        return None, f"Pictures are left out: {error}"
