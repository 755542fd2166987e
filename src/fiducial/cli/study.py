"""``fiducial study``: vary one thing, keep the rest, and write a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.cli import common
from fiducial.cli.evaluate import add_work, read_job, read_selection
from fiducial.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from fiducial.evaluation.breakdowns import StudyTable
    from fiducial.evaluation.studies import Variant

STUDIES = {
    "grid": "size, opacity and colour of the grid that the prompter sees",
    "prompts": "box, points, both, jitter: how good is the segmenter, given how good a prompt",
    "size": "accuracy against the size of the target",
    "families": "accuracy by the kind of phrase: order, size, relation, colour, ... (referring expressions, scenes)",
    "recipes": "several recipes on one dataset",
    "cfpg": "true box, CFPG's point, points of the truth: what is a foreground point worth?",
    "mbo": "masks cut from true boxes (--segmenter truth: the true masks), with and without MBO",
}
_OF_ONE_RUN = ("size", "families")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    if arguments.study not in STUDIES:
        raise UnknownNameError("study", arguments.study, STUDIES)
    from fiducial.evaluation.report.text import text_table

    command = ["fiducial", "study", *words]
    table = _told(arguments, command) if arguments.study in _OF_ONE_RUN else _varied(arguments, command)
    if arguments.json:
        common.print_json(table.values)
    else:
        print(f"{table.title}\n{text_table(table.header, table.rows)}")
        print("\n".join(f"  wrote {path}" for path in table.files))
    return 0


def _varied(arguments: argparse.Namespace, command: list[str]) -> StudyTable:
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.studies import run_study

    variants = _variants(arguments)
    with Progress(f"study {arguments.study}", quiet=arguments.json) as progress:
        return run_study(
            arguments.study,
            variants,
            arguments.out,
            selection=read_selection(arguments),
            workers=arguments.workers,
            retry_failed=arguments.retry_failed,
            images=arguments.images,
            command=command,
            on_record=progress,
        )


def _variants(arguments: argparse.Namespace) -> list[Variant]:
    from fiducial.evaluation.studies import GRIDS, PROMPTS, grid_variants, prompt_variants

    chosen = [value.strip() for value in (arguments.values or "").split(";") if value.strip()]
    if arguments.study == "recipes":
        if len(chosen) < 2:
            raise InputError("study recipes: name at least two, as --values 'classic;sjtu'")
        return _recipes(arguments, chosen)
    if arguments.study == "prompts":
        arguments.prompter = "truth"  # no prompter is loaded: every variant brings its own source
        return prompt_variants(read_job(arguments), chosen or PROMPTS, arguments.seed)
    if arguments.study in ("cfpg", "mbo"):
        from fiducial.evaluation.studies import cfpg_variants, mbo_variants, parse_jitter

        arguments.prompter = "truth"
        make = cfpg_variants if arguments.study == "cfpg" else mbo_variants
        return make(read_job(arguments), parse_jitter(chosen), arguments.seed)
    return grid_variants(read_job(arguments), chosen or GRIDS)


def _recipes(arguments: argparse.Namespace, chosen: Sequence[str]) -> list[Variant]:
    """Name each variant by its recipe, and by what was written where two recipes have one name."""
    from fiducial.evaluation.studies import Variant

    jobs = [read_job(arguments, recipe=name) for name in chosen]
    names = [job.recipe.name for job in jobs]
    return [
        Variant(written if names.count(name) > 1 else name, job)
        for written, name, job in zip(chosen, names, jobs, strict=True)
    ]


def _told(arguments: argparse.Namespace, command: list[str]) -> StudyTable:
    """Tell accuracy by size or by family, of a run that is there or of one that is made now."""
    from fiducial.evaluation.breakdowns import family_table, size_table
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.report import write_reports
    from fiducial.evaluation.run import CARD, read_run
    from fiducial.evaluation.running import evaluate

    tell = {"size": size_table, "families": family_table}[arguments.study]
    if (Path(arguments.dataset) / CARD).is_file():
        return tell(read_run(arguments.dataset), arguments.out)
    with Progress(f"study {arguments.study}", quiet=arguments.json) as progress:
        done = evaluate(
            read_job(arguments),
            arguments.out / "run",
            selection=read_selection(arguments),
            workers=arguments.workers,
            retry_failed=arguments.retry_failed,
            command=command,
            on_record=progress,
        )
    write_reports(done, images=arguments.images)
    return tell(done, arguments.out)


def _parser() -> common.Parser:
    told = "; ".join(f"{name}: {what}" for name, what in STUDIES.items())
    parser = common.Parser("study", f"Vary one thing, keep the rest. {told}.")
    parser.add_argument("study", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument(
        "dataset", metavar="DATASET", help="as for evaluate; for size and families also the folder of a run"
    )
    add_work(parser)
    parser.add_argument(
        "--values",
        metavar="V;V",
        help="what to vary, by semicolons: grids (grid?columns=3&rows=3;grid?opacity=0.5), prompts "
        "(truth;truth?points=1), recipes",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object and nothing else")
    return parser
