import json

import pytest

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
