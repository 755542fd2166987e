"""``fiducial score``: score predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fiducial.cli import common
from fiducial.cli.evaluate import DEFAULT_POLICY


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
    parser.add_argument("--scores", type=Path, metavar="FILE", help="write the score of each sample, as JSON Lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    arguments = parser.read(words)
    from fiducial.evaluation.report.wording import COUNTS, label, number
    from fiducial.evaluation.scoring import score_predictions

    scores = score_predictions(
        arguments.predictions, arguments.truth, arguments.policy, boundaries=arguments.boundaries
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
            print(f"  {label(name, scores.policy)[0]:<16}{number(value):>8}")
    print("  predictions: " + ", ".join(f"{count} {name}" for name, count in report["outcomes"].items() if count))
    return 0
