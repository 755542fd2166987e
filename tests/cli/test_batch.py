import json

import PIL.Image
import pytest

from evaluation_fakes import RedPrompter, picture, place
from fakes import BoxSegmenter
from fiducial import Pipeline
from fiducial.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = Pipeline(prompter=RedPrompter(), segmenter=BoxSegmenter(), name="red")
    monkeypatch.setattr("fiducial.jobs.working.recipes.load", lambda recipe: made)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number in (1, 2):
        PIL.Image.fromarray(picture(number, place(number)).pixels).save(f"pictures/{number}.png")
    return tmp_path


def test_counts_are_said_and_a_dead_row_is_a_failure(folder, capsys):
    (folder / "rows.csv").write_text("image,instruction,split\npictures/1.png,red,a\ngone.png,red,b\n")
    words = ["batch", "rows.csv", "--out", "out", "--workers", "0", "--coco"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out.startswith("2 rows: 1 dead, 1 ")
    assert "wrote 1 file in out/results" in said.out
    assert "wrote out/coco.json" in said.out
    assert "wrote out/dead.jsonl" in said.out
    assert "fiducial: skipped the column 'split', which is not read" in said.err
    assert main([*words, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["rows"], said["dead"], said["new"]) == (2, 1, 0)


def test_a_folder_takes_one_instruction_for_all(folder, capsys):
    assert main(["batch", "pictures", "the red thing", "--out", "out", "--workers", "0"]) in (0, 1)
    assert capsys.readouterr().out.startswith("2 rows: ")
    assert main(["batch", "pictures", "--out", "none", "--workers", "0"]) == 2
    assert "say what to segment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.csv", "--out", "out"], "gone.csv: no such file or folder"),
        (["rows.csv"], "--out"),
        (["rows.csv", "--out", "out", "--workers", "-1"], "--workers: needs at least 0, got -1"),
        (["rows.csv", "--out", "out", "--engine", "spark"], "unknown value"),
    ],
)
def test_what_makes_no_sense_is_one_line(folder, capsys, words, said):
    assert main(["batch", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
