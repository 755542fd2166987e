"""``fiducial compare``: runs side by side, with paired intervals and published figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fiducial.cli import common


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    from fiducial.evaluation.comparison import compare, require_published
    from fiducial.evaluation.report import NOTE, comparison_table, published_table, write_comparison
    from fiducial.evaluation.report.text import text_table

    tables = None if arguments.published is None else require_published(arguments.published)
    comparison = compare(
        arguments.runs, policy_name=arguments.policy, common=arguments.common, tables=tables, seed=arguments.seed
    )
    written = write_comparison(arguments.out, comparison) if arguments.out is not None else ()
    if arguments.json:
        common.print_json(comparison.as_json())
        return 0
    count = comparison.summaries[0].report["n"]
    print(f"{count} samples that all runs share, policy {comparison.policy.name}")
    numbers = comparison_table(comparison)
    print(text_table(numbers.header, numbers.rows))
    print(NOTE)
    for table in comparison.published:
        print(f"\npublished on {table.dataset} {table.split} (policy {table.policy or 'of its own'}; {table.source})")
        _, shown = published_table(table)
        print(text_table(shown.header, shown.rows))
    print("\n".join(f"  wrote {path}" for path in written), end="\n" if written else "")
    return 0


def _parser() -> common.Parser:
    parser = common.Parser("compare", "Put runs side by side; the first is what the others are held against.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of fiducial evaluate")
    parser.add_argument("--policy", metavar="P", help="count all runs anew by this policy, asking no model")
    parser.add_argument("--common", action="store_true", help="use the samples that all runs have")
    parser.add_argument(
        "--published", metavar="NAME", help="show the published figures of this dataset (default: of the runs' own)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write compare.json, .md, .html and plots as SVG")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser
