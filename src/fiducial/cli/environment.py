"""What a run stood on: versions, devices, memory, caches."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from fiducial.provenance import versions
from fiducial.results import make_folder, write_atomically


def memory_bytes() -> tuple[int, int] | None:
    """Return total and available memory in bytes, where the system tells."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def devices() -> list[str]:
    """Name the devices that models can run on."""
    found = [f"cpu ({os.cpu_count()} cores, {platform.machine()})"]
    try:
        import torch
    except ImportError:
        return found
    for index in range(torch.cuda.device_count()):
        found.append(f"cuda:{index} ({torch.cuda.get_device_name(index)})")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def write_run_card(folder: Path, command: str, words: list[str], recipe: dict[str, Any]) -> Path:
    """Write ``run.json`` beside the output: command, resolved recipe, versions, seed.

    Everything that runs here is deterministic unless a recipe asks for sampling, whose seed is one
    of the recipe's options.
    """
    card = {
        "command": ["fiducial", command, *words],
        "recipe": recipe,
        "versions": versions(),
        "seed": recipe.get("prompter", {}).get("seed"),
    }
    return write_atomically(make_folder(folder) / "run.json", json.dumps(card, indent=2, ensure_ascii=False) + "\n")
