"""The refiners against straightforward renderings of the same algorithms, and on images of growing size.

CFPG's baseline uses SciPy and scikit-image at the crop's full size: ``kmeans2`` begun by KMeans++, the exact
distance transform, the watershed, ``regionprops``. (scikit-learn's KMeans would be the usual choice, but it is no
dependency here.) MBO's baseline is OpenCV's GrabCut from an eroded and dilated mask, five rounds, once on the same
crop at full size and once on the whole image; on the largest image that takes minutes and is left out. One thread,
and seconds of the processor, so that other work on the machine counts little.

    python benchmarks/refiners.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from recording import record
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from skimage import color, data, measure, segmentation

from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.refiners import BoundaryOptimisation, ForegroundPoint

EDGE = 256
LIMITS = {"cfpg": 0.015, "mbo": 0.060}


def place(size: int) -> Image:
    """Repeat a photograph's piece of 256 x 256 pixels over a picture of size x size, so that every crop is equal."""
    piece = np.ascontiguousarray(data.coffee()[60 : 60 + EDGE, 150 : 150 + EDGE])
    times = -(-size // EDGE)
    pixels = np.tile(piece, (times, times, 1))[:size, :size].copy()
    pixels.setflags(write=False)
    return Image(pixels, name=f"{size} x {size}")


def rough_mask(size: int, edge: int) -> Mask:
    """Cut a disc of such a size that the crop around it, with its band and margin, has ``edge`` pixels."""
    corner = (size - edge) // 2 // EDGE * EDGE
    return Mask.from_dense(mask_piece(edge), offset=(corner, corner), size=(size, size))


def mask_piece(edge: int) -> np.ndarray:
    """Draw the disc."""
    rows, columns = np.mgrid[:edge, :edge]
    return (rows - edge / 2) ** 2 + (columns - edge / 2) ** 2 < (edge / 3.24) ** 2


def plain_point(pixels: np.ndarray) -> tuple[float, float]:
    """Find the foreground point of a crop the straightforward way."""
    colours = color.rgb2lab(pixels).reshape(-1, 3)
    _, side = kmeans2(colours, 2, minit="++", seed=0)
    best = (0.0, (0.0, 0.0))
    for cluster in range(2):
        inside = (side == cluster).reshape(pixels.shape[:2])
        depth = ndimage.distance_transform_edt(inside)
        markers = measure.label(depth > 0.5 * depth.max())
        labels = segmentation.watershed(-depth, markers, mask=inside)
        for region in measure.regionprops(labels):
            if region.area >= 0.05 * inside.size:
                best = max(best, (region.solidity, region.centroid[::-1]))
    return best[1]


def plain_boundary(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Refine a mask the straightforward way: on all pixels, five rounds."""
    kernel = np.ones((15, 15), dtype=np.uint8)
    grey = mask.astype(np.uint8)
    labels = np.where(grey, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(grey, kernel) > 0] = cv2.GC_FGD
    labels[cv2.dilate(grey, kernel) == 0] = cv2.GC_BGD
    cv2.grabCut(pixels, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    return labels & 1


def measure_size(size: int, slowest_baseline: int) -> dict[str, Any]:
    """Time both refiners on a crop of 256 x 256 pixels in a picture of one size."""
    image, mask = place(size), rough_mask(size, EDGE)
    corner = (size - EDGE) // 2 // EDGE * EDGE
    prompts = Prompts.from_boxes(image.frame, [(corner, corner, corner + EDGE, corner + EDGE)])
    prompt = Prompt(image.frame, box=mask.box)
    point, boundary = ForegroundPoint(), BoundaryOptimisation()
    _, told = boundary.report(image, mask, prompt)
    rows = {
        "cfpg": {"seconds": processor_seconds(lambda: point(image, prompts))},
        "mbo": {
            "seconds": processor_seconds(lambda: boundary(image, mask, prompt)),
            "iterations": told.figures["iterations"],
        },
    }
    piece = slice(corner, corner + EDGE)
    crop, disc = np.ascontiguousarray(image.pixels[piece, piece]), mask_piece(EDGE)
    rows["cfpg"] |= against("SciPy and scikit-image, the crop", rows["cfpg"], lambda: plain_point(crop))
    rows["mbo"] |= against("OpenCV, the crop", rows["mbo"], lambda: plain_boundary(crop, disc))
    if size <= slowest_baseline:
        dense = mask.to_dense()
        work = partial(plain_boundary, image.pixels, dense)
        rows["mbo"]["whole image"] = against("OpenCV, the whole image", rows["mbo"], work, repeats=3)
    for row in rows.values():
        row["seconds"] = round(row["seconds"], 5)
    return rows


def processor_seconds(work: Callable[[], Any], *, repeats: int = 15, budget: float = 20.0) -> float:
    """Run once to warm up, then up to ``repeats`` runs within ``budget`` seconds; return the median."""
    work()
    times: list[float] = []
    while len(times) < repeats and sum(times) < budget:
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def against(name: str, row: dict[str, Any], work: Callable[[], Any], **options: int) -> dict[str, Any]:
    """Time a baseline beside what was measured."""
    seconds = processor_seconds(work, **options)
    ratio = round(row["seconds"] / seconds, 3)
    return {"baseline": name, "baseline_seconds": round(seconds, 5), "times_as_long_as_baseline": ratio}


def main() -> None:
    """Measure all sizes and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2048, 10_000], help="edges of the pictures")
    parser.add_argument("--slowest-baseline", type=int, default=2048, help="no baseline on larger pictures")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    measured: dict[str, Any] = {"crop": [EDGE, EDGE], "threads": 1, "clock": "processor seconds"}
    for size in options.sizes:
        measured[f"{size} x {size}"] = measure_size(size, options.slowest_baseline)
    for name, limit in LIMITS.items():
        slowest = max(measured[f"{size} x {size}"][name]["seconds"] for size in options.sizes)
        measured[f"{name} on the slowest size"] = {"seconds": slowest, "aim": limit, "met": slowest <= limit}
    record("refiners", measured, ("numpy", "opencv-python-headless", "scipy", "scikit-image"))


if __name__ == "__main__":
    main()
