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
    from fiducial.evaluation.studies import Table, Variant

STUDIES = {
    "grid": "size, opacity and colour of the grid that the prompter sees",
    "prompts": "box, points, both, jitter: how good is the segmenter, given how good a prompt",
    "size": "accuracy against the size of the target",
    "recipes": "several recipes on one dataset",
}


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    if arguments.study not in STUDIES:
        raise UnknownNameError("study", arguments.study, STUDIES)
    from fiducial.evaluation.report.wording import text_table

    command = ["fiducial", "study", *words]
    table = _size(arguments, command) if arguments.study == "size" else _varied(arguments, command)
    if arguments.json:
        common.print_json(table.values)
    else:
        print(f"{table.title}\n{text_table(table.header, table.rows)}")
        print("\n".join(f"  wrote {path}" for path in table.files))
    return 0


def _varied(arguments: argparse.Namespace, command: list[str]) -> Table:
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
    from fiducial.evaluation.studies import PROMPTS, Variant, grid_variants, prompt_variants

    chosen = [value.strip() for value in (arguments.values or "").split(";") if value.strip()]
    if arguments.study == "recipes":
        if len(chosen) < 2:
            raise InputError("study recipes: name at least two, as --values 'classic;sjtu'")
        return [Variant(name, read_job(arguments, recipe=name)) for name in chosen]
    if arguments.study == "prompts":
        arguments.prompter = "truth"  # no prompter is loaded: every variant brings its own source
        return prompt_variants(read_job(arguments), chosen or PROMPTS, arguments.seed)
    job = read_job(arguments)
    return grid_variants(job, sizes=chosen, opacities=()) if chosen else grid_variants(job)


def _size(arguments: argparse.Namespace, command: list[str]) -> Table:
    """Tell accuracy by size, of a run that is there or of one that is made now."""
    from fiducial.evaluation.finishing import finish
    from fiducial.evaluation.folder import CARD, read_run
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.running import evaluate
    from fiducial.evaluation.studies import size_table

    if (Path(arguments.dataset) / CARD).is_file():
        return size_table(read_run(arguments.dataset), arguments.out)
    with Progress("study size", quiet=arguments.json) as progress:
        done = evaluate(
            read_job(arguments),
            arguments.out / "run",
            selection=read_selection(arguments),
            workers=arguments.workers,
            retry_failed=arguments.retry_failed,
            command=command,
            on_record=progress,
        )
    finish(done, images=arguments.images)
    return size_table(done, arguments.out)


def _parser() -> common.Parser:
    told = "; ".join(f"{name}: {what}" for name, what in STUDIES.items())
    parser = common.Parser("study", f"Vary one thing, keep the rest. {told}.")
    parser.add_argument("study", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("dataset", metavar="DATASET", help="as for evaluate; for size also the folder of a run")
    add_work(parser)
    parser.add_argument(
        "--values",
        metavar="V;V",
        help="what to vary, apart by semicolons: grid sizes (3;9;20), prompts (truth:box;truth:points=1), recipes",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument("--json", action="store_true", help="print the table as one JSON object and nothing else")
    return parser
