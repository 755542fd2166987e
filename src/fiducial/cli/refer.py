"""``fiducial refer``: referring expressions with exact truth, from instance annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fiducial.cli import common
from fiducial.datasets import describe_dataset
from fiducial.errors import InputError, UnknownNameError
from fiducial.results import make_folder
from fiducial.synthetic import FAMILIES, referring_expressions, write_expressions


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser("refer", "Make referring expressions with exact truth from instance annotations.")
    parser.add_argument("dataset", metavar="DATASET", help="a benchmark folder, FORMAT:PATH, or scenes:STYLE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSONL file to write")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws (default: 0)")
    parser.add_argument("--per-image", type=int, default=6, metavar="N", help="most expressions of one picture")
    parser.add_argument("--families", metavar="F,F", help=f"only these: {', '.join(FAMILIES)}")
    parser.add_argument("--split", metavar="S", help="part of the dataset (default: all)")
    arguments = parser.read(words)
    if arguments.per_image < 1:
        raise InputError(f"--per-image needs at least 1, got {arguments.per_image}")
    families = _families(arguments.families)
    source = describe_dataset(arguments.dataset, split=arguments.split)
    found = referring_expressions(source.build(), arguments.seed, per_image=arguments.per_image, families=families)
    make_folder(arguments.out.parent)
    write_expressions(arguments.out, found, source)
    for family, count in sorted(Counter(expression.family for expression in found).items()):
        print(f"  {family:<22}{count}")
    print(f"wrote {len(found)} expressions to {arguments.out}")
    print(f"evaluate on them: fiducial evaluate referring:{arguments.out} ...")
    return 0


def _families(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FAMILIES:
            raise UnknownNameError("family", name, FAMILIES)
    return names
