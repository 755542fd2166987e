"""``fiducial merge``: put the shards of a run together, or count a run by another policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.cli.evaluate import report
from fiducial.config import Config, option


@dataclass(frozen=True, kw_only=True)
class Merge(Config):
    """Merge the shards of a run; with --policy count its samples anew, asking no model."""

    runs: tuple[Path, ...] = option(help="folders of fiducial evaluate", positional=True)
    out: Path = option(help="folder of the merged run", unit="DIR")
    policy: str | None = option(None, "count by another policy than the runs did", unit="P")
    partial: bool = option(False, "allow that samples of the whole are missing")
    images: bool = option(True, "no pictures in the report")
    json: bool = option(False, "print the numbers as one JSON object and nothing else")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Merge, "merge", words)
    from fiducial.evaluation.report import write_reports
    from fiducial.evaluation.running import merge

    merged = merge(options.runs, options.out, policy_name=options.policy, partial=options.partial)
    summary, written = write_reports(merged, images=options.images)
    return report(summary, written, as_json=options.json)
