"""Batches: what they cost beside the pipeline alone, how they grow with processes, and whether anything is ever lost.

Pictures are drawn scenes. ``overhead`` is the processor's time of a row in a batch less its time in ``pipe.stream``,
all in one process. ``speed`` counts pictures a second with the models loaded, for 1 and 2 processes and Ray in turn.
``ledger`` plans manifests of several lengths in processes of their own, for the largest memory. ``kills`` forks a
process that works on 500 rows and ends it by SIGKILL from outside after a drawn number of rows and a drawn pause, a
hundred times; ``workers`` does so to one of two workers of a batch. Then every file is held against that of a batch
that nothing disturbed.

    make benchmark-batch    # or: python benchmarks/batch.py [--pictures 48] [--no-ray] [--only kills workers]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from recording import RESULTS, record

import fiducial
from fiducial import provenance
from fiducial.datasets import open_dataset
from fiducial.errors import FiducialError
from fiducial.jobs import BatchOptions, run
from fiducial.jobs.shards import read_shard

PLANNING = """
import resource, sys, time
from pathlib import Path
from fiducial.jobs.ledger import Ledger
from fiducial.jobs.manifest import Manifest
started = time.process_time()
with Ledger(Path(sys.argv[2]), {}, Manifest(Path(sys.argv[1]), "all ships")) as ledger:
    planned = time.process_time()
    count = sum(len(lot.rows) for lot in ledger.lots())
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(count, planned - started, time.process_time() - planned, memory)
"""


def manifest(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(folder: Path, count: int) -> list[str]:
    """Write aerial scenes; returns their names."""
    names = []
    for number, sample in enumerate(open_dataset(f"scenes:aerial?count={count}&seed=7")):
        names.append(f"scene-{number:03}.png")
        PIL.Image.fromarray(sample.image().pixels).save(folder / names[-1])
        if len(names) == count:
            break
    return names


def small(folder: Path, rows: int) -> Path:
    """Write small pictures of red boxes and a manifest with four rows about each: in words, and by coordinates."""
    folder.mkdir()
    draw = np.random.default_rng(1)
    listed: list[dict[str, Any]] = []
    for number in range(-(-rows // 4)):
        pixels = np.full((48, 64, 3), (90, 100, 90), np.uint8)
        x, y = int(draw.integers(2, 40)), int(draw.integers(2, 28))
        pixels[y : y + 16, x : x + 20] = (220, 30, 30)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
        listed += [
            {"image": f"{number}.png", "instruction": "the red region"},
            {"image": f"{number}.png", "prompts": [{"box": [x - 1, y - 1, x + 21, y + 17]}]},
            {"image": f"{number}.png", "prompts": [{"points": [[x + 9, y + 9]]}]},
            {"image": "gone.png" if number % 10 == 0 else f"{number}.png", "instruction": "the grey region"},
        ]
    order = draw.permutation(rows)
    return manifest(folder, [{"id": f"r{place}", **listed[place]} for place in map(int, order)])


def contents(folder: Path) -> dict[str, bytes]:
    """Return what must be the same bytes, by name."""
    kept = [*sorted((folder / "results").iterdir()), folder / "dead.jsonl", folder / "coco.json"]
    return {path.name: path.read_bytes() for path in kept}


def ended(folder: Path) -> list[str]:
    """Return the id of every row that ended, as often as it did."""
    found: list[str] = []
    for path in sorted((folder / "results").iterdir()):
        rows = read_shard(path)
        found += [row["id"] for row in rows if row["target"] in (None, 1)]
    return found + [json.loads(line)["id"] for line in (folder / "dead.jsonl").read_text().splitlines()]


def judged(folder: Path, whole: Path, rows: int) -> dict[str, Any]:
    """Compare a batch that was disturbed with one that was not."""
    ids = ended(folder)
    return {
        "rows": rows,
        "lost": rows - len(set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "same bytes": contents(folder) == contents(whole),
    }


def kills(folder: Path, rows: int, count: int) -> dict[str, Any]:
    """Kill the process that works on a batch, again and again."""
    path = small(folder / "small", rows)
    options = BatchOptions(workers=0, shard=37, coco=True)
    run(path, folder / "whole", recipe="classic", options=options)
    draw, died = random.Random(1), 0
    while True:
        reading, writing = os.pipe()

        def note(*_: object, pipe: int = writing) -> None:
            os.write(pipe, b".")

        child = os.fork()
        if not child:
            os.close(reading)
            try:
                run(path, folder / "killed", recipe="classic", options=options, on_row=note)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writing)
        if died < count:
            left = draw.randrange(6)
            while left > 0 and (seen := len(os.read(reading, left))):
                left -= seen
            time.sleep(draw.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(reading)
        if status == 0:
            break
        assert status == -signal.SIGKILL, status
        died += 1
    return {"kills": died, **judged(folder / "killed", folder / "whole", rows)}


def workers(folder: Path, count: int) -> dict[str, Any]:
    """Kill one of the two workers of a batch, again and again, while it goes on."""
    rows = 120
    path = small(folder / "workers", rows)
    run(path, folder / "undisturbed", recipe="classic", options=BatchOptions(workers=0, shard=37, coco=True))
    draw, died = random.Random(2), 0

    def kill(outcome: str, done: int, planned: int) -> None:
        nonlocal died
        if died < count and done > 20 * (died + 1) and (children := active_children()):
            os.kill(draw.choice(children).pid or 0, signal.SIGKILL)
            died += 1

    options = BatchOptions(workers=2, shard=37, coco=True)
    run(path, folder / "disturbed", recipe="classic", options=options, on_row=kill)
    return {"kills": died, **judged(folder / "disturbed", folder / "undisturbed", rows)}


class Clock:
    """Notes when rows end, by a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.started, self.times = clock, clock(), list[float]()

    def __call__(self, *_: object) -> None:
        """Note that one more has ended."""
        self.times.append(self.clock())

    @property
    def a_row(self) -> float:
        """Seconds from one row to the next, without those until the first."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


def speed(folder: Path, names: list[str], *, ray: bool) -> dict[str, Any]:
    """Count pictures a second, from the first that is done to the last."""
    path = manifest(folder, [{"image": name, "instruction": "all ships"} for name in names])
    ways: dict[str, dict[str, Any]] = {"1 process": {"workers": 1}, "2 processes": {"workers": 2}}
    if ray:
        ways["ray, 2 actors"] = {"workers": 2, "engine": "ray"}
    found: dict[str, Any] = {"pictures": len(names)}
    for way, options in ways.items():
        clock = Clock(time.perf_counter)
        try:
            run(path, folder / f"out {way}", options=BatchOptions(**options), on_row=clock)
        except FiducialError as error:
            found[way] = {"failed": str(error)}
            continue
        first = clock.times[0] - clock.started
        found[way] = {"pictures a second": round(1 / clock.a_row, 2), "seconds until the first": round(first, 1)}
    return found


def overhead(folder: Path, names: list[str]) -> dict[str, Any]:
    """Compare the processor's time of a row in a batch with its time in the pipeline alone."""
    path = manifest(folder, [{"image": name, "instruction": "all ships"} for name in names])
    least = {"pipe.stream": float("inf"), "batch": float("inf")}
    for turn in range(2):
        pipe = fiducial.load("nano")  # anew, as it remembers pictures
        clock = Clock(time.process_time)
        for result in pipe.stream([folder / name for name in names], "all ships"):
            clock(result)
        least["pipe.stream"] = min(least["pipe.stream"], clock.a_row)
        clock = Clock(time.process_time)
        run(path, folder / f"overhead-{turn}", options=BatchOptions(workers=0), on_row=clock)
        least["batch"] = min(least["batch"], clock.a_row)
    milliseconds = {f"{way}, ms a row": round(1000 * value, 2) for way, value in least.items()}
    return {**milliseconds, "overhead, ms a row": round(1000 * (least["batch"] - least["pipe.stream"]), 2)}


def without_model(folder: Path) -> dict[str, Any]:
    """Take the processor's time of rows of small pictures in which nothing is to be cut: all that a batch adds."""
    names = [json.loads(line)["image"] for line in small(folder / "idle", 400).read_text().splitlines()]
    rows = [{"image": name, "prompts": []} for name in names if name != "gone.png"]
    clock = Clock(time.process_time)
    batch = run(manifest(folder / "idle", rows), folder / "idle-out", recipe="classic", options=BatchOptions(workers=0))
    return {"rows": batch.rows, "ms a row": round(1000 * (time.process_time() - clock.started) / batch.rows, 2)}


def ledger(folder: Path) -> dict[str, Any]:
    """Plan manifests of several lengths, two rows a picture far apart."""
    found = {}
    for count in (10_000, 100_000):
        path = folder / f"{count}.csv"
        with path.open("w") as file:
            file.write("id,image\n")
            file.writelines(f"{number},pictures/{number % (count // 2)}.png\n" for number in range(count))
        words = [sys.executable, "-c", PLANNING, str(path), str(folder / f"{count}")]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        assert int(said[0]) == count
        planning, reading, memory = map(float, said[1:])
        found[f"{count:,} rows"] = {
            "microseconds a row, planning": round(1e6 * planning / count, 1),
            "microseconds a row, handing out": round(1e6 * reading / count, 1),
            "largest memory, MiB": round(memory),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--worker-kills", type=int, default=4)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--only", nargs="+", help="parts to measure anew; the others are kept as they are")
    options = parser.parse_args()
    assert threading.active_count() == 1  # processes are forked
    versions = provenance.versions()
    # Asking git and every package takes longer than most of these processes live.
    provenance.versions, provenance.commit = lambda: versions, lambda: None
    before = RESULTS / "batch.json"
    measured: dict[str, Any] = json.loads(before.read_text())["measured"] if options.only and before.is_file() else {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        parts: dict[str, Callable[[], Any]] = {
            "kills": lambda: kills(folder, options.rows, options.kills),
            "workers": lambda: workers(folder, options.worker_kills),
            "ledger": lambda: ledger(folder),
            "without a model": lambda: without_model(folder),
            "overhead": lambda: overhead(folder, drawn(folder, options.pictures)),
            "speed": lambda: speed(folder, drawn(folder, options.pictures), ray=not options.no_ray),
        }
        for name in options.only or parts:
            found = parts[name]()
            measured[name] = {"load of the machine": round(os.getloadavg()[1], 1), **found}
            record("batch", measured, ("numpy", "pyarrow", "onnxruntime"))


if __name__ == "__main__":
    main()
