"""The committed benchmark results say what made them, where, and with which versions."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def test_every_benchmark_has_a_result():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"recording"}
    assert scripts == {path.stem for path in RESULTS}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_says_how_it_was_measured(path):
    result = json.loads(path.read_text())
    assert result["command"].startswith(f"python benchmarks/{path.stem}.py")
    assert {"cpu", "cores", "python"} <= set(result["machine"])
    assert result["versions"]["fiducial"]
    assert result["measured"]
