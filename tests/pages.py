"""Pages that are run: their shell and Python blocks, in order, in a folder that is empty at first.

A block below ``<!-- not run: WHY -->`` is left out, such as one that needs a download. A page's Python blocks go on
with each other's names; ``pip install`` is left out, and make is tried without doing, since the suite runs from it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(bash|python)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def blocks(page):
    """Return kind and text of every block of a page that is run."""
    found = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [(kind, text) for marked, kind, text in found if not marked]


def run(kind, text, place, names):
    """Run a block in a folder; what Python names is kept for the blocks that follow."""
    if kind == "python":
        before = Path.cwd()
        os.chdir(place)
        try:
            exec(compile(text, "<block>", "exec"), names)  # noqa: S102 - a page of this very repository
        finally:
            os.chdir(before)
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    text = re.sub(r"^make ", f"make --dry-run -C '{ROOT}' ", text, flags=re.MULTILINE)
    text = re.sub(r"^pip install .*$", "true", text, flags=re.MULTILINE)
    words = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
