"""What evaluating costs beyond the model's own work: per sample, and at the end.

Run it from the repository's root::

    python benchmarks/evaluation.py

A pipeline whose parts do next to nothing (its prompts are known, its masks are boxes) goes through pictures of 512 x
512 pixels in memory. What is left is the evaluation: scoring, encoding, and forcing each record to the disk. The
baseline is to write the same lines without forcing them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from recording import record

from fiducial.contracts import Embedding
from fiducial.datasets import Sample
from fiducial.evaluation import Bench, Run, TruthPrompts, evaluate, summarise
from fiducial.evaluation.record import RecordFile, encode
from fiducial.evaluation.report import write_reports
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.metrics import policy
from fiducial.pipeline import Pipeline

SIDE = 512


class Discs:
    """Samples with one disc each, on pictures that are in memory."""

    name = "discs"

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(0)
        noise = draw.integers(0, 255, (16, SIDE, SIDE, 3), dtype=np.uint8)
        self.pictures = [Image(pixels, name=f"{number}.png") for number, pixels in enumerate(noise)]
        rows, columns = np.mgrid[:SIDE, :SIDE]
        self.masks = [
            Mask.from_dense((rows - y) ** 2 + (columns - x) ** 2 < r**2)
            for x, y, r in draw.integers((100, 100, 8), (400, 400, 90), (64, 3))
        ]
        self.count = count

    @property
    def ids(self) -> list[str]:
        """Name the samples."""
        return [str(number) for number in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        mask = self.masks[index % len(self.masks)]
        return Sample(str(index), None, self.pictures[index % 16], "the disc", (mask,), (SIDE, SIDE))


class BoxSegmenter:
    """Cuts the box."""

    def encode(self, image: Image) -> Embedding:
        """Keep nothing."""
        return Embedding(image.digest, image.width, image.height, {})

    def decode(self, embedding: Embedding, prompts: Prompts) -> list[Mask]:
        """Return one box per prompt."""
        return [Mask.from_box(prompt.box or (0, 0, 1, 1), embedding.height, embedding.width) for prompt in prompts]


def per_sample(bench: Bench, folder: Path) -> tuple[Run, dict[str, Any]]:
    """Time a run of one process, part by part."""
    started = time.perf_counter()
    run = evaluate(bench, folder)
    whole = (time.perf_counter() - started) / len(bench.dataset)
    records = list(run.records())
    own = statistics.mean(one.seconds["total"] for one in records)
    with tempfile.TemporaryDirectory(dir=folder) as place, RecordFile(Path(place) / "r.jsonl") as file:
        started = time.perf_counter()
        for one in records:
            file.append(one)
        forced = (time.perf_counter() - started) / len(records)
    with open(folder / "plain.jsonl", "wb") as plain:
        started = time.perf_counter()
        for one in records:
            plain.write(encode(one))
        loose = (time.perf_counter() - started) / len(records)
    told = {
        "ms a sample, whole": whole * 1000,
        "ms a sample, the pipeline's own": own * 1000,
        "ms a sample, overhead": (whole - own) * 1000,
        "of this scoring and encoding": statistics.mean(one.seconds["score"] for one in records) * 1000,
        "of this writing, forced to the disk": forced * 1000,
        "baseline: writing, not forced": loose * 1000,
        "bytes a record": (folder / "samples.jsonl").stat().st_size / len(records),
    }
    return run, {name: round(value, 3) for name, value in told.items()}


def at_the_end(run: Run, many: int) -> dict[str, Any]:
    """Time counting, resuming and reporting, for the run and for one as long as RRSIS-D."""
    started = time.perf_counter()
    summarise(run)
    counting = time.perf_counter() - started
    started = time.perf_counter()
    write_reports(run, images=False)
    report = time.perf_counter() - started
    records = run.ordered()
    with open(run.records_path, "ab") as file:
        for place in range(len(records), many):
            one = records[place % len(records)]
            file.write(encode(replace(one, index=place, id=str(place), digest=str(place))))
    started = time.perf_counter()
    with RecordFile(run.records_path) as opened:
        resumed = len(opened.done)
    resuming = time.perf_counter() - started
    started = time.perf_counter()
    summarise(run)
    counting_many = time.perf_counter() - started
    return {
        f"counting {len(records)} samples with intervals, s": round(counting, 3),
        f"counting and report of {len(records)} samples, s": round(report, 3),
        f"opening {resumed} records to resume, s": round(resuming, 3),
        f"counting {resumed} samples with intervals, s": round(counting_many, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--many", type=int, default=17402, help="as many as RRSIS-D has")
    options = parser.parse_args()
    pipeline = Pipeline(segmenter=BoxSegmenter(), name="boxes")
    bench = Bench(pipeline, Discs(options.samples), policy("fiducial"), TruthPrompts())
    with tempfile.TemporaryDirectory() as place:
        run, measured = per_sample(bench, Path(place) / "run")
        measured |= at_the_end(run, options.many)
    measured["samples"] = options.samples
    measured["threads"] = os.environ.get("OMP_NUM_THREADS", "not set")
    record("evaluation", measured, ("numpy", "opencv-python-headless"))


if __name__ == "__main__":
    main()
