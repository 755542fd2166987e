"""``fiducial evaluate``: a recipe on a dataset, measured so that it can be stopped, cut up and trusted."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.cli import common
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.evaluation import Job, Selection
    from fiducial.evaluation.summary import Summary

DEFAULT_POLICY = "fiducial"


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    selection, job = read_selection(arguments), read_job(arguments)
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.report import write_reports
    from fiducial.evaluation.running import evaluate

    try:
        with Progress(job.recipe.name, quiet=arguments.json) as progress:
            done = evaluate(
                job,
                arguments.out,
                selection=selection,
                workers=arguments.workers,
                retry_failed=arguments.retry_failed,
                command=["fiducial", "evaluate", *words],
                on_record=progress,
            )
    except KeyboardInterrupt:
        print(f"{arguments.out}: what was measured is kept; the same command goes on from there", file=sys.stderr)
        raise
    summary, written = write_reports(done, job.dataset.build(), images=arguments.images)
    return report(summary, written, as_json=arguments.json)


def report(summary: Summary, written: Sequence[Path], *, as_json: bool) -> int:
    """Print the numbers of a run; returns the exit status, 1 when a model failed on a sample."""
    if as_json:
        common.print_json(summary.as_json())
    else:
        print(describe_summary(summary))
        print("\n".join(f"  wrote {path}" for path in written))
    if failed := summary.outcomes["failed"]:
        print(f"fiducial: {failed} samples got no answer: ask them again with --retry-failed", file=sys.stderr)
    return 1 if failed else 0


def describe_summary(summary: Summary) -> str:
    """Say the numbers in a few lines, for people."""
    from fiducial.evaluation.report.text import COUNTS, label, number

    lines = [f"{summary.report['n']} samples, policy {summary.policy.name}"]
    for name, value in summary.report.items():
        if value is not None and name not in COUNTS:
            low, high = summary.intervals[name]
            lines.append(f"  {label(name, summary.policy)[0]:<16}{number(value):>8}  ({low:.3f} to {high:.3f})")
    told = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items() if count)
    return "\n".join([*lines, f"  answers: {told}"])


def add_work(parser: common.Parser) -> None:
    """Add the options that say what is measured and how."""
    from fiducial.recipes import DEFAULT_RECIPE

    parser.add_argument("--recipe", default=DEFAULT_RECIPE, metavar="R", help="a recipe's name or YAML file")
    parser.add_argument(
        "--prompter",
        metavar="P",
        help="instead of the recipe's: NAME[:MODEL]; truth[?points=2&negatives=1&jitter=0.1&box=false] for prompts "
        "of the truth; blind[?box=x1,y1,x2,y2] for one box for all, as parts of the picture",
    )
    parser.add_argument("--segmenter", metavar="NAME[:MODEL]", help="instead of the recipe's")
    parser.add_argument("--grid", metavar="N", help="grid drawn for the prompter: N or NxM cells, 0 for none")
    add_counting(parser)
    common.add_running(parser)


def add_counting(parser: common.Parser) -> None:
    """Add the options that say which samples are taken and how they are counted."""
    parser.add_argument(
        "--policy", default=DEFAULT_POLICY, metavar="P", help=f"how to count (default: {DEFAULT_POLICY})"
    )
    parser.add_argument("--split", metavar="S", help="part of the dataset, such as test (default: all)")
    parser.add_argument("--limit", type=int, metavar="N", help="N samples drawn by the seed (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws (default: 0)")
    parser.add_argument("--boundaries", action="store_true", help="also measure boundary F-score and Hausdorff 95")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes, each with its own models")
    parser.add_argument("--no-images", dest="images", action="store_false", help="no pictures in the report")
    parser.add_argument("--retry-failed", action="store_true", help="ask again where a model gave no answer")


def read_job(arguments: argparse.Namespace, recipe: str | None = None) -> Job:
    """Turn options into a job; ``recipe`` stands in place of ``--recipe``."""
    from fiducial.datasets import describe_dataset
    from fiducial.evaluation import Job, parse_source
    from fiducial.metrics import policy
    from fiducial.recipes.loading import resolve

    source = parse_source(arguments.prompter, arguments.seed)
    prompter = None if source is not None else arguments.prompter
    resolved = resolve(
        recipe or arguments.recipe, prompter=prompter, segmenter=arguments.segmenter, grid=arguments.grid
    )
    kinds = ["segmenter"] if source is not None else ["prompter", "segmenter"]
    learned = [kind for kind in kinds if getattr(resolved, kind).part.takes_device]
    return Job(
        dataset=describe_dataset(arguments.dataset, split=arguments.split),
        recipe=resolved.with_options(common.read_settings(arguments, learned)),
        source=source,
        policy=policy(arguments.policy).name,
        boundaries=arguments.boundaries,
    )


def read_selection(arguments: argparse.Namespace) -> Selection:
    """Turn --limit, --shard and --seed into a selection."""
    from fiducial.evaluation import Selection

    text = getattr(arguments, "shard", None) or "1/1"
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if not match:
        raise InputError(f"--shard is written as 2/4, the second of four parts, got {text!r}")
    return Selection(limit=arguments.limit, shard=(int(match[1]), int(match[2])), seed=arguments.seed)


def _parser() -> common.Parser:
    parser = common.Parser("evaluate", "Measure a recipe on a dataset. Killed at any moment, the same command goes on.")
    parser.add_argument("dataset", metavar="DATASET", help="a benchmark folder, FORMAT:PATH, or scenes:aerial?count=50")
    add_work(parser)
    parser.add_argument("--shard", metavar="I/N", help="only part I of N, to be merged later")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object and nothing else")
    return parser
