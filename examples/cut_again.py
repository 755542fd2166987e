"""Cut what a prompter wrote in a finished run again: by box, points or both, by each segmenter. Prints Markdown.

    fiducial evaluate "scenes:shapes?count=400&seed=900" --recipe think2seg-nano --out A
    python examples/cut_again.py A --limit 200 --segmenters nano nano?passes=1 grabcut

The first row is what the others are compared with, sample by sample. Only samples with a target are counted, and of
these the answers that hold a box and points. Intervals are 95 % bootstrap intervals over pictures, seed 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fiducial.config import build, read_part
from fiducial.evaluation.run import read_run
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.metrics.intervals import mean_interval

FORMS: dict[str, Callable[[Prompt], Prompt]] = {
    "box and points": lambda one: one,
    "box": lambda one: replace(one, points=(), point_labels=()),
    "points": lambda one: replace(one, box=None),
}


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder of fiducial evaluate")
    parser.add_argument("--segmenters", nargs="+", default=["nano"], help="NAME[:MODEL][?key=value]")
    parser.add_argument("--limit", type=int, default=10**9, help="samples of the run, from its first")
    arguments = parser.parse_args()
    run = read_run(arguments.run)
    samples = {sample.id: sample for sample in run.open_dataset()}
    scores: dict[tuple[str, str], list[float]] = {}
    pictures: list[str] = []
    segmenters = {name: build(read_part("segmenter", name)) for name in arguments.segmenters}
    for record in run.ordered()[: arguments.limit]:
        prompts, truth = record.decoded_prompts(), record.truth_mask
        if not truth or not prompts or any(one.box is None or not one.points for one in prompts):
            continue
        image = samples[record.id].image()
        pictures.append(record.picture)
        for name, segmenter in segmenters.items():
            embedding = segmenter.encode(image)
            for form, shape in FORMS.items():
                asked = Prompts(record.frame, tuple(map(shape, prompts)))
                mask = Mask.empty(*record.size).union(*segmenter.decode(embedding, asked))
                scores.setdefault((name, form), []).append(mask.iou(truth))
    first = np.array(next(iter(scores.values())))
    print(f"| {run.dataset_name}, {len(pictures)} answers | mean mask IoU | against the first row |\n|---|---|---|")
    for (name, form), values in scores.items():
        low, high = mean_interval(values, 0, groups=pictures)
        apart = np.array(values) - first
        less, more = mean_interval(apart.tolist(), 0, groups=pictures)
        gain = f"{apart.mean():+.3f} ({less:+.3f} to {more:+.3f})"
        print(f"| `{name}`, {form} | {np.mean(values):.3f} ({low:.2f} to {high:.2f}) | {gain} |")


if __name__ == "__main__":
    main()
