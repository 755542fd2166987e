"""Benchmarks and examples import what is there; committed results say what made them, where, and with what."""

import importlib.util
import json
import sys
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


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("examples/*.py")]), ids=lambda path: path.stem
)
def test_a_script_imports_what_is_there(path, monkeypatch):
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    monkeypatch.setitem(sys.modules, spec.name, module := importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    assert path.stem == "recording" or callable(module.main)
