"""What the embedded segmenter costs: loading, encode, and decode of 1, 8 and 64 prompts, beside GrabCut.

One thread. Boxes of 40 to 250 pixels on a drawn picture; nano with one pass and with its usual two, GrabCut as the
baseline on the same boxes. The same boxes on a picture of 10,000 x 10,000 pixels show that the picture's size costs
nothing.

    python benchmarks/nano.py
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import cv2
import numpy as np
from recording import median_seconds, record

from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.segmenters.grabcut import GrabCutSegmenter
from fiducial.segmenters.nano import NanoSegmenter


def picture(width: int, height: int) -> Image:
    """Draw a picture with some structure."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(columns / (40 + 9 * k)) + np.cos(rows / (30 + 7 * k)) for k in range(3)]
    return Image(np.ascontiguousarray(np.stack(waves, -1) * 60 + 128).astype(np.uint8))


def boxes(count: int, image: Image, moved: float = 0.0) -> Prompts:
    """Spread boxes over the upper left 1280 x 960 pixels, all moved by so many pixels."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (count, 2)) * (1280 - 260, 960 - 260)
    return Prompts.from_boxes(
        image.frame, moved + np.concatenate([corners, corners + rng.uniform(40, 250, (count, 2))], 1)
    )


def rows(image: Image) -> list[dict[str, Any]]:
    """Time every number of prompts on a picture."""
    once, twice, grabcut = (
        NanoSegmenter.from_pretrained(device="cpu", passes=1),
        NanoSegmenter.from_pretrained(device="cpu", passes=2),
        GrabCutSegmenter(),
    )
    found, moves = [], itertools.count()

    def cut(segmenter: NanoSegmenter | GrabCutSegmenter, count: int) -> None:
        prompts = boxes(count, image, next(moves) / 1000)  # boxes that no mask is remembered of
        segmenter.decode(segmenter.encode(image), prompts)

    for count in (1, 8, 64):
        seconds = {
            name: median_seconds(lambda one=one, count=count: cut(one, count), repeats=3, budget=6)
            for name, one in (("nano_one_pass", once), ("nano", twice), ("grabcut", grabcut))
        }
        found.append(
            {
                "prompts": count,
                **{f"{name}_ms": round(1000 * value, 1) for name, value in seconds.items()},
                "grabcut_over_nano": round(seconds["grabcut"] / seconds["nano"], 2),
            }
        )
    return found


def main() -> None:
    """Measure and write the result."""
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    started = time.perf_counter()
    segmenter = NanoSegmenter.from_pretrained(device="cpu")
    loading = time.perf_counter() - started
    small, large = picture(1280, 960), picture(10_000, 10_000)
    measured = {
        "threads": 1,
        "load_weights_ms": round(1000 * loading, 1),
        "encode_ms": round(1000 * median_seconds(lambda: segmenter.encode(small)), 3),
        "1280 x 960": rows(small),
        "10000 x 10000": rows(large),
    }
    record("nano", measured, ("numpy", "onnxruntime", "opencv-python-headless"))


if __name__ == "__main__":
    main()
