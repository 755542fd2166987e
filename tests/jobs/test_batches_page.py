"""What docs/batches.md shows is run: its shell and Python blocks, in order, in a folder that is empty at first."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "batches.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_what_the_page_shows_runs_and_does_what_it_says(tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    said = []
    for kind, text in BLOCKS:
        if text.startswith("pip install"):
            continue
        words = [sys.executable, "-c", text] if kind == "python" else ["bash", "-euo", "pipefail", "-c", text]
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}
    (dead,) = map(json.loads, (tmp_path / "ships" / "dead.jsonl").read_text().splitlines())
    assert (dead["id"], dead["row"]) == ("c", 3)
    assert "(0 of them now)" in said[0]
    assert [line.split()[:3] for line in said[1].splitlines()][:2] == [["a", "found", "1"], ["a", "found", "2"]]
    named = re.findall(r"^\| `([a-z]+)(?:/part-00000\.parquet|\.jsonl|\.json|\.sqlite)?` ", PAGE, flags=re.MULTILINE)
    assert {"results", "dead", "seconds", "run", "ledger"} <= set(named)
    assert {"results", "seconds", "dead.jsonl", "run.json", "ledger.sqlite"} <= set(os.listdir(tmp_path / "ships"))
    assert (tmp_path / "regions" / "coco.json").is_file()
