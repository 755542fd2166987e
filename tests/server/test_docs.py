"""What docs/server.md shows is run, against one server that is started as it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx")

from fiducial.cli import common
from fiducial.cli.serve import Serve
from fiducial.server.configs import RecipeServerConfig
from pages import blocks, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python|json)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A server of the default recipe at a free port, and an empty folder to ask it from."""
    command = [sys.executable, "-m", "fiducial", "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    yield re.search(r"http://127\.0\.0\.1:\d+", said)[0], tmp_path_factory.mktemp("server")
    process.terminate()
    assert process.wait(60) == 0


def test_commands_that_start_a_server_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("prompter: {name: nano}\nsegmenter: {name: nano}\n")
    started = [line.partition("#")[0].split()[2:] for line in BLOCKS[0][1].splitlines() if line.startswith("fiducial")]
    assert len(started) == 3
    served = [[one.name for one in common.parse(Serve, "serve", words).recipes()] for words in started]
    assert served == [["nano"], ["nano", "classic"], ["mine"]]
    agent = json.loads(next(text for kind, text in BLOCKS if kind == "json"))["mcpServers"]["fiducial"]
    assert common.parse(Serve, "serve", agent["args"][1:]).mcp


def test_what_is_asked_is_answered(running):
    url, place = running
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for kind, text in BLOCKS[1:]:
        asked = text.replace("http://127.0.0.1:8100", url)
        if kind == "bash" and shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        if kind == "json":
            continue
        words = ["bash", "-euo", "pipefail", "-c", asked] if kind == "bash" else [sys.executable, "-c", asked]
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert json.loads((place / "answer.json").read_text())["outcome"] == "found"
    assert "/v1/segment" in json.loads((place / "openapi.json").read_text())["paths"]
    (task,) = json.loads((place / "tasks.json").read_text())
    shapes = task["predictions"][0]["result"]
    assert {shape["value"]["polygonlabels"][0] for shape in shapes} == {"ship"}
    assert all(0 <= number <= 100 for shape in shapes for point in shape["value"]["points"] for number in point)


def test_limits_are_those_of_the_page():
    config = RecipeServerConfig()
    for name, shown in (("queue", "32"), ("max_prompts", "256"), ("read_seconds", "60 s"), ("seconds", "120 s")):
        assert re.search(rf"^\| `--{name.replace('_', '-')}`:.*\| {shown} \|", PAGE, re.MULTILINE), name
        assert getattr(config, name) == float(shown.split()[0])
    assert (config.max_bytes, config.store_bytes, config.memory_bytes) == (32 * 2**20, 2**29, 2**30)
    assert config.max_pixels == 25_000_000


def test_the_tutorial_s_questions_are_answered(running):
    url, place = running
    names = {"__name__": "page"}
    for kind, text in blocks("docs/tutorials/serving.md"):
        if "curl" in text and shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        run(kind, text.replace("http://127.0.0.1:8100", url), place, names)
    assert json.loads((place / "answer.json").read_text())["outcome"] == "found"
    assert len(names["waited"]) == 16
