"""Writing the report of a run beside its records."""

from __future__ import annotations

from pathlib import Path

from fiducial.datasets import Dataset
from fiducial.errors import InputError
from fiducial.evaluation.folder import Run
from fiducial.evaluation.report.gallery import Choice, Rated, choose, pictures
from fiducial.evaluation.report.html import Case, Gallery, page
from fiducial.evaluation.report.markdown import markdown
from fiducial.evaluation.summary import Summary
from fiducial.results import write_atomically

HTML, MARKDOWN = "report.html", "report.md"


def write_report(
    run: Run, summary: Summary, dataset: Dataset | None = None, *, note: str = "", count: int = 6
) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.md``.

    Args:
        run: the run.
        summary: its numbers.
        dataset: where the gallery's pictures come from; None leaves pictures out.
        note: why pictures are left out, for the page.
        count: so many best, worst and random samples.

    Returns:
        The two files.

    Raises:
        InputError: a file cannot be written.
    """
    html = page(run, summary, _gallery(run, summary, dataset, note, count))
    return (
        write_atomically(run.folder / HTML, html),
        write_atomically(run.folder / MARKDOWN, markdown(run, summary)),
    )


def _gallery(run: Run, summary: Summary, dataset: Dataset | None, note: str, count: int) -> Gallery:
    quality = {row.index: row.quality for row in summary.rows if row.score.counted}
    rated = [
        Rated(row.index, row.quality, row.picture, row.score.has_target)
        for row in summary.rows
        if row.score.counted and row.quality is not None
    ]
    choice = choose(rated, count, int(run.settings["seed"]))
    cases, notes = _cases(run, choice, quality, dataset)
    if dataset is None:
        notes = note or "Pictures are left out."
    return Gallery(choice, cases, notes)


def _cases(
    run: Run, choice: Choice, quality: dict[int, float | None], dataset: Dataset | None
) -> tuple[dict[int, Case], str]:
    wanted, cases, note = set(choice.all), {}, ""
    for record in run.records():
        if record.index not in wanted:
            continue
        views: tuple[str, ...] = ()
        if dataset is not None:
            try:
                image = dataset[record.index].image()
                if image.digest != record.picture:
                    raise InputError(f"the picture of {record.id} is not the one that was measured")
                views = tuple(pictures(record, image))
            except (InputError, IndexError) as error:
                note = f"Pictures are missing: {error}"
        cases[record.index] = Case(record, quality.get(record.index), views)
    return cases, note
