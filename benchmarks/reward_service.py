"""What it costs to cut the masks of rewards behind HTTP: completions a second for 1, 4 and 16 clients.

The service is a process of its own with the embedded segmenter; each client is a thread with connections of its own and
asks for one group of completions after the other, as a trainer's process does. The baseline is the service in this
process, one group after the other. All ways cut the same groups, taken in turns, and the masks are compared (batches
of another size turn single pixels on some processors). "One image" lets all clients ask about one image at a time:
what waits together is then cut together. Processor seconds, of both processes, are told too: they depend less on what
else the machine does.

    python benchmarks/reward_service.py
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import torch
from recording import record

from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.rewards import MaskService, ServiceConfig
from fiducial.rewards.client import RemoteMaskService
from fiducial.rewards.service import Cut
from fiducial.segmenters.configs import NanoConfig

SIDE = 640
CLIENTS = (1, 4, 16)
Group = tuple[Image, list[Prompts]]


def groups(count: int, completions: int, *, images: int, start: int = 0) -> list[Group]:
    """Make groups of completions: one or two boxes each, near those of the group's other completions, some alike."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(start + number)
        coarse = np.random.default_rng(start + number % images).integers(0, 255, (20, 20, 3)).astype(np.uint8)
        image = Image(np.ascontiguousarray(np.kron(coarse, np.ones((SIDE // 20, SIDE // 20, 1), np.uint8))))
        centres = rng.uniform(120, SIDE - 120, (2, 2))
        rows = []
        for k in range(completions):
            corners = centres[: 1 + k % 2] + rng.integers(-1, 2, 2) * 8.0
            rows.append(Prompts.from_boxes(image.frame, [(x - 60, y - 50, x + 60, y + 50) for x, y in corners]))
        made.append((image, rows))
    return made


def serve(threads: int) -> tuple[subprocess.Popen[str], str]:
    """Start the service, and return it with its URL."""
    command = [sys.executable, "-m", "fiducial", "serve", "reward", "--segmenter", "nano?device=cpu", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"http://\S+", said)
    if found is None:
        raise SystemExit(f"the service did not start: {said!r}")
    return process, found[0]


def here(service: MaskService, work: Sequence[Group]) -> list[list[Cut]]:
    """Cut one group after the other in this process."""
    return [service.cut(*group) for group in work]


def elsewhere(clients: Sequence[RemoteMaskService], work: Sequence[Group]) -> list[list[Cut]]:
    """Let each client cut its share of the groups."""
    with ThreadPoolExecutor(len(clients)) as pool:
        shares = pool.map(
            lambda number: [clients[number].cut(*group) for group in work[number :: len(clients)]], range(len(clients))
        )
        answered = [list(share) for share in shares]
    return [answered[number % len(clients)][number // len(clients)] for number in range(len(work))]


def timed(work: Callable[[], list[list[Cut]]], service: psutil.Process) -> tuple[float, float, list[list[Cut]]]:
    """Return the seconds that something takes, those of the processor in both processes, and what it cuts."""
    before, started = time.process_time() + sum(service.cpu_times()[:2]), time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    return seconds, time.process_time() + sum(service.cpu_times()[:2]) - before, found


def smallest_iou(found: list[list[Cut]], expected: list[list[Cut]]) -> float:
    """Return how much the two masks that differ most have in common."""
    pairs = [
        (one, other)
        for groups_of_both in zip(found, expected, strict=True)
        for cuts in zip(*groups_of_both, strict=True)
        if not any(isinstance(cut, Exception) for cut in cuts)
        for one, other in zip(*cuts, strict=True)  # type: ignore[arg-type]
    ]
    return min(1.0 if one == other else one.iou(other) for one, other in pairs)


def compare(
    work: list[Group], local: MaskService, clients: list[RemoteMaskService], service: psutil.Process, rounds: int
) -> dict[str, Any]:
    """Cut groups all ways in turns."""
    elsewhere(clients[:1], work)  # images are sent and encoded, the network is warm
    here(local, work[:1])
    seconds: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    calls: dict[str, int] = {}
    agreement = 1.0
    for _ in range(rounds):
        spent, busy, expected = timed(lambda: here(local, work), service)
        seconds.setdefault("in process", []).append(spent)
        processor.setdefault("in process", []).append(busy)
        for number in CLIENTS:
            name, some = f"{number} client{'s' * (number > 1)}", clients[:number]
            before = some[0].about()["counts"]["calls"]
            spent, busy, found = timed(lambda some=some: elsewhere(some, work), service)  # type: ignore[misc]
            seconds.setdefault(name, []).append(spent)
            processor.setdefault(name, []).append(busy)
            calls[name] = some[0].about()["counts"]["calls"] - before
            agreement = min(agreement, smallest_iou(found, expected))
    count = sum(len(rows) for _, rows in work)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    cost = {name: statistics.median(times) for name, times in processor.items()}
    return {
        "completions_per_second": {name: round(count / one, 2) for name, one in middle.items()},
        "times_as_fast_as_in_process": {
            name: round(statistics.median(a / b for a, b in zip(seconds["in process"], seconds[name], strict=True)), 2)
            for name in calls
        },
        "processor_seconds": {name: round(one, 2) for name, one in cost.items()},
        "processor_seconds_over_in_process": {name: round(cost[name] / cost["in process"], 3) for name in calls},
        "segmenter_calls_for_all_groups": calls,
        "smallest_iou_with_in_process": round(agreement, 4),
    }


def measure(count: int, completions: int, rounds: int, threads: int) -> dict[str, Any]:
    """Time all ways."""
    local = MaskService(NanoConfig(device="cpu").build())
    process, url = serve(threads)
    try:
        clients = [ServiceConfig(url=url).build() for _ in range(max(CLIENTS))]
        service = psutil.Process(process.pid)
        found = {
            kind: compare(
                groups(count, completions, images=images, start=1000 * images), local, clients, service, rounds
            )
            for kind, images in (("own images", count), ("one image", 1))
        }
        return {
            "image": [SIDE, SIDE],
            "torch_threads": threads,
            "groups": count,
            "completions_per_group": completions,
            "rounds": rounds,
            "load_average_at_the_end": [round(one, 1) for one in os.getloadavg()],
            "images_encoded_by_the_service": clients[0].about()["counts"]["encoded"],
            **found,
        }
    finally:
        process.terminate()
        process.wait(60)


def main() -> None:
    """Measure and write the numbers down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", type=int, default=16)
    parser.add_argument("--completions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured = measure(options.groups, options.completions, options.rounds, options.threads)
    record("reward_service", measured, ("torch", "fastapi", "uvicorn", "httpx"))


if __name__ == "__main__":
    main()
