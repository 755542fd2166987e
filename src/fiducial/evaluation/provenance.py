"""Where numbers come from: versions, commit, machine."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fiducial.versions import versions


def session(command: list[str]) -> dict[str, Any]:
    """Describe one run of the program: command, time, versions, commit, machine."""
    return {
        "command": command,
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
    source = importlib.import_module("fiducial").__file__
    if source is None:
        return None
    folder = Path(source).resolve().parent
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
