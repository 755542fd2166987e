"""``fiducial evaluate``: a recipe on a dataset, measured so that it can be stopped, cut up and trusted."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.evaluation import Job, Selection
    from fiducial.evaluation.run import Run
    from fiducial.evaluation.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Counting(Config):
    """Which samples are taken and how they are counted."""

    policy: str = option("fiducial", "how to count", unit="P")
    split: str | None = option(None, "part of the dataset, such as test (default: all)", unit="S")
    limit: int | None = option(None, "so many samples, drawn by the seed (default: all)", unit="N", minimum=1)
    seed: int = option(0, "of all draws", unit="N")
    boundaries: bool = option(False, "also measure boundary F-score and Hausdorff 95")
    workers: int = option(1, "processes, each with its own models", unit="N", minimum=1)
    images: bool = option(True, "no pictures in the report")
    retry_failed: bool = option(False, "ask again where a model gave no answer")


@dataclass(frozen=True, kw_only=True)
class Measuring(common.Choosing, Counting):
    """A recipe on a dataset."""

    dataset: str = option(help="a folder, FORMAT:PATH?key=value, scenes:aerial?count=50, a YAML file", positional=True)
    out: Path = option(help="folder of the run", unit="DIR")
    json: bool = option(False, "print the numbers as one JSON object and nothing else")

    def job(self, recipe: str | None = None, prompter: str | None = None) -> Job:
        """Say what is measured; ``recipe`` and ``prompter`` stand in place of the options of these names."""
        from fiducial.datasets import describe_dataset
        from fiducial.evaluation import Job, parse_source

        source = parse_source(prompter or self.prompter, self.seed)
        if source is not None:  # --set prompter.points=1 means what answers in the prompter's place
            given = {key: value for key, value in common.read_settings(self.set).items() if key.startswith("prompter.")}
            source = source.with_settings({key.partition(".")[2]: value for key, value in given.items()})
        return Job(
            dataset=describe_dataset(self.dataset, split=self.split),
            recipe=self.resolved(recipe, prompter=source is None),
            source=source,
            policy=self.policy,
            boundaries=self.boundaries,
        )

    def measure(self, job: Job, out: Path, selection: Selection, command: Sequence[str]) -> Run:
        """Evaluate a job into a folder, showing progress."""
        from fiducial.evaluation.progress import Progress
        from fiducial.evaluation.running import evaluate

        with Progress(job.recipe.name, quiet=self.json) as progress:
            return evaluate(
                job,
                out,
                selection=selection,
                workers=self.workers,
                retry_failed=self.retry_failed,
                command=list(command),
                on_record=progress,
            )


@dataclass(frozen=True, kw_only=True)
class Evaluate(Measuring):
    """Measure a recipe on a dataset. Killed at any moment, the same command goes on."""

    shard: str = option("1/1", "only part I of N, to be merged later", unit="I/N")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Evaluate, "evaluate", words)
    from fiducial.evaluation import Selection
    from fiducial.evaluation.report import write_reports

    part = re.fullmatch(r"(\d{1,6})/(\d{1,6})", options.shard.strip())
    if not part:
        raise InputError(f"--shard is written as 2/4, the second of four parts, got {options.shard!r}")
    selection = Selection(limit=options.limit, shard=(int(part[1]), int(part[2])), seed=options.seed)
    job = options.job()
    try:
        done = options.measure(job, options.out, selection, ["fiducial", "evaluate", *words])
    except KeyboardInterrupt:
        print(f"{options.out}: what was measured is kept; the same command goes on from there", file=sys.stderr)
        raise
    summary, written = write_reports(done, job.dataset.build(), images=options.images)
    return report(summary, written, as_json=options.json)


def report(summary: Summary, written: Sequence[Path], *, as_json: bool) -> int:
    """Print the numbers of a run; returns the exit status, 1 when a model failed on a sample."""
    if as_json:
        common.print_json(summary.as_json())
    else:
        print(_describe(summary))
        print("\n".join(f"  wrote {path}" for path in written))
    if failed := summary.outcomes["failed"]:
        print(f"fiducial: {failed} samples got no answer: ask them again with --retry-failed", file=sys.stderr)
    return 1 if failed else 0


def _describe(summary: Summary) -> str:
    from fiducial.evaluation.report.text import COUNTS, label, number

    lines = [f"{summary.report['n']} samples, policy {summary.policy.name}"]
    for name, value in summary.report.items():
        if value is not None and name not in COUNTS:
            low, high = summary.intervals[name]
            lines.append(f"  {label(name, summary.policy)[0]:<16}{number(value):>8}  ({low:.3f} to {high:.3f})")
    counted = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items() if count)
    return "\n".join([*lines, f"  answers: {counted}"])
