"""Score a joint model of CG-Reasoner on what its training held out, by kind of picture, as Markdown; with controls.

    python examples/score_reasoner.py RUN --data DATA                        # pictures and questions, as they are
    python examples/score_reasoner.py RUN --data DATA --control words        # grey pictures: what the words alone give
    python examples/score_reasoner.py RUN --data DATA --control picture      # one question for all
    python examples/score_reasoner.py RUN --data DATA --control constant     # no model: the usual answer

Dice and IoU are means over pictures, 1 where nothing is there and nothing is marked. PRScore is over pictures with a
target, its places read by rule and, in brackets, by a learned head. Intervals are 95 % bootstrap over pictures, seed 0.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.config import read
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.language.answers import Outcome
from fiducial.metrics.consistency import Verdict, check_consistency
from fiducial.metrics.prscore import PRCase, pr_scores
from fiducial.reasoner.model_configs import CGReasonerConfig
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.reasoner.text2centroid import RuleText2Centroid, open_reader
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig
from fiducial.training.cg_reasoner_data import (
    ExampleDrawer,
    ReasonerExample,
    ReasonerPortion,
    held_out_examples,
    read_portions,
)

GRID = 160
ANYTHING = "Where is it in this picture?"
Said = tuple[str, Mask | None, bool]
"""A text, a mask, and whether the answer is that nothing is there."""


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder of fiducial train cg-reasoner")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--control", choices=("none", "words", "picture", "constant"), default="none")
    parser.add_argument("--model", default="", help="another model than RUN/model")
    parser.add_argument("--limit", type=int, default=10_000, help="most pictures of a source")
    parser.add_argument("--phrasing", choices=("training", "held_out"), default=None, help="of the questions")
    parser.add_argument("--head", default="", help="a head of Text2Centroid, for the places of PRScore in brackets")
    parser.add_argument("--presence", type=float, default=None, help="likelihood below which nothing is there")
    parser.add_argument("--pictures", type=Path, default=None, help="write every answer as a picture here")
    parser.add_argument("--json", type=Path, default=None, help="write a row for each answer here")
    arguments = parser.parse_args()
    told = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))["config"]
    told["eval_limit"] = arguments.limit
    if arguments.phrasing:
        told["eval_phrasing"] = arguments.phrasing
    told.pop("name")
    config = read(CGReasonerRunConfig, told, str(arguments.run))
    portions = read_portions(config, arguments.data)
    held_out = held_out_examples(config, portions)
    if arguments.control == "constant":
        said = {one.source.title: constant(config, one, held_out[one.source.title]) for one in portions}
    else:
        options = {} if arguments.presence is None else {"presence": arguments.presence}
        prompter = CGReasonerConfig(model=arguments.model or str(arguments.run / "model"), **options).build()
        said = {title: answered(prompter, some, arguments.control) for title, some in held_out.items()}
    rows = [row for title, some in held_out.items() for row in scored(title, some, said[title], arguments.head)]
    tables(rows)
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if arguments.pictures:
        for title, some in held_out.items():
            draw(arguments.pictures, title, some, said[title])


def answered(prompter: Any, examples: Sequence[ReasonerExample], control: str) -> list[Said]:
    """Ask the model, or half of it."""
    images = [grey(one.image) if control == "words" else one.image for one in examples]
    questions = [ANYTHING if control == "picture" else one.question for one in examples]
    answers = prompter.ask(images, questions)
    return [(one.raw, one.masks[0] if one.masks else None, one.outcome is Outcome.NO_TARGET) for one in answers]


def grey(image: Image) -> Image:
    """Return a picture of one grey, of the same size."""
    return Image(np.full_like(image.pixels, 128), image.name)


def constant(config: CGReasonerRunConfig, portion: ReasonerPortion, examples: Sequence[ReasonerExample]) -> list[Said]:
    """Answer with the commonest sentence of each question, and the cells that are covered in half of the masks."""
    drawer = ExampleDrawer(config)
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((GRID, GRID)))
    counts: Counter[str] = Counter()
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    for index in portion.training:
        one = drawer.held_out(portion, index)
        what = subject_in(one)
        texts[what][one.answer] += 1
        if one.truth:
            sums[what] += one.target(GRID)
            counts[what] += 1
    found: list[Said] = []
    for one in examples:
        what = subject_in(one)
        covered = sums[what] / max(1, counts[what])
        high = covered > min(0.5, 0.9 * covered.max())
        rows = np.arange(one.truth.height) * GRID // one.truth.height
        columns = np.arange(one.truth.width) * GRID // one.truth.width
        found.append((texts[what].most_common(1)[0][0], Mask.from_dense(high[np.ix_(rows, columns)]), False))
    return found


def subject_in(example: ReasonerExample) -> str:
    """Return what a question of the chest asks for; elsewhere a source has one target."""
    return next((word for word in ("left lung", "right lung", "lungs", "heart") if word in example.question), "")


def scored(title: str, examples: Sequence[ReasonerExample], said: Sequence[Said], head: str) -> list[dict[str, Any]]:
    """Return a row of measures for each answer."""
    encoder, rules = SentenceEncoder("minilm"), RuleText2Centroid()
    reader = open_reader(head) if head else rules
    cases = [
        PRCase(text, one.answer, mask, bool(one.truth)) for one, (text, mask, _) in zip(examples, said, strict=True)
    ]
    rows = []
    for one, (text, mask, nothing), score in zip(examples, said, pr_scores(cases, encoder, reader, rules), strict=True):
        drawn = mask if mask is not None else Mask.empty(one.truth.height, one.truth.width)
        shared, total = one.truth.shared_area(drawn), one.truth.area + drawn.area
        checked = check_consistency(text, [drawn] if drawn else [])
        rows.append(
            {
                "source": title,
                "subject": subject_in(one),
                "id": one.id,
                "there": bool(one.truth),
                "silent": nothing or not drawn,
                "says_none": nothing_in(text),
                "dice": 2 * shared / total if total else 1.0,
                "iou": shared / (total - shared) if total else 1.0,
                "semantic": score.semantic,
                "spatial": score.by_rule.spatial,
                "visual": score.by_rule.visual,
                "total": score.by_rule.total,
                "total_learned": score.by_reader.total if head else None,
                "position": score.position_right,
                "contradicted": checked.verdict is Verdict.CONTRADICTED,
                "question": one.question,
                "text": text,
                "truth": one.answer,
            }
        )
    return rows


def nothing_in(text: str) -> bool:
    """Whether a sentence says that nothing is there."""
    return any(word in text.lower().split() for word in ("no", "not", "none", "nothing", "without"))


def tables(rows: Sequence[dict[str, Any]]) -> None:
    """Print masks and words, by source and by what is asked for in the chest."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["source"]].append(row)
        if row["subject"]:
            groups[f"{row['source']}: {row['subject']}"].append(row)
    groups["all"] = list(rows)
    print("| pictures | n | mDice | mIoU | mDice, target there | empty: nothing marked | empty: said so |")
    print("|---|---|---|---|---|---|---|")
    for title, some in groups.items():
        there, empty = [row for row in some if row["there"]], [row for row in some if not row["there"]]
        cells = [
            mean(some, "dice"),
            mean(some, "iou"),
            mean(there, "dice"),
            mean(empty, "silent"),
            mean(empty, "says_none"),
        ]
        print(f"| {title} | {len(there)} + {len(empty)} | " + " | ".join(cells) + " |")
    print()
    print("| pictures | PRScore | S_sem | S_spatial | S_vis | position right | text contradicts mask |")
    print("|---|---|---|---|---|---|---|")
    for title, some in groups.items():
        there = [row for row in some if row["there"]]
        learned = mean(there, "total_learned")
        total = mean(there, "total") + (f" [{learned.split()[0]}]" if learned else "")
        cells = [total, *(mean(there, name) for name in ("semantic", "spatial", "visual", "position"))]
        print(f"| {title} | " + " | ".join([*cells, mean(some, "contradicted")]) + " |")


def mean(rows: Sequence[dict[str, Any]], name: str) -> str:
    """Write a mean and its interval; "" where nothing has that measure."""
    values = np.array([row[name] for row in rows if row[name] is not None], float)
    if not len(values):
        return ""
    drawn = values[np.random.default_rng(0).integers(len(values), size=(1000, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.2f} to {high:.2f})"


def draw(folder: Path, title: str, examples: Sequence[ReasonerExample], said: Sequence[Said]) -> None:
    """Write pictures with the true outline (green) and the drawn one (red), and a file of questions and answers."""
    import cv2

    place = folder / title.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (one, (text, mask, _)) in enumerate(zip(examples, said, strict=True)):
        seen = np.ascontiguousarray(one.image.pixels[..., ::-1])
        for drawn, colour in ((one.truth, (0, 255, 0)), (mask, (0, 0, 255))):
            if drawn is not None and drawn:
                outlines, _ = cv2.findContours(drawn.to_dense().astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(seen, outlines, -1, colour, 2)
        cv2.imwrite(str(place / f"{number:03}.png"), seen)
        lines.append(f"{number:03} {one.id}\n  Q {one.question}\n  A {text}\n  T {one.answer}\n")
    (place / "texts.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
