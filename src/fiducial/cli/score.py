"""``fiducial score``: score predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.cli import common
from fiducial.config import Config, option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.metrics.prscore import PRScore


@dataclass(frozen=True, kw_only=True)
class Score(Config):
    """Score predictions against the truth.

    Both are COCO JSON (run-length codes or polygons; several per image are united, per instruction_id where they have
    one), or folders of mask PNGs with the same names. With --prscore the words beside the masks are scored as well.
    """

    predictions: Path = option(help="COCO JSON or a folder of masks", positional=True)
    truth: Path = option(help="COCO JSON or a folder of masks; decides which samples there are", positional=True)
    policy: str = option("fiducial", "how to count", unit="P")
    boundaries: bool = option(False, "also measure boundary F-score and Hausdorff 95")
    spacing: tuple[float, float] | None = option(
        None, "height and width of a pixel in mm, for Hausdorff 95 (default: in pixels)", unit="H,W", above=0
    )
    prscore: bool = option(False, "also score texts, by PRScore: needs --texts and --references")
    texts: Path | None = option(
        None, "the answers' texts: JSON Lines with id (or image) and text, such as a run's records", unit="FILE"
    )
    references: Path | None = option(None, "the true texts: JSON Lines with id (or image) and answer", unit="FILE")
    text2centroid: str = option(
        "rules",
        "what reads places out of texts: rules, rules:radiological for the patient's sides, text2centroid for the "
        "package's learned head, or the file of another one; beside a head reading by rule stands too",
        unit="READER",
    )
    encoder: str = option("minilm", "sentence encoder: minilm (the extra sentences), or a folder of one", unit="MODEL")
    scores: Path | None = option(None, "write the score of each sample, as JSON Lines", unit="FILE")
    json: bool = option(False, "print one JSON object and nothing else")

    def check(self) -> None:
        """Refuse a spacing that nothing is measured in, and texts that nothing is scored by."""
        if self.spacing is not None and not self.boundaries:
            raise InputError("--spacing is for Hausdorff 95: add --boundaries")
        given = self.texts is not None and self.references is not None
        if self.prscore and not given:
            raise InputError("--prscore compares texts: give --texts FILE and --references FILE")
        if not self.prscore and (self.texts or self.references):
            raise InputError("--texts and --references are for PRScore: add --prscore")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Score, "score", words)
    from fiducial.evaluation.progress import Progress
    from fiducial.evaluation.report.text import COUNTS, label, number
    from fiducial.evaluation.scoring import score_predictions

    with Progress("score", quiet=options.json, brief=True) as progress:
        scores = score_predictions(
            options.predictions,
            options.truth,
            options.policy,
            boundaries=options.boundaries,
            spacing=options.spacing or (1.0, 1.0),
            on_sample=progress.count,
        )
    if options.prscore:
        scores = replace(scores, prscores=_prscores(options))
    if options.scores is not None:
        scores.write(options.scores)
    report = scores.as_json()
    if options.json:
        common.print_json(report)
        return 0
    print(f"{report['n']} samples, policy {scores.policy.name}: {scores.policy.summary}")
    for name, value in report.items():
        if name not in (*COUNTS, "policy", "prscore", "outcomes") and value is not None:
            print(f"  {label(name, scores.policy, 'mm' if options.spacing else 'px')[0]:<20}{number(value):>8}")
    print("  predictions: " + ", ".join(f"{count} {name}" for name, count in report["outcomes"].items() if count))
    if options.prscore:
        _print_prscore(report["prscore"], number)
    return 0


def _prscores(options: Score) -> dict[str, PRScore]:
    from fiducial.evaluation.words import score_texts
    from fiducial.reasoner.sentences import SentenceEncoder
    from fiducial.reasoner.text2centroid import RuleText2Centroid, open_reader

    assert options.texts is not None  # see Score.check
    assert options.references is not None
    encoder = SentenceEncoder(options.encoder)
    reader = open_reader(options.text2centroid, encoder)
    return score_texts(
        options.predictions,
        options.truth,
        options.texts,
        options.references,
        embedder=encoder,
        reader=reader,
        rules=reader if isinstance(reader, RuleText2Centroid) else RuleText2Centroid(),
    )


def _print_prscore(found: dict[str, Any], number: Any) -> None:
    print(f"words of {found['n'] - found['n_no_target']} samples with a target:")
    print(f"  {'S_sem':<20}{number(found['semantic']):>8}")
    same = found["by_reader"]["reader"] == found["by_rule"]["reader"]
    for key in ("by_reader",) if same else ("by_reader", "by_rule"):
        one = found[key]
        print(f"  places read by {one['reader']}:")
        for name, title in (("spatial", "S_spatial"), ("visual", "S_vis"), ("total", "PRScore")):
            print(f"    {title:<18}{number(one[name]):>8}")
        print(f"    texts without a place: {one['n_unstated']} predicted, {one['n_unread']} of the references")
    print(
        f"  {'position accuracy':<20}{number(found['position_accuracy']):>8}  of {found['n_positions']}, read by rule"
    )
