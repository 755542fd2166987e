"""``fiducial merge``: put the shards of a run together, or count a run by another policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fiducial.cli import common
from fiducial.cli.evaluate import report


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    from fiducial.evaluation.report import write_reports
    from fiducial.evaluation.running import merge

    merged = merge(arguments.runs, arguments.out, policy_name=arguments.policy, partial=arguments.partial)
    summary, written = write_reports(merged, images=arguments.images)
    return report(summary, written, as_json=arguments.json)


def _parser() -> common.Parser:
    parser = common.Parser("merge", "Merge the shards of a run; with --policy count its samples anew, asking no model.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of fiducial evaluate")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the merged run")
    parser.add_argument("--policy", metavar="P", help="count by another policy than the runs did")
    parser.add_argument("--partial", action="store_true", help="allow that samples of the whole are missing")
    parser.add_argument("--no-images", dest="images", action="store_false", help="no pictures in the report")
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object and nothing else")
    return parser
