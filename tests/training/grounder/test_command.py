import yaml

from fiducial.cli import main
from fiducial.prompters.grounder.detecting import NanoDetector

TINY = {
    "data": [{"dataset": "scenes:shapes?count=6&seed=3&size=128", "held_out": 0.3, "name": "shapes"}],
    "phases": [{"size": 32, "steps": 3}, {"size": 64, "steps": 3}],
    "batch": 2,
    "network": {"widths": [8, 12], "blocks": [1, 1], "pyramid": 8, "embedding": 8},
    "workers": 0,
    "threads": 1,
}


def test_a_grounder_is_trained_and_loads(tmp_path, capsys):
    config, out = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(TINY))
    words = ["train", "grounder", str(config), "--out", str(out), "--device", "cpu", "--steps", "2", "--quiet"]
    assert main(words) == 0
    weights = out / "nano-grounder.safetensors"
    assert capsys.readouterr().out == f"wrote {weights}\n"
    detector = NanoDetector.from_pretrained(weights, device="cpu")
    assert "star" in detector.vocabulary()
    assert detector.read("stars").name == "star"
    assert '{\n        "size": 64,\n        "steps": 1\n      }' in (out / "run.json").read_text()
