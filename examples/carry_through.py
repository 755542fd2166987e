"""How the error of a found box carries through to the mask: box IoU against mask IoU, as a plot and a table.

Every held-out object is paired with the detection of its name that overlaps it best; what was found at an IoU of 0.1 or
more is cut from the found box and from the true box.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path

import numpy as np

from fiducial import Prompts
from fiducial.datasets import Sample, open_dataset
from fiducial.evaluation.report.plots import PALETTE, Plot, share_axis, standalone
from fiducial.geometry import boxes as box_arrays
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.segmenters.nano import NanoSegmenter

NAMES = {"ground_track_field": "running track"}
STEPS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that DATA stands for")
    parser.add_argument("--out", type=Path, default=Path("carry-through.svg"), help="the plot to write")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    brain = f"folder:{arguments.data}/brain_mri_lgg?instruction=the tumour&held_out=0.15&group=patient"
    aerial = f"coco:{arguments.data}/aerial_vhr10?per=image&held_out=0.15"
    parts = {"aerial": open_dataset(aerial), "brain MRI": open_dataset(brain)}
    detector = NanoDetector.from_pretrained(device="cpu", threshold=0.05, flips=True)
    segmenter = NanoSegmenter.from_pretrained(device="cpu")
    plot = Plot(share_axis("IoU of the found box"), share_axis("IoU of the mask"), "Box error and mask error")
    plot.line([(0, 0), (1, 1)], "#8a93a3", "mask as good as its box", dashed=True)
    for (name, dataset), colour in zip(parts.items(), PALETTE, strict=False):
        rows = np.array([row for sample in dataset for row in pairs(sample, detector, segmenter)])
        plot.dots([(box, mask) for box, mask, _ in rows], colour, 0.5)
        middles = []
        print(f"\n### {name}: {len(rows)} objects found\n")
        print("| IoU of the found box | objects | mask from it | mask from the true box |\n|---|---|---|---|")
        for low, high in itertools.pairwise(STEPS):
            some = rows[(rows[:, 0] >= low) & (rows[:, 0] < high)]
            if len(some):
                middles.append((float(some[:, 0].mean()), float(some[:, 1].mean())))
                print(f"| {low:g} to {high:g} | {len(some)} | {some[:, 1].mean():.3f} | {some[:, 2].mean():.3f} |")
        print(f"| all | {len(rows)} | {rows[:, 1].mean():.3f} | {rows[:, 2].mean():.3f} |")
        print(f"\nMean IoU of the boxes {rows[:, 0].mean():.3f}; rank correlation {rank(rows[:, 0], rows[:, 1]):.2f}.")
        plot.line(middles, colour, f"{name}, mean", dots=True)
    arguments.out.write_text(standalone(plot.svg()), encoding="utf-8")


def pairs(sample: Sample, detector: NanoDetector, segmenter: object) -> list[tuple[float, float, float]]:
    """Return for each object that was found: IoU of its box, of the mask cut from it, of that from the true box."""
    masks = [mask for mask in sample.instances or () if mask]
    labels = sample.labels or ("tumour",) * len(masks)
    names = [NAMES.get(label, label.replace("_", " ")) for label in labels]
    image = sample.image()
    (detections,) = detector.detect([image], [tuple(dict.fromkeys(names))])
    found = []
    for mask, name in zip(masks, names, strict=True):
        mine = np.array([one.box for one in detections if one.name == name]).reshape(-1, 4)
        overlaps = box_arrays.iou(mine, np.array([mask.box]))[:, 0]
        if len(mine) and overlaps.max() >= STEPS[0]:
            found.append((mask, mine[overlaps.argmax()].tolist(), float(overlaps.max())))
    if not found:
        return []
    boxes = [box for _, box, _ in found] + [mask.box for mask, _, _ in found]
    cut = segmenter.decode(segmenter.encode(image), Prompts.from_boxes(image.frame, boxes))
    half = len(found)
    return [
        (overlap, cut[number].iou(mask), cut[half + number].iou(mask))
        for number, (mask, _, overlap) in enumerate(found)
    ]


def rank(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other)[0])


if __name__ == "__main__":
    main()
