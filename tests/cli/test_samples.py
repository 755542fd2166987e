import json
import shlex
import sys

import pytest

from fiducial.cli import main
from fiducial.synthetic import samples


@pytest.fixture
def two(monkeypatch):
    found = [one for one in samples.SAMPLES if one.name in ("coins.png", "chelsea.png")]
    monkeypatch.setattr("fiducial.cli.samples.SAMPLES", found)
    monkeypatch.setattr(samples.write_samples, "__defaults__", (found,))
    return found


def test_the_current_folder_is_filled_and_commands_are_printed(two, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["samples"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line) for line in lines] == [["fiducial", "segment", one.name, one.instruction] for one in two]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(one.name for one in two)


def test_what_is_there_is_left_as_it_is(two, tmp_path, capsys):
    folder = tmp_path / "my pictures"
    folder.mkdir()
    (folder / "coins.png").write_text("mine")
    assert main(["samples", str(folder)]) == 0
    mine, other = capsys.readouterr().out.splitlines()
    assert (folder / "coins.png").read_text() == "mine"
    assert "left as it is" in mine
    assert "left as it is" not in other
    assert shlex.split(other)[2] == str(folder / "chelsea.png")
    assert main(["samples", str(folder), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["written"] for one in found] == [False, False]
    assert found[0] == {"path": str(folder / "coins.png"), "written": False, "instruction": two[0].instruction}


def test_without_scikit_image_the_photographs_are_left_out_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    assert main(["samples", str(tmp_path), "--json"]) == 0
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {one.name for one in samples.SAMPLES if one.scene}
    out, said = capsys.readouterr()
    assert len(out.splitlines()) == len(written)
    assert said == (
        "fiducial: coins.png, rocket.png, coffee.png, chelsea.png come with scikit-image: "
        "pip install 'fiducial[samples]', then run this again\n"
    )
