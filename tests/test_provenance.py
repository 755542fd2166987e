import importlib.metadata
import json
import subprocess
import zipfile

import pytest

from fiducial import provenance


def test_packages_that_are_missing_are_told(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    found = provenance.versions()
    assert found["numpy"]
    assert found["no-such-package"] is None


def test_versions_are_those_that_the_packages_state():
    for package, version in provenance.versions().items():
        if package != "python":
            try:
                stated = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                stated = None
            assert version == stated, package


@pytest.mark.parametrize("kind", ["folder", "old folder", "archive"])
def test_versions_are_found_wherever_packages_lie(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "PACKAGES", ("an-odd-name", "numpy"))
    lying = {"folder": "An_Odd.Name-1.2+cpu.dist-info/METADATA", "old folder": "An_Odd.Name.egg-info/PKG-INFO"}
    place, stated = tmp_path / "there", "Metadata-Version: 2.1\nName: An_Odd.Name\nVersion: 1.2+cpu\n"
    if kind == "archive":
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr(lying["folder"], stated)
    else:
        (place / lying[kind]).parent.mkdir(parents=True)
        (place / lying[kind]).write_text(stated)
    monkeypatch.setattr("sys.path", [str(tmp_path / "gone"), str(place)])
    found = provenance.versions()
    assert (found["an-odd-name"], found["numpy"]) == ("1.2+cpu", None)


def test_a_run_card_has_command_description_versions_and_seed(tmp_path):
    path = provenance.write_run_card(tmp_path / "new", ["fiducial", "cut"], seed=3, recipe={"name": "nano"})
    card = json.loads(path.read_text("utf-8"))
    assert path.name == "run.json"
    assert list(card) == ["command", "recipe", "versions", "seed"]
    assert (card["command"], card["recipe"], card["seed"]) == (["fiducial", "cut"], {"name": "nano"}, 3)
    assert card["versions"]["python"]


def test_the_commit_is_told_where_there_is_one(monkeypatch):
    said = {"rev-parse": "abc\n", "status": ""}

    def run(words, **options):
        return subprocess.CompletedProcess(words, 0, said[words[4]], "")

    monkeypatch.setattr(provenance.subprocess, "run", run)
    monkeypatch.setattr(provenance.Path, "exists", lambda self: True)
    assert provenance.commit() == "abc"
    said["status"] = " M a.py\n"
    assert provenance.commit() == "abc-dirty"

    def fail(words, **options):
        raise OSError("no git")

    monkeypatch.setattr(provenance.subprocess, "run", fail)
    assert provenance.commit() is None
    monkeypatch.setattr(provenance.Path, "exists", lambda self: False)
    assert provenance.commit() is None
