"""What the README shows is run: its shell and Python blocks, in order, in a folder that is empty at first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which everything is run."""
    return tmp_path_factory.mktemp("readme")


def test_the_readme_has_both_kinds_of_blocks():
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, place):
    kind, text = BLOCKS[number]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    if kind == "python":
        words = [sys.executable, "-c", text]
    else:
        # make is tried without doing: this very test is part of `make test`; so is installing.
        text = re.sub(r"^make ", f"make --dry-run -C '{ROOT}' ", text, flags=re.MULTILINE)
        text = re.sub(r"^pip install .*$", "true", text, flags=re.MULTILINE)
        words = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
