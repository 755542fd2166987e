"""``fiducial study``: vary one thing, keep the rest, and write a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fiducial.cli import common
from fiducial.cli.evaluate import Measuring
from fiducial.config import option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.evaluation.breakdowns import StudyTable
    from fiducial.evaluation.studies import Variant


@dataclass(frozen=True, kw_only=True)
class Study(Measuring):
    """Vary one thing, keep the rest.

    grid: size, opacity and colour of the grid that the prompter sees; prompts: box, points, both, jitter: how good is
    the segmenter, given how good a prompt; size: accuracy against the size of the target; families: accuracy by the
    kind of phrase (referring expressions, scenes); recipes: several recipes on one dataset; cfpg: true box, CFPG's
    point, points of the truth: what is a foreground point worth?; mbo: masks cut from true boxes (--segmenter truth:
    the true masks), with and without MBO. For size and families DATASET may also be the folder of a run.
    """

    study: Literal["grid", "prompts", "size", "families", "recipes", "cfpg", "mbo"] = option(
        help="grid, prompts, size, families, recipes, cfpg or mbo", positional=True
    )
    values: str = option(
        "",
        "what to vary, by semicolons: grids (grid?columns=3&rows=3;grid?opacity=0.5), prompts (truth;truth?points=1), "
        "recipes",
        unit="V;V",
    )


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Study, "study", words)
    from fiducial.evaluation.report.text import text_table

    command = ["fiducial", "study", *words]
    breaks_down = options.study in ("size", "families")
    table = _broken_down(options, command) if breaks_down else _varied(options, command)
    if options.json:
        common.print_json(table.values)
    else:
        print(f"{table.title}\n{text_table(table.header, table.rows)}")
        print("\n".join(f"  wrote {path}" for path in table.files))
    return 0


def _varied(options: Study, command: list[str]) -> StudyTable:
    from fiducial.evaluation import Selection
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.studies import run_study

    variants = _variants(options)
    with Progress(f"study {options.study}", quiet=options.json) as progress:
        return run_study(
            options.study,
            variants,
            options.out,
            selection=Selection(limit=options.limit, seed=options.seed),
            workers=options.workers,
            retry_failed=options.retry_failed,
            images=options.images,
            command=command,
            on_record=progress,
        )


def _variants(options: Study) -> list[Variant]:
    from fiducial.evaluation import studies

    chosen = [value.strip() for value in options.values.split(";") if value.strip()]
    if options.study == "recipes":
        if len(chosen) < 2:
            raise InputError("study recipes: name at least two, as --values 'classic;sjtu'")
        jobs = [options.job(recipe=name) for name in chosen]
        names = [job.recipe.name for job in jobs]
        # two recipes of one name are told apart by what was written
        shown = [text if names.count(name) > 1 else name for text, name in zip(chosen, names, strict=True)]
        return [studies.Variant(name, job) for name, job in zip(shown, jobs, strict=True)]
    if options.study == "grid":
        return studies.grid_variants(options.job(), chosen or studies.GRIDS)
    job = options.job(prompter="truth")  # no prompter is loaded: every variant brings its own source
    if options.study == "prompts":
        return studies.prompt_variants(job, chosen or studies.PROMPTS, options.seed)
    make = studies.cfpg_variants if options.study == "cfpg" else studies.mbo_variants
    return make(job, studies.parse_jitter(chosen), options.seed)


def _broken_down(options: Study, command: list[str]) -> StudyTable:
    """Break accuracy down by size or by family, of a run that is there or of one that is made now."""
    from fiducial.evaluation import Selection
    from fiducial.evaluation.breakdowns import family_table, size_table
    from fiducial.evaluation.report import write_reports
    from fiducial.evaluation.run import CARD, read_run

    break_down = size_table if options.study == "size" else family_table
    if (Path(options.dataset) / CARD).is_file():
        return break_down(read_run(options.dataset), options.out)
    selection = Selection(limit=options.limit, seed=options.seed)
    done = options.measure(options.job(), options.out / "run", selection, command)
    write_reports(done, images=options.images)
    return break_down(done, options.out)
