"""``docs/maps.md`` is true: its blocks run, in order, in a folder that is empty at first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import geopandas

PAGE = (Path(__file__).parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_every_block_runs(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    assert len(BLOCKS) == 4
    said = []
    for kind, text in BLOCKS:
        words = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert '"outcome": "found"' in said[1]
    assert said[3].startswith("found Chose all")
    assert not (tmp_path / "planes" / "targets.parquet").exists()  # of an earlier answer
    assert len(geopandas.read_file(tmp_path / "planes" / "targets.gpkg", layer="targets")) > 0
