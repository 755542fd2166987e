"""What is released: everything that runs, the weights among it, and nothing that only a checkout needs."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fiducial"
PARTS = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The files of the sdist, and those of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("release")
    for name in (*PARTS, "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("tests", "docs", "benchmarks", "examples"):
        (folder / name).mkdir()
        (folder / name / "test_something.py").touch()
    words = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "--quiet", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive if member.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        return packed, set(archive.namelist())


def own_files():
    every = (path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SOURCE.parent).as_posix() for path in every}


def test_the_wheel_holds_the_package_and_its_weights_and_nothing_else(built):
    _, wheel = built
    expected = own_files()
    assert {f"fiducial/models/nano-{name}.safetensors" for name in ("grounder", "segmenter", "words")} <= expected
    inside = {name for name in wheel if ".dist-info/" not in name}
    assert inside == expected
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)


def test_the_sdist_holds_what_the_wheel_is_built_from(built):
    names, _ = built
    beside = {name for name in names if not name.startswith("src/")}
    assert beside == {*PARTS, "PKG-INFO", "setup.cfg"}
    assert {f"src/{name}" for name in own_files()} <= names
