"""``fiducial batch``: a manifest of any length through a recipe; nothing that happens loses or doubles a row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial.cli import common, terminal
from fiducial.config import fields_of, option
from fiducial.jobs.configs import BatchOptions

if TYPE_CHECKING:
    from fiducial.jobs import Batch


@dataclass(frozen=True, kw_only=True)
class BatchCommand(common.Choosing, BatchOptions):
    """Segment every row of a manifest, or every picture of a folder. Killed at any moment, the same command goes on."""

    manifest: Path = option(
        help="a .csv, .jsonl or .parquet file with columns image and instruction, or a folder of pictures",
        positional=True,
    )
    instruction: str = option("", "what to segment, for rows that have no instruction of their own", positional=True)
    out: Path = option(help="folder of the batch", unit="DIR")
    json: bool = option(False, "print the counts as one JSON object and nothing else")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status, 1 where rows are dead."""
    options = common.parse(BatchCommand, "batch", words)
    from fiducial import jobs
    from fiducial.evaluation.progress import Progress
    from fiducial.jobs.working import DEAD
    from fiducial.language import Outcome

    recipe = options.resolved()
    asked = BatchOptions(**{field.name: getattr(options, field.name) for field, _ in fields_of(BatchOptions)})
    with Progress(recipe.name, quiet=options.json) as progress:

        def note(outcome: str, done: int, planned: int) -> None:
            progress(Outcome.FAILED if outcome == DEAD else Outcome(outcome), done, planned)

        try:
            batch = jobs.run(
                options.manifest,
                options.out,
                options.instruction,
                recipe=recipe,
                options=asked,
                command=["fiducial", "batch", *words],
                on_row=note,
            )
        except KeyboardInterrupt:
            print(f"{options.out}: what is done is kept; the same command goes on from there", file=sys.stderr)
            raise
    for line in batch.notes:
        terminal.say(f"fiducial: {line}")
    if options.json:
        common.print_json(batch.as_json())
    else:
        print(_describe(batch, coco=options.coco))
    return 1 if batch.dead else 0


def _describe(batch: Batch, *, coco: bool) -> str:
    from fiducial.jobs.shards import RESULTS
    from fiducial.results.joint import JOINT_NAME

    counted = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in batch.outcomes.items())
    now = "" if batch.new == batch.rows else f" ({batch.new:,} of them now)"
    files = batch.results
    lines = [f"{batch.rows:,} rows: {counted}{now}; {batch.targets:,} targets"]
    lines.append(f"  wrote {len(files)} file{'s' * (len(files) != 1)} in {batch.folder / RESULTS}")
    if coco:
        lines.append(f"  wrote {batch.folder / JOINT_NAME}")
    if batch.dead:
        lines.append(f"  wrote {batch.dead_letters}: the rows of which nothing came, with the reasons")
    return "\n".join(lines)
