"""``fiducial score``: score predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fiducial.cli import common
from fiducial.cli.evaluate import DEFAULT_POLICY
from fiducial.errors import InputError


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser(
        "score",
        "Score predictions against the truth: both COCO JSON (run-length codes or polygons; several per image are "
        "united, per instruction_id where they have one), or folders of mask PNGs with the same names.",
    )
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="COCO JSON or a folder of masks")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="likewise; decides which samples there are")
    parser.add_argument(
        "--policy", default=DEFAULT_POLICY, metavar="P", help=f"how to count (default: {DEFAULT_POLICY})"
    )
    parser.add_argument("--boundaries", action="store_true", help="also measure boundary F-score and Hausdorff 95")
    parser.add_argument(
        "--spacing", metavar="H,W", help="height and width of a pixel in mm, for Hausdorff 95 (default: in pixels)"
    )
    parser.add_argument("--scores", type=Path, metavar="FILE", help="write the score of each sample, as JSON Lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.read(words)
    from fiducial.evaluation.report.text import COUNTS, label, number
    from fiducial.evaluation.scoring import score_predictions

    spacing = _spacing(arguments.spacing)
    if spacing is not None and not arguments.boundaries:
        raise InputError("--spacing is for Hausdorff 95: add --boundaries")
    scores = score_predictions(
        arguments.predictions,
        arguments.truth,
        arguments.policy,
        boundaries=arguments.boundaries,
        spacing=spacing or (1.0, 1.0),
    )
    if arguments.scores is not None:
        scores.write(arguments.scores)
    report = scores.as_json()
    if arguments.json:
        common.print_json(report)
        return 0
    print(f"{report['n']} samples, policy {scores.policy.name}: {scores.policy.summary}")
    for name, value in report.items():
        if name not in (*COUNTS, "policy", "outcomes") and value is not None:
            print(f"  {label(name, scores.policy, 'px' if spacing is None else 'mm')[0]:<20}{number(value):>8}")
    print("  predictions: " + ", ".join(f"{count} {name}" for name, count in report["outcomes"].items() if count))
    return 0


def _spacing(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        height, width = (float(side) for side in text.split(","))
    except ValueError:
        raise InputError(f"--spacing is written as 0.5,0.5 (height, width of a pixel in mm), got {text!r}") from None
    return height, width
