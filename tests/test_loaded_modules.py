"""What each command loads: torch is no part of the base install, and heavy packages come in when they are used.

The commands run in children of one process where the packages of the extras cannot be imported, as on a machine that
has the base install alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fiducial.cli import main

ROOT = Path(__file__).parents[1]
SHIPS = str(ROOT / "docs" / "images" / "ships.png")
RUN = """
import contextlib, io, json, os, sys

MISSING = {"scipy", "skimage", "torch", "transformers", "accelerate", "peft", "trl", "datasets", "onnx", "filelock"}
MISSING |= {"tensorboard", "rasterio", "geopandas", "pyogrio", "shapely", "pyproj", "affine", "pyarrow"}
HEAVY = {"numpy", "cv2", "PIL", "onnxruntime", "lark", "yaml", "progressbar", "jinja2", "safetensors"}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def run(words):
    said, status = io.StringIO(), 0
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"[[0.1, 0.2, 0.5, 0.6]]"))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        import fiducial

        if words:
            from fiducial.cli import main

            status = main(words)
    loaded = {name.partition(".")[0] for name in sys.modules}
    return status, said.getvalue(), sorted(loaded & HEAVY), sorted(loaded & MISSING)


sys.meta_path.insert(0, Absent())
for words in json.load(sys.stdin):
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, json.dumps(run(words)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        print(answer.read(), flush=True)
    os.wait()
"""

PICTURES = {"numpy", "PIL"}
LANGUAGE = PICTURES | {"cv2", "lark"}
NANO = {"onnxruntime", "safetensors"}
SCENES = "scenes:shapes?count=1&seed=1&size=96"


def commands(folder):
    """Return each command with what it loads of the heavy packages, in an order in which they can run."""
    found, truth, run = (str(folder / name) for name in ("found", "truth", "run"))
    segment = ["segment", SHIPS, "the two largest ships", "--out", str(folder / "out")]
    return {
        "import fiducial": ([], set()),
        "--help": (["--help"], set()),
        "--version": (["--version"], set()),
        "parse": (["parse", "--dialect", "sjtu", "--image", "640x480"], PICTURES),
        "overlay": (["overlay", SHIPS, "--grid", "9", "--out", str(folder / "grid.png")], PICTURES),
        "recipes": (["recipes"], PICTURES | {"yaml"}),
        "describe": (["describe", "segmenter"], PICTURES | {"lark"}),
        "models": (["models", "nano-segmenter"], PICTURES | {"yaml"}),
        "doctor": (["doctor", "--json"], PICTURES | {"yaml"}),
        "score": (["score", found, truth], LANGUAGE),
        "compare": (["compare", run, run], LANGUAGE | {"yaml"}),
        "refer": (["refer", SCENES, "--out", str(folder / "refer.jsonl")], LANGUAGE),
        "classic": (
            ["segment", SHIPS, "the white region", "--recipe", "classic", "--json"],
            LANGUAGE | {"yaml"},
        ),
        "refiners": (
            ["cut", SHIPS, "--box", "151,50,249,98", "--segmenter", "grabcut", "--refine", "cfpg,mbo", "--json"],
            PICTURES | {"cv2"},
        ),
        "segment": (segment, LANGUAGE | NANO | {"yaml"}),
        "cut": (["cut", SHIPS, "--box", "151,50,249,98", "--json"], PICTURES | NANO | {"cv2"}),
    }


EVALUATE = ["evaluate", SCENES, "--prompter", "truth", "--segmenter", "grabcut", "--json"]
NEEDING = {
    "measuring outlines": ([*EVALUATE, "--out", "other"], "measure"),
    "segmenter 'sam'": (["cut", SHIPS, "--box", "1,1,9,9", "--segmenter", "sam:facebook/sam-vit-base"], "models"),
    "prompter 'nano-vlm'": (["segment", SHIPS, "the ship", "--prompter", "nano-vlm"], "models"),
    "device 'mps'": (["cut", SHIPS, "--box", "1,1,9,9", "--device", "mps"], "models"),
    "a batch": (["batch", "rows.csv", "--out", "run"], "jobs"),
    "train segmenter": (["train", "segmenter", "nano-segmenter", "--out", "run"], "train"),
    "train words": (["train", "words", "nano-words", "--out", "run"], "train"),
    "train sft": (["train", "sft", "think2seg-sft", "--out", "run"], "train"),
    "a map": (["segment", "map.vrt", "the ship"], "rasters"),
    "models --export": (["models", "nano-segmenter", "--export"], "train"),
}
"""Commands that need more than the base install, with what needs it and the extra that brings it."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    for name, right in (("truth", 20), ("found", 24)):
        mask = np.zeros((30, 40), np.uint8)
        mask[5:15, 5:right] = 255
        (folder / name).mkdir()
        PIL.Image.fromarray(mask).save(folder / name / "a.png")
    assert main([*EVALUATE, "--out", str(folder / "run")]) == 0  # what is compared
    (folder / "map.vrt").touch()
    asked = {**commands(folder), **NEEDING}
    given = json.dumps([words for words, _ in asked.values()])
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=given, capture_output=True, text=True, check=True, cwd=folder
    )
    return dict(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", commands(Path()))
def test_what_a_command_loads(ran, name):
    status, said, heavy, missing = ran[name]
    assert (status, said) == (0, "")
    assert set(heavy) == commands(Path())[name][1]
    assert not missing


@pytest.mark.parametrize("name", NEEDING)
def test_what_needs_an_extra_says_in_one_line_which(ran, name):
    status, said, _, missing = ran[name]
    assert status == 2
    assert said.startswith(f"fiducial: {name} needs packages that are missing (no module '")
    assert said.endswith(f"): pip install 'fiducial[{NEEDING[name][1]}]'\n")
    assert said.count("\n") == 1
    assert not missing


def test_no_package_of_an_extra_is_needed_by_what_is_installed_with_the_base():
    """The base install's list and the finder above are of one mind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert not base & {
        "scipy",
        "scikit-image",
        "torch",
        "transformers",
        "accelerate",
        "peft",
        "trl",
        "datasets",
        "onnx",
        "filelock",
    }
    assert "onnxruntime" in base
