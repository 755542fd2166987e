"""``fiducial score``: score predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Score(Config):
    """Score predictions against the truth.

    Both are COCO JSON (run-length codes or polygons; several per image are united, per instruction_id where they have
    one), or folders of mask PNGs with the same names.
    """

    predictions: Path = option(help="COCO JSON or a folder of masks", positional=True)
    truth: Path = option(help="COCO JSON or a folder of masks; decides which samples there are", positional=True)
    policy: str = option("fiducial", "how to count", unit="P")
    boundaries: bool = option(False, "also measure boundary F-score and Hausdorff 95")
    spacing: tuple[float, float] | None = option(
        None, "height and width of a pixel in mm, for Hausdorff 95 (default: in pixels)", unit="H,W", above=0
    )
    scores: Path | None = option(None, "write the score of each sample, as JSON Lines", unit="FILE")
    json: bool = option(False, "print one JSON object and nothing else")

    def check(self) -> None:
        """Refuse a spacing that nothing is measured in."""
        if self.spacing is not None and not self.boundaries:
            raise InputError("--spacing is for Hausdorff 95: add --boundaries")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Score, "score", words)
    from fiducial.evaluation.report.text import COUNTS, label, number
    from fiducial.evaluation.scoring import score_predictions

    scores = score_predictions(
        options.predictions,
        options.truth,
        options.policy,
        boundaries=options.boundaries,
        spacing=options.spacing or (1.0, 1.0),
    )
    if options.scores is not None:
        scores.write(options.scores)
    report = scores.as_json()
    if options.json:
        common.print_json(report)
        return 0
    print(f"{report['n']} samples, policy {scores.policy.name}: {scores.policy.summary}")
    for name, value in report.items():
        if name not in (*COUNTS, "policy", "outcomes") and value is not None:
            print(f"  {label(name, scores.policy, 'mm' if options.spacing else 'px')[0]:<20}{number(value):>8}")
    print("  predictions: " + ", ".join(f"{count} {name}" for name, count in report["outcomes"].items() if count))
    return 0
