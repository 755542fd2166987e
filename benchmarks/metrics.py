"""The metric engine against a dense NumPy loop, torchmetrics and pycocotools, on 1,000 and 10,000 pairs of masks.

Masks of 512 x 512, a target of one to three ellipses each. Every engine starts from the same COCO run-length codes, as
predictions come from files, and gives mean and cumulative IoU. A second table leaves decoding out.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np
from pycocotools import mask as coco
from recording import median_seconds, record

from fiducial.geometry import Mask
from fiducial.language import Outcome
from fiducial.metrics import Totals, bootstrap, policy, score_sample

SIDE, SIZES = 512, (1_000, 10_000)
Code = dict[str, object]
Pair = tuple[Code, Code]
RULES = policy("fiducial")


def blobs(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a truth and a prediction that misses it a little, for ever."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    while True:
        pair = [np.zeros((SIDE, SIDE), dtype=bool) for _ in range(2)]
        for _ in range(rng.integers(1, 4)):
            centre, radius = rng.uniform(0, SIDE, 2), rng.uniform(8, 110, 2)
            for dense, slip in zip(pair, ((0, 0), rng.uniform(-9, 9, 2)), strict=True):
                dense |= ((x - centre[0] - slip[0]) / radius[0]) ** 2 + ((y - centre[1] - slip[1]) / radius[1]) ** 2 < 1
        yield pair[0], pair[1]


def encode(dense: np.ndarray) -> Code:
    return coco.encode(np.asfortranarray(dense.astype(np.uint8)))


def scored(pairs: list[Pair], **options: bool) -> Totals:
    totals = Totals(RULES)
    for truth, prediction in pairs:
        masks = Mask.from_coco(truth), Mask.from_coco(prediction)
        totals.add(score_sample(RULES, *masks, Outcome.FOUND, **options))
    return totals


def ours(pairs: list[Pair]) -> tuple[float, float]:
    report = scored(pairs).report()
    return report["mean_iou"], report["cum_iou"]


def dense_loop(pairs: list[Pair]) -> tuple[float, float]:
    shared, joined = [], []
    for truth, prediction in pairs:
        one, two = coco.decode(truth) > 0, coco.decode(prediction) > 0
        shared.append(np.logical_and(one, two).sum())
        joined.append(np.logical_or(one, two).sum())
    return float(np.mean(np.divide(shared, joined))), float(np.sum(shared) / np.sum(joined))


def with_pycocotools(pairs: list[Pair]) -> tuple[float, float]:
    each = [float(coco.iou([prediction], [truth], [0])[0, 0]) for truth, prediction in pairs]
    shared = [int(coco.area(coco.merge([truth, prediction], intersect=True))) for truth, prediction in pairs]
    joined = [int(coco.area(coco.merge([truth, prediction]))) for truth, prediction in pairs]
    return float(np.mean(each)), sum(shared) / sum(joined)


def with_torchmetrics(pairs: list[Pair]) -> tuple[float, float]:
    import torch
    from torchmetrics.classification import BinaryJaccardIndex

    torch.set_num_threads(1)
    overall, each = BinaryJaccardIndex(validate_args=False), []  # its checks take most of its time
    for truth, prediction in pairs:
        one, two = (torch.from_numpy(coco.decode(code)) for code in (prediction, truth))
        each.append(float(overall(one, two)))  # the value of this pair; the state keeps the sum
    return float(np.mean(each)), float(overall.compute())


def once(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    engines: dict[str, Callable[[list[Pair]], tuple[float, float]]] = {
        "fiducial (all statistics)": ours,
        "numpy, dense loop (two statistics)": dense_loop,
        "pycocotools (two statistics)": with_pycocotools,
    }
    packages: tuple[str, ...] = ("numpy", "pycocotools")
    if find_spec("torchmetrics"):
        engines["torchmetrics, one pair at a time (two statistics)"] = with_torchmetrics
        packages += ("torch", "torchmetrics")
    else:
        print("torchmetrics is not installed: left out", file=sys.stderr)
    source = blobs(np.random.default_rng(0))
    pairs = [(encode(one), encode(two)) for one, two in (next(source) for _ in range(max(SIZES)))]
    measured: dict[str, object] = {}
    for size in SIZES:
        some = pairs[:size]
        expected = ours(some)
        rows: dict[str, dict[str, float]] = {}
        for name, engine in engines.items():
            if not np.allclose(engine(some[:1000]), ours(some[:1000]), atol=1e-6):
                raise SystemExit(f"{name} disagrees with ours")
            seconds = (
                once(partial(engine, some)) if size > SIZES[0] else median_seconds(partial(engine, some), repeats=3)
            )
            rows[name] = {
                "seconds": round(seconds, 3),
                "microseconds_per_pair": round(seconds / size * 1e6, 1),
                "peak_bytes_over_1000_pairs": peak_bytes(partial(engine, some[:1000])),
            }
        held = sum(Mask.from_coco(code).nbytes for pair in some for code in pair)
        measured[f"{size} pairs from codes"] = {
            "mean_iou": expected[0],
            "cum_iou": expected[1],
            "bytes_to_hold_all_masks_as_runs": held,
            "bytes_to_hold_all_masks_dense": 2 * size * SIDE * SIDE,
            "engines": rows,
        }
    measured["in memory"] = in_memory(pairs[:1000])
    measured["more of ours, 1000 pairs"] = more(pairs[:1000])
    record("metrics", measured, packages)


def in_memory(pairs: list[Pair]) -> dict[str, object]:
    """Compare masks that are already decoded."""
    masks = [tuple(map(Mask.from_coco, pair)) for pair in pairs]
    dense = [tuple(coco.decode(code) > 0 for code in pair) for pair in pairs]
    fresh = [tuple((m.height, m.width, m.runs) for m in pair) for pair in masks]

    def counted() -> None:
        totals = Totals(RULES)
        for pair in fresh:  # new masks each time: areas and boxes are cached on a mask
            totals.add(score_sample(RULES, *(Mask(*parts) for parts in pair), Outcome.FOUND))

    def looped() -> list[tuple[int, int]]:
        return [(int((one & two).sum()), int((one | two).sum())) for one, two in dense]

    return {
        "pairs": len(pairs),
        "fiducial_seconds": round(median_seconds(counted, repeats=3), 4),
        "dense_seconds": round(median_seconds(looped, repeats=3), 4),
        "fiducial_bytes": sum(mask.nbytes for pair in masks for mask in pair),
        "dense_bytes": sum(each.nbytes for pair in dense for each in pair),
    }


def more(pairs: list[Pair]) -> dict[str, float]:
    scores = [score_sample(RULES, Mask.from_coco(one), Mask.from_coco(two), Outcome.FOUND) for one, two in pairs]
    return {
        "with boundary F and Hausdorff 95, seconds": round(
            median_seconds(lambda: scored(pairs, boundaries=True), repeats=3), 3
        ),
        "totals alone, seconds": round(median_seconds(lambda: Totals(RULES).extend(scores), repeats=3), 4),
        "bootstrap of 2000 draws, seconds": round(
            median_seconds(lambda: bootstrap(scores, RULES, "mean_iou", 0), repeats=3), 3
        ),
    }


if __name__ == "__main__":
    main()
