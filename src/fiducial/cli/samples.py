"""``fiducial samples``: pictures to try things on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.synthetic.samples import SAMPLES, write_samples


@dataclass(frozen=True, kw_only=True)
class Samples(Config):
    """Write pictures to try things on: drawn scenes, and photographs that come with scikit-image."""

    folder: Path = option(Path(), "where to; files that are there are left as they are", positional=True)
    json: bool = option(False, "print one JSON object per picture")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Samples, "samples", words)
    written = set(write_samples(options.folder))
    for sample in SAMPLES:
        path = options.folder / sample.name
        if options.json:
            facts = {"path": str(path), "written": path in written, "instruction": sample.instruction}
            common.print_json(facts)
            continue
        there = "" if path in written else "  # was there already, and was left as it is"
        print(f"fiducial segment {shlex.quote(str(path))} {shlex.quote(sample.instruction)}{there}")
    return 0
