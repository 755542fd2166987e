"""``fiducial samples``: pictures to try things on."""

from __future__ import annotations

import shlex
import sys
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
    lost = [sample.name for sample in SAMPLES if not (options.folder / sample.name).exists()]
    for sample in SAMPLES:
        path = options.folder / sample.name
        if sample.name in lost:
            continue
        if options.json:
            facts = {"path": str(path), "written": path in written, "instruction": sample.instruction}
            common.print_json(facts)
            continue
        there = "" if path in written else "  # was there already, and was left as it is"
        print(f"fiducial segment {shlex.quote(str(path))} {shlex.quote(sample.instruction)}{there}")
    if lost:
        said = f"{', '.join(lost)} come with scikit-image: pip install 'fiducial[samples]', then run this again"
        print(f"fiducial: {said}", file=sys.stderr)
    return 0
