import json

import pytest

import fake_datasets
from fiducial.cli import main


def test_expressions_are_written_counted_and_evaluated(tmp_path, capsys):
    out = tmp_path / "made" / "shapes.jsonl"
    assert main(["refer", "scenes:shapes?count=4&seed=2", "--out", str(out), "--per-image", "3"]) == 0
    shown = capsys.readouterr().out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert f"wrote {len(lines)} expressions" in shown
    assert lines
    assert all({"id", "image", "instruction", "family", "instances"} <= set(line) for line in lines)
    again = tmp_path / "again.jsonl"
    assert main(["refer", "scenes:shapes?count=4&seed=2", "--out", str(again), "--per-image", "3"]) == 0
    assert again.read_text() == out.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--families", "sise"], "did you mean 'size'"),
        (["--per-image", "0"], "at least 1"),
    ],
)
def test_impossible_requests_are_bad_input(words, message, tmp_path, capsys):
    assert main(["refer", "scenes:shapes?count=1", "--out", str(tmp_path / "x.jsonl"), *words]) == 2
    assert message in capsys.readouterr().err


def masks_of(target, tmp_path):
    """Write a plain folder of one picture with one mask."""
    root = fake_datasets.folder(tmp_path)
    return ["refer", str(root), "--style", "prs-med", "--out", str(tmp_path / "asked.jsonl"), *target]


def test_names_that_are_not_known_are_noted(tmp_path, capsys):
    assert main(masks_of(["--target", "polip", "--sides", "radiological"], tmp_path)) == 0
    said = capsys.readouterr().err
    assert "note: 'polip' is asked for as written: no known target of a picture" in said
    assert "sides of the patient" in said
    assert main(masks_of(["--target", "lesion", "--modality", "breast ultrasound"], tmp_path / "known")) == 0
    assert capsys.readouterr().err == ""


def test_pictures_without_sides_of_the_patient_are_refused(tmp_path, capsys):
    assert main(masks_of(["--target", "polyp", "--sides", "radiological"], tmp_path)) == 2
    assert "an endoscopy picture shows no sides of the patient" in capsys.readouterr().err


def test_a_target_that_nobody_names_is_asked_for_in_words_for_every_door(tmp_path, capsys):
    assert main(masks_of([], tmp_path)) == 2
    said = capsys.readouterr().err
    assert "name its target, such as polyp" in said
    assert "target=" not in said
