"""What every benchmark shares: timing side by side, and a result file that says where it was measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def median_seconds(work: Callable[[], Any], *, repeats: int = 7, budget: float = 20.0) -> float:
    """Run once to warm up, then time up to ``repeats`` runs within ``budget`` seconds; return the median."""
    work()
    times: list[float] = []
    while len(times) < repeats and sum(times) < budget:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def machine() -> dict[str, Any]:
    """Describe the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def record(name: str, measured: Any, packages: tuple[str, ...] = ("numpy",)) -> Path:
    """Write ``results/NAME.json`` with the numbers, the command, the machine and the versions."""
    RESULTS.mkdir(exist_ok=True)
    script = Path(sys.argv[0]).name
    result = {
        "command": " ".join(["python", f"benchmarks/{script}", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {package: version(package) for package in ("fiducial", *packages)},
        "measured": measured,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(measured, indent=2))
    return path
