"""``fiducial refer``: referring expressions with exact truth, from instance annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.datasets import describe_dataset
from fiducial.errors import UnknownNameError
from fiducial.files import make_folder
from fiducial.synthetic.expressions import FAMILIES
from fiducial.synthetic.referring import referring_expressions, write_expressions


@dataclass(frozen=True, kw_only=True)
class Refer(Config):
    """Make referring expressions with exact truth from instance annotations."""

    dataset: str = option(help="a folder, FORMAT:PATH?key=value, scenes:STYLE or a YAML file", positional=True)
    out: Path = option(help="the JSONL file to write", unit="FILE")
    seed: int = option(0, "of all draws", unit="N")
    per_image: int = option(6, "most expressions of one picture", unit="N", minimum=1)
    families: tuple[str, ...] = option((), f"only these: {', '.join(FAMILIES)}", unit="F,F")
    split: str | None = option(None, "part of the dataset (default: all)", unit="S")

    def check(self) -> None:
        """Refuse families that do not exist."""
        for name in self.families:
            if name not in FAMILIES:
                raise UnknownNameError("family", name, FAMILIES)


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Refer, "refer", words)
    source = describe_dataset(options.dataset, split=options.split)
    families = options.families or None
    found = referring_expressions(source.build(), options.seed, per_image=options.per_image, families=families)
    make_folder(options.out.parent)
    write_expressions(options.out, found, source)
    for family, count in sorted(Counter(expression.family for expression in found).items()):
        print(f"  {family:<22}{count}")
    print(f"wrote {len(found)} expressions to {options.out}")
    print(f"evaluate on them: fiducial evaluate referring:{options.out} ...")
    return 0
