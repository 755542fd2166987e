import io
import json

import numpy as np
import PIL.Image
import pytest

from fiducial.cli import main
from fiducial.language.dialects import DIALECTS


@pytest.fixture
def reply(monkeypatch):
    def give(text):
        class Stdin:
            buffer = io.BytesIO(text.encode())

        monkeypatch.setattr("sys.stdin", Stdin())

    return give


def test_a_reply_becomes_pixels_of_the_image(reply, capsys):
    reply("<think>two of them</think>[[0.1, 0.2, 0.5, 0.6],]")
    assert main(["parse", "--dialect", "sjtu", "--image", "200x100"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["outcome", "text", "thinking", "prompts", "repairs"]
    assert found["outcome"] == "found"
    assert found["thinking"] == "two of them"
    assert found["prompts"][0]["box"] == pytest.approx([20, 20, 100, 60])
    assert found["repairs"]


def test_the_canvas_that_was_shown_counts(reply, capsys):
    reply('[{"bbox_2d": [84, 84, 420, 420], "label": "ship"}]')
    assert main(["parse", "--dialect", "think2seg", "--image", "1000x500", "--canvas", "840x840"]) == 0
    [prompt] = json.loads(capsys.readouterr().out)["prompts"]
    assert prompt["box"] == pytest.approx([100, 50, 500, 250])


def test_strict_mends_nothing(reply, capsys):
    reply('[{"bbox_2d": [84, 84, 420, 420]}]')
    assert main(["parse", "--dialect", "think2seg", "--image", "840x840", "--strict"]) == 0
    written = capsys.readouterr()
    why = "the reply needs each of <think>, </think>, <answer> and </answer> exactly once"
    assert json.loads(written.out)["outcome"] == "malformed"
    assert json.loads(written.out)["text"] == why
    assert written.err == f"fiducial: malformed reply: {why}\n"


def test_bytes_that_are_no_text_are_malformed(capsys, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"\xff\xfe\x00")

    monkeypatch.setattr("sys.stdin", Stdin())
    assert main(["parse", "--dialect", "sjtu", "--image", "200x100"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "malformed"


def test_the_list_names_every_dialect(capsys):
    assert main(["parse", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DIALECTS)
    assert len(lines) >= 16


def test_the_grid_is_drawn(tmp_path, capsys):
    PIL.Image.new("RGB", (90, 90), "white").save(tmp_path / "a.png")
    assert main(["overlay", str(tmp_path / "a.png"), "--grid", "9", "--out", str(tmp_path / "g.png")]) == 0
    drawn = np.asarray(PIL.Image.open(tmp_path / "g.png"))
    assert (drawn[5, :, 0] < 255).sum() == 8
    assert f"wrote {tmp_path / 'g.png'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "{folder}"], "is a folder"),
        (["--out", "{folder}/g.xyz"], "no picture format"),
        (["--grid", "0", "--out", "{folder}/g.png"], "grid"),
        (["--grid", "axb", "--out", "{folder}/g.png"], "grid"),
        (["--colour", "blurple", "--out", "{folder}/g.png"], "colour"),
        (["--opacity", "3", "--out", "{folder}/g.png"], "opacity"),
    ],
)
def test_impossible_overlays_are_bad_input(tmp_path, capsys, words, message):
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert main(["overlay", str(tmp_path / "a.png"), *(word.format(folder=tmp_path) for word in words)]) == 2
    assert message in capsys.readouterr().err
