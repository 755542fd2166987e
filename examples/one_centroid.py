"""How much of a target one centroid says: is it inside, and how good is a disc around it? Prints Markdown.

    python examples/one_centroid.py "folder:DATA/cxr_jsrt?instruction=the {target}" "coco:DATA/aerial_vhr10?per=image"

What is scored by the centroid alone (CG-Reasoner's spatial term, S_spatial and S_vis of PRScore) cannot tell a target
from the disc of the same area around its centroid, since both have the same one. Targets are taken apart by their name,
and by whether they are one piece (:func:`fiducial.geometry.large_pieces`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from fiducial.datasets import open_dataset
from fiducial.geometry import Mask, large_pieces
from fiducial.metrics.intervals import mean_interval


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", help="with masks, as fiducial evaluate takes them")
    parser.add_argument("--limit", type=int, default=200, help="masks of each, from the first")
    arguments = parser.parse_args()
    rows: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for spec in arguments.datasets:
        dataset = open_dataset(spec)
        for sample in [dataset[index] for index in range(min(len(dataset), arguments.limit))]:
            truth = sample.truth
            if not truth:
                continue
            several = len(large_pieces(truth)) > 1
            rows[f"{dataset.name}: {sample.instruction}, {'several pieces' if several else 'one piece'}"].append(
                measured(truth)
            )
    print("| targets | masks | centroid outside of them | Dice of a disc of the same area around it |")
    print("|---|---|---|---|")
    for title, some in rows.items():
        outside, dice = np.array(some, float).T
        low, high = mean_interval(dice.tolist(), 0)
        print(f"| {title} | {len(some)} | {outside.mean():.0%} | {dice.mean():.2f} ({low:.2f} to {high:.2f}) |")


def measured(truth: Mask) -> tuple[bool, float]:
    """Say whether a mask's centroid lies outside of it, and how well a disc around the centroid covers it."""
    assert truth.centroid is not None
    x, y = truth.centroid
    dense = truth.to_dense()
    rows, columns = np.mgrid[: truth.height, : truth.width] + 0.5
    away = (columns - x) ** 2 + (rows - y) ** 2
    disc = away <= np.sort(away, axis=None)[truth.area - 1]
    inside = bool(dense[min(int(y), truth.height - 1), min(int(x), truth.width - 1)])
    return not inside, float(2 * (disc & dense).sum() / (disc.sum() + truth.area))


if __name__ == "__main__":
    main()
