"""Masks as runs against dense arrays and against pycocotools: memory, codes, IoU matrix.

Twenty-eight elliptic masks on a 1920 x 1080 canvas, sizes as in a street scene.
"""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco
from recording import median_seconds, record

from fiducial.geometry import Mask
from fiducial.geometry.masks import mask_iou

HEIGHT, WIDTH, COUNT = 1080, 1920, 28


def ellipses() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dense = []
    for _ in range(COUNT):
        centre, radius = rng.uniform([0, 0], [WIDTH, HEIGHT]), rng.uniform(15, 200, 2)
        dense.append(((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 < 1)
    return dense


def main() -> None:
    dense = ellipses()
    masks = [Mask.from_dense(array) for array in dense]
    columns = [np.asfortranarray(array.astype(np.uint8)) for array in dense]
    theirs = [coco.encode(array) for array in columns]
    codes = [mask.to_coco() for mask in masks]
    if [code["counts"] for code in codes] != [code["counts"].decode() for code in theirs]:
        raise SystemExit("the codes differ from those of pycocotools")
    pairs = {
        "encode dense to code": (
            lambda: [Mask.from_dense(array).to_coco() for array in dense],
            lambda: [coco.encode(np.asfortranarray(array.astype(np.uint8))) for array in dense],
        ),
        "decode code to dense": (
            lambda: [Mask.from_coco(code).to_dense() for code in theirs],
            lambda: coco.decode(theirs),
        ),
        "iou matrix 28 x 28": (lambda: mask_iou(masks, masks), lambda: coco.iou(theirs, theirs, [0] * COUNT)),
        "iou matrix 28 x 28, dense": (lambda: mask_iou(masks, masks), lambda: dense_iou(dense)),
        "union of 28": (lambda: masks[0].union(*masks[1:]), lambda: coco.merge(theirs)),
    }
    measured = {}
    for name, (ours, baseline) in pairs.items():
        seconds, reference = median_seconds(ours), median_seconds(baseline)
        against = "numpy, dense" if name.endswith("dense") and "iou" in name else "pycocotools"
        measured[name] = {
            "seconds": round(seconds, 6),
            "baseline": against,
            "baseline_seconds": round(reference, 6),
            "times_as_long_as_baseline": round(seconds / reference, 3),
        }
    bytes_runs, bytes_dense = sum(mask.nbytes for mask in masks), sum(array.nbytes for array in dense)
    measured["memory of 28 masks at 1080p"] = {
        "bytes": bytes_runs,
        "baseline": "numpy bool arrays",
        "baseline_bytes": bytes_dense,
        "times_smaller": round(bytes_dense / bytes_runs, 1),
    }
    record("masks", measured, ("numpy", "pycocotools"))


def dense_iou(dense: list[np.ndarray]) -> np.ndarray:
    flat = np.stack([array.ravel() for array in dense]).astype(np.float32)
    shared = flat @ flat.T
    areas = flat.sum(1)
    return shared / (areas[:, None] + areas[None] - shared)


if __name__ == "__main__":
    main()
