"""``fiducial doctor``: is this machine fit, and what does each recipe still need?"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiducial.cli import common
from fiducial.config import Config, class_value, option
from fiducial.provenance import versions
from fiducial.recipes import Recipe, read_recipe, recipe_names
from fiducial.recipes.catalogue import local_folder
from fiducial.recipes.recipe import model_of

_EXTRA_PACKAGES = {"models": ("torch", "transformers", "safetensors", "accelerate"), "quantize": ("torchao",)}


@dataclass(frozen=True, kw_only=True)
class Doctor(Config):
    """Show versions, devices, memory, cache, and what each recipe still needs."""

    json: bool = option(False, "print one JSON object")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = common.parse(Doctor, "doctor", words)
    report = examine()
    if arguments.json:
        common.print_json(report)
        return 0
    print("versions")
    for package, number in report["versions"].items():
        print(f"  {package:<24}{number or 'not installed'}")
    print("devices")
    for device in report["devices"]:
        print(f"  {device}")
    memory = report["memory"]
    print("memory\n  " + ("unknown" if memory is None else f"{memory['available_gb']} of {memory['total_gb']} GB free"))
    cache = report["cache"]
    hub = "offline" if cache["offline"] else "online"
    print(f"cache of the hub\n  {cache['folder']} ({cache['size_mb']} MB, {hub})")
    print("recipes")
    for name, needs in report["recipes"].items():
        print(f"  {name:<24}{'ready' if not needs else 'needs ' + '; '.join(needs)}")
    return 0


def examine() -> dict[str, Any]:
    """Collect the report as plain values."""
    installed = versions()
    memory = memory_bytes()
    gigabytes = None if memory is None else [round(part / 1e9, 1) for part in memory]
    return {
        "versions": installed,
        "devices": devices(),
        "memory": None if gigabytes is None else {"total_gb": gigabytes[0], "available_gb": gigabytes[1]},
        "cache": _cache(),
        "recipes": {name: needs(read_recipe(name), installed) for name in recipe_names()},
    }


def needs(recipe: Recipe, installed: dict[str, str | None]) -> list[str]:
    """Say what a recipe still needs on this machine: packages, weights."""
    missing = []
    extras = sorted({class_value(type(part), "extra") for part in recipe.parts} - {""})
    for extra in extras:
        if any(installed.get(package) is None for package in _EXTRA_PACKAGES.get(extra, ())):
            missing.append(f"pip install 'fiducial[{extra}]'")
    for part in recipe.parts:
        model = model_of(part)
        if class_value(type(part), "extra") != "models":
            continue
        if not model:
            kind, name = class_value(type(part), "kind"), class_value(type(part), "name")
            missing.append(f"a model of your own: --{kind} {name}:FOLDER")
        elif local_folder(model) is None:
            missing.append(f"weights {model} (loaded from the hub when first used)")
    return missing


def _cache() -> dict[str, Any]:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    folder = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    offline = os.environ.get("HF_HUB_OFFLINE", "0") == "1"
    return {"folder": str(folder), "size_mb": round(size / 1e6), "offline": offline}


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
