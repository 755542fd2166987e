"""Where results come from: command, configuration, versions, seed and machine, written beside every output."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fiducial.files import json_text, make_folder, write_atomically

RUN_CARD = "run.json"
"""The file of every output folder that says what made it."""

PACKAGES = (
    "fiducial",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scipy",
    "scikit-image",
    "lark",
    "onnxruntime",
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "torchao",
    "trl",
    "peft",
    "datasets",
    "supervision",
    "nibabel",
    "pydicom",
    "highdicom",
    "rasterio",
    "pyarrow",
    "httpx",
    "fastapi",
)
"""Packages whose version can change a result, or whether there is one."""


def write_run_card(folder: str | Path, command: Sequence[str], *, seed: int | None = None, **described: Any) -> Path:
    """Write the run card: command, what is described (``recipe=``, ``config=``), versions and seed.

    Args:
        folder: of the output; made when it does not exist.
        command: the words of the command line.
        seed: of the run; None where nothing is random.
        described: the resolved configuration as plain values.
    """
    card = {"command": list(command), **described, "versions": versions(), "seed": seed}
    return write_atomically(make_folder(folder) / RUN_CARD, json_text(card))


def versions() -> dict[str, str | None]:
    """Return the version of Python and of each package; None for one that is not installed.

    They stand in the names of the folders beside the packages, ``numpy-2.4.6.dist-info``, which are read in a tenth of
    the time that ``importlib.metadata`` takes; it is asked where packages lie in archives or in the manner of old.
    """
    found: dict[str, str | None] = {}
    otherwise = False
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except NotADirectoryError:
            otherwise = True
            continue
        except OSError:  # it may be named and not there
            continue
        for name in names:
            if stated := _STATED.fullmatch(name):
                found.setdefault(re.sub(r"[-_.]+", "-", stated[1]).lower(), stated[2])
            otherwise |= name.endswith((".egg", ".egg-info", ".egg-link"))
    return {
        "python": platform.python_version(),
        **{name: found.get(name) or (_version(name) if otherwise else None) for name in PACKAGES},
    }


_STATED = re.compile(r"([^-]+)-([^-]+)\.dist-info")


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def session(command: Sequence[str]) -> dict[str, Any]:
    """Describe one run of the program: command, time, versions, commit, machine."""
    return {
        "command": list(command),
        "started": now(),
        "versions": versions(),
        "commit": commit(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str | None:
    """Return the commit that this package's source tree is at, with ``-dirty`` where files were changed.

    None where the package was installed without its history, or where git is not there.
    """
    folder = Path(__file__).resolve().parent
    if not (folder.parents[1] / ".git").exists():
        return None
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return head and (f"{head}-dirty" if changed else head)


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "--no-optional-locks", *words], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
