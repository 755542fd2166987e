import json

import PIL.Image
import pytest
import yaml

from fiducial import plugins
from fiducial.cli import main
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.sam import SamSegmenter
from tiny.sam import tiny_sam

CONFIG = {
    "data": [{"dataset": "scenes:shapes?count=8&seed=3&size=128", "held_out": 0.3}],
    "phases": [{"size": 32, "steps": 2}],
    "batch_size": 4,
    "network": {"widths": [8, 16], "encoder": [1, 1]},
    "eval_limit": 2,
    "num_threads": 1,
    "num_workers": 0,
}

DECODER = {
    "data": [{"dataset": "scenes:shapes?count=8&seed=3&size=96", "held_out": 0.4}],
    "steps": 50,
    "batch_size": 1,
    "max_targets": 2,
    "eval_limit": 2,
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return str(path)


def test_a_segmenter_is_trained_and_loads(config, tmp_path, capsys):
    words = ["train", "segmenter", config, "--out", str(tmp_path / "run"), "--device", "cpu", "--set", "losses.dice=2"]
    assert main(words) == 0
    weights = tmp_path / "run" / "nano-segmenter.safetensors"
    assert f"wrote {weights}" in capsys.readouterr().out
    NanoSegmenter.from_pretrained(weights, device="cpu")
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    assert card["command"] == ["fiducial", *words]
    assert card["config"]["losses"]["dice"] == 2


def test_a_decoder_is_trained_and_cuts(tmp_path, capsys):
    path, out, made = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "masks"
    path.write_text(yaml.safe_dump({**DECODER, "model": str(tiny_sam(tmp_path / "sam"))}))
    words = ["train", "decoder", str(path), "--out", str(out), "--device", "cpu", "--steps", "2", "--quiet"]
    assert main([*words, "--set", "losses.focal=1", "--set", "learning_rate=1e-3"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"wrote {out / 'model'}\n"
    assert "step 2" not in shown.err
    config = json.loads((out / "run.json").read_text())["config"]
    assert (config["steps"], config["learning_rate"], config["losses"]["focal"]) == (2, 0.001, 1)
    assert SamSegmenter.from_pretrained(out / "model", device="cpu").family.name == "sam"
    picture = tmp_path / "picture.png"
    PIL.Image.new("RGB", (40, 30), "red").save(picture)
    cut = ["cut", str(picture), "--box", "5,5,20,20", "--segmenter", f"sam:{out / 'model'}", "--out", str(made)]
    assert main(cut) == 0
    assert list(made.iterdir())


def test_another_number_of_steps_keeps_the_shares_of_the_phases(config, tmp_path):
    phases = "phases=[{size: 32, steps: 6}, {size: 48, steps: 3}, {size: 64, steps: 1}]"
    words = ["train", "segmenter", config, "--out", str(tmp_path / "run"), "--device", "cpu", "--set", phases]
    assert main([*words, "--steps", "3"]) == 0
    made = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["phases"]
    assert [(phase["size"], phase["steps"]) for phase in made] == [(32, 1), (48, 1), (64, 1)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["segmentr", "x.yaml"], "did you mean 'segmenter'?"),
        (["segmenter", "nothing"], "nano-segmenter"),
        (["decoder", "CONFIG"], "unknown option"),
        (["decoder", "sam-decodr"], "did you mean 'sam-decoder'?"),
        (["segmenter", "CONFIG", "--steps", "0"], "--steps: needs at least 1, got 0"),
        (["segmenter", "nowhere.yaml"], "nowhere.yaml"),
        (["words", "nano-words", "--steps", "3"], "takes no --steps"),
        (["segmenter", "CONFIG", "--set", "steps"], "KEY=VALUE"),
        (["segmenter", "CONFIG", "--set", "phases=[1"], "not valid YAML"),
        (["segmenter", "CONFIG", "--set", "stepps=1"], "unknown option"),
        (["segmenter", "CONFIG", "--set", "batch_size=many"], "batch_size: needs a value of type"),
        (["segmenter", "CONFIG", "--set", "phases=[{size: 33, steps: 1}]"], "multiple of 4"),
    ],
)
def test_bad_input_is_told_in_one_line(words, said, config, tmp_path, capsys):
    assert main(["train", *[config if word == "CONFIG" else word for word in words], "--out", str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_help_names_all_that_can_be_trained(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["train", "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    assert {*plugins.names("training")} <= {*words}
    assert main(["train", "decoder", "--help"]) == 0
    assert "`fiducial describe decoder`" in capsys.readouterr().out
