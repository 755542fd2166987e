"""What the default recipe costs: from a cold start, warm, and over many pictures; with what the cold start is made of.

The picture is a drawn sea with ships, enlarged to 1000 x 800; the baselines are an empty interpreter and
``import torch`` for the cold start, and the recipe ``classic`` for the warm call.

    python benchmarks/default.py
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from recording import median_seconds, record

import fiducial
from fiducial import Image
from fiducial.datasets import open_dataset

INSTRUCTION = "all ships"


def picture() -> np.ndarray:
    """Return (800, 1000, 3) uint8: a sea with ships."""
    *_, sample = open_dataset("scenes:aerial?count=4&seed=99")
    return np.ascontiguousarray(cv2.resize(sample.image().pixels, (1000, 1000))[:800])


def cold(path: Path, out: Path) -> dict[str, Any]:
    """Time whole processes."""
    executable = Path(sys.executable)
    segment = [str(executable.with_name("fiducial")), "segment", str(path), INSTRUCTION, "--out", str(out)]
    runs = {
        "python -c pass": [str(executable), "-c", "pass"],
        "import numpy, cv2": [str(executable), "-c", "import numpy, cv2"],
        "import torch": [str(executable), "-c", "import torch"],
        "fiducial segment": segment,
    }
    return {
        f"{name}, seconds": round(
            median_seconds(lambda words=words: subprocess.run(words, check=True, capture_output=True), repeats=5), 3
        )
        for name, words in runs.items()
    }


def warm(pixels: np.ndarray) -> dict[str, Any]:
    """Time calls of a loaded pipeline; every call gets a picture that is not remembered."""
    pipes = {name: fiducial.load(name) for name in ("nano", "classic")}
    random = np.random.default_rng(0)

    def call(name: str, words: str) -> Any:
        fresh = pixels.copy()
        fresh[0, 0] = random.integers(0, 256, 3)
        return pipes[name](Image(fresh), words)

    found = {
        "targets": len(call("nano", INSTRUCTION).masks),
        "nano, ms": round(1000 * median_seconds(lambda: call("nano", INSTRUCTION)), 1),
        "nano, no target, ms": round(1000 * median_seconds(lambda: call("nano", "all bridges")), 1),
        "classic, ms": round(1000 * median_seconds(lambda: call("classic", "all regions"), repeats=3), 1),
    }
    return found


def many(pixels: np.ndarray, count: int = 100) -> dict[str, Any]:
    """Time many pictures in calls of ten."""
    pipe = fiducial.load("nano")
    random = np.random.default_rng(1)
    pictures = []
    for _ in range(count):
        fresh = np.roll(pixels, tuple(random.integers(0, 200, 2)), axis=(0, 1))
        pictures.append(Image(np.ascontiguousarray(fresh)))
    busy, started = time.process_time(), time.perf_counter()
    for start in range(0, count, 10):
        pipe.segment(pictures[start : start + 10], INSTRUCTION)
    seconds = time.perf_counter() - started
    return {
        "pictures": count,
        "pictures per second": round(count / seconds, 2),
        "cores busy": round((time.process_time() - busy) / seconds, 2),
    }


def main() -> None:
    """Measure and write the result."""
    pixels = picture()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ships.png"
        PIL.Image.fromarray(pixels).save(path)
        started = cold(path, Path(folder) / "out")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    measured = {
        "threads": torch.get_num_threads(),
        "cold start": started,
        "largest process of the cold start, MiB": round(peak),
        "warm, 1000 x 800": warm(pixels),
        "100 pictures of 1000 x 800": many(pixels),
    }
    record("default", measured, ("numpy", "torch", "opencv-python-headless"))


if __name__ == "__main__":
    main()
