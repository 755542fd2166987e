"""``fiducial compare``: runs side by side, with paired intervals and published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.config import Config, option


@dataclass(frozen=True, kw_only=True)
class Compare(Config):
    """Put runs side by side; the first is what the others are held against."""

    runs: tuple[Path, ...] = option(help="folders of fiducial evaluate", positional=True)
    policy: str | None = option(None, "count all runs anew by this policy, asking no model", unit="P")
    common: bool = option(False, "use the samples that all runs have")
    published: str | None = option(
        None, "show the published figures of this dataset (default: of the runs' own)", unit="NAME"
    )
    seed: int = option(0, "of the bootstrap", unit="N")
    out: Path | None = option(None, "write compare.json, .md, .html and plots as SVG", unit="DIR")
    json: bool = option(False, "print one JSON object and nothing else")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Compare, "compare", words)
    from fiducial.evaluation.comparison import compare, require_published
    from fiducial.evaluation.report import NOTE, comparison_table, published_table, write_comparison
    from fiducial.evaluation.report.text import text_table

    tables = None if options.published is None else require_published(options.published)
    comparison = compare(
        options.runs, policy_name=options.policy, common=options.common, tables=tables, seed=options.seed
    )
    written = write_comparison(options.out, comparison) if options.out is not None else ()
    if options.json:
        common.print_json(comparison.as_json())
        return 0
    print(f"{comparison.summaries[0].report['n']} samples that all runs share, policy {comparison.policy.name}")
    numbers = comparison_table(comparison)
    print(text_table(numbers.header, numbers.rows))
    print(NOTE)
    for table in comparison.published:
        print(f"\npublished on {table.dataset} {table.split} (policy {table.policy or 'of its own'}; {table.source})")
        _, shown = published_table(table)
        print(text_table(shown.header, shown.rows))
    print("\n".join(f"  wrote {path}" for path in written), end="\n" if written else "")
    return 0
