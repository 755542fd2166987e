import json

import numpy as np
import PIL.Image
import pytest

from evaluation_fakes import write_folder
from fiducial import Mask
from fiducial.cli import main
from fiducial.errors import ModelError

ANYWAY = ("--set", "prompter.any_picture=true")  # squares on plain ground may look like something else


@pytest.fixture
def data(tmp_path):
    return write_folder(tmp_path / "data")


def told(capsys):
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_the_numbers_and_writes_the_run(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["evaluate", data, "--prompter", "truth", "--out", str(out), "--json"]) == 0
    found = told(capsys)
    assert (found["policy"], found["n"], found["outcomes"]["found"]) == ("fiducial", 6, 5)
    assert found["box_iou"] == 1.0
    assert {path.name for path in out.iterdir()} == {
        "run.json",
        "samples.jsonl",
        "summary.json",
        "report.html",
        "report.md",
    }
    card = json.loads((out / "run.json").read_text())
    assert card["command"][:2] == ["fiducial", "evaluate"]
    assert (card["prompter"], card["recipe"]["segmenter"]["name"]) == ("truth", "nano")


def test_evaluate_for_people(data, tmp_path, capsys):
    words = ["evaluate", data, "--limit", "3", "--out", str(tmp_path / "run"), "--boundaries", *ANYWAY]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "3 samples, policy fiducial" in captured.out
    assert "boundary F" in captured.out
    assert "report.html" in captured.out
    assert "3/3" in captured.err


def test_shards_merge_into_the_whole(data, tmp_path, capsys):
    words = ["evaluate", data, "--recipe", "classic", "--json", "--no-images"]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    whole = told(capsys)
    for part in "12":
        assert main([*words, "--shard", f"{part}/2", "--out", str(tmp_path / part)]) == 0
        capsys.readouterr()
    assert main(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "m"), "--json"]) == 0
    merged = told(capsys)
    whole.pop("seconds")
    merged.pop("seconds")
    assert merged == whole
    assert main(["merge", str(tmp_path / "m"), "--policy", "rmsin", "--out", str(tmp_path / "r")]) == 0
    assert "policy rmsin" in capsys.readouterr().out


def test_an_interrupted_run_says_how_to_go_on(data, tmp_path, capsys, monkeypatch):
    def stop(self, record, done, planned):
        raise KeyboardInterrupt

    monkeypatch.setattr("fiducial.evaluation.progress.Progress.__call__", stop)
    words = ["evaluate", data, "--prompter", "truth", "--out", str(tmp_path / "run")]
    assert main(words) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*words, "--json"]) == 0
    assert told(capsys)["n"] == 6


def test_failed_samples_are_status_one_and_can_be_asked_again(data, tmp_path, capsys, monkeypatch):
    def fail(self, images, names):
        raise ModelError("out of memory")

    monkeypatch.setattr("fiducial.prompters.grounder.detecting.NanoDetector.detect", fail)
    words = ["evaluate", data, "--out", str(tmp_path / "run"), "--json", *ANYWAY]
    assert main(words) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcomes"]["failed"] == 6
    assert "6 samples got no answer: ask them again with --retry-failed" in captured.err
    monkeypatch.undo()
    assert main([*words, "--retry-failed"]) == 0
    assert told(capsys)["outcomes"]["failed"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "{data}"], "required: --out"),
        (["evaluate", "nowhere", "--out", "{out}"], "nowhere: no such file or folder"),
        (["evaluate", "{data}", "--out", "{out}", "--policy", "liza"], "did you mean 'lisa'?"),
        (["evaluate", "{data}", "--out", "{out}", "--shard", "3"], "--shard is written as 2/4"),
        (["evaluate", "{data}", "--out", "{out}", "--shard", "3/2"], "1/2 to 2/2"),
        (["evaluate", "{data}", "--out", "{out}", "--limit", "0"], "--limit: needs at least 1"),
        (["evaluate", "{data}", "--out", "{out}", "--workers", "0"], "--workers: needs at least 1"),
        (["evaluate", "{data}", "--out", "{out}", "--prompter", "truth?boxes=1"], "did you mean 'box'"),
        (["evaluate", "{data}", "--out", "{out}", "--prompter", "clasic"], "did you mean 'classic'?"),
        (["evaluate", "{data}", "--out", "{out}", "--prompter", "none"], "unknown prompter 'none'"),
        (["evaluate", "{data}", "--out", "{out}", "--prompter", "truth", "--grid", "3"], "here none is asked"),
        (["evaluate", "{data}", "--out", "{out}", "--prompter", "truth", "--set", "prompter.pints=1"], "'pints'"),
        (["merge", "{out}", "--out", "{out}2"], "not a folder of `fiducial evaluate`"),
        (["compare", "{out}"], "at least two runs"),
        (["compare", "{out}", "{out}", "--published", "rrsis"], "did you mean 'rrsisd'?"),
        (["score", "nowhere.json", "nowhere.json"], "no such file"),
        (["study", "gird", "{data}", "--out", "{out}"], "did you mean 'grid'?"),
        (["study", "recipes", "{data}", "--values", "classic", "--out", "{out}"], "name at least two"),
        (["study", "grid", "{data}", "--values", "grid?columns=0", "--out", "{out}"], "columns: needs at least 1"),
    ],
)
def test_bad_input_is_one_line_and_status_two(data, tmp_path, capsys, words, message):
    assert main([word.format(data=data, out=tmp_path / "out") for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_other_settings_show_what_differs(data, tmp_path, capsys):
    words = ["evaluate", data, "--prompter", "truth", "--out", str(tmp_path / "run"), "--json"]
    assert main([*words, "--limit", "2"]) == 0
    assert main([*words, "--limit", "2", "--segmenter", "grabcut", "--prompter", "blind"]) == 2
    assert '"truth" there, "blind" now' in capsys.readouterr().err


def test_score_prints_exactly_one_object(tmp_path, capsys):
    target = Mask.from_box((0, 0, 4, 4), 8, 8)
    document = {
        "images": [{"id": 5, "height": 8, "width": 8}],
        "annotations": [{"image_id": 5, "segmentation": target.to_coco()}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    half = Mask.from_box((0, 0, 4, 2), 8, 8).to_coco()
    (tmp_path / "found.json").write_text(json.dumps([{"image_id": 5, "segmentation": half}]))
    words = ["score", str(tmp_path / "found.json"), str(tmp_path / "truth.json")]
    assert main([*words, "--policy", "lisa", "--json", "--scores", str(tmp_path / "s.jsonl")]) == 0
    found = told(capsys)
    assert found["policy"] == "lisa"
    assert found["mean_iou"] == found["cum_iou"] == found["box_iou"] == 0.5
    assert {"n", "p@0.5", "p@0.9", "dice", "box_giou", "box_ciou", "outcomes"} <= set(found)
    assert json.loads((tmp_path / "s.jsonl").read_text())["id"] == "5"
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "mean IoU" in shown
    assert "1 found" in shown


def test_score_reads_folders(tmp_path, capsys):
    for name in "pt":
        (tmp_path / name).mkdir()
        PIL.Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / name / "a.png")
    assert main(["score", str(tmp_path / "p"), str(tmp_path / "t"), "--json"]) == 0
    assert told(capsys)["mean_iou"] == 1.0
    words = ["score", str(tmp_path / "p"), str(tmp_path / "t")]
    assert main([*words, "--boundaries", "--spacing", "0.5,0.5"]) == 0
    assert "Hausdorff 95, mm" in capsys.readouterr().out
    assert main([*words, "--boundaries"]) == 0
    assert "Hausdorff 95, px" in capsys.readouterr().out
    for wrong, message in (("0.5,0.5", "add --boundaries"), ("wide", "(written H,W)")):
        assert main([*words, "--spacing", wrong]) == 2
        assert message in capsys.readouterr().err


def test_compare_shows_differences_and_published_figures(data, tmp_path, capsys):
    for name in ("truth", "blind"):
        assert main(["evaluate", data, "--prompter", name, "--out", str(tmp_path / name), "--json", "--no-images"]) == 0
    capsys.readouterr()
    runs = [str(tmp_path / name) for name in ("truth", "blind")]
    assert main(["compare", *runs, "--published", "refsegrs", "--out", str(tmp_path / "c")]) == 0
    shown = capsys.readouterr().out
    assert "truth + nano" in shown
    assert "RSRefSeg-2" in shown
    assert "compare.html" in shown
    assert main(["compare", *runs, "--json"]) == 0
    found = told(capsys)
    assert found["differences"][0]["box_iou"]["value"] < 0
    assert found["published"] == []


def test_studies(data, tmp_path, capsys):
    words = [data, "--no-images", "--limit", "3"]
    assert main(["study", "prompts", *words, "--values", "truth;blind", "--out", str(tmp_path / "p"), "--json"]) == 0
    assert [variant["name"] for variant in told(capsys)["variants"]] == ["truth", "blind"]
    assert main(["study", "grid", *words, "--values", "grid?columns=3&rows=3", "--out", str(tmp_path / "g")]) == 0
    assert "3 x 3 black, opacity 0.3" in capsys.readouterr().out
    assert main(["study", "size", *words, "--prompter", "truth", "--out", str(tmp_path / "s")]) == 0
    assert "small: up to 32 x 32 px" in capsys.readouterr().out
    assert main(["study", "size", str(tmp_path / "s" / "run"), "--out", str(tmp_path / "t"), "--json"]) == 0
    assert told(capsys)["study"] == "size"
    mine = tmp_path / "mine.yaml"
    mine.write_text("prompter: {name: classic}\nsegmenter: {name: grabcut}\n")
    assert main(["study", "recipes", *words, "--values", f"classic;{mine}", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr().out
    assert "against the first" in shown
    assert "\n  mine " in shown
    twin = tmp_path / "twin" / "mine.yaml"
    twin.parent.mkdir()
    twin.write_text(mine.read_text())
    chosen = ["--values", f"{mine};{twin}", "--out", str(tmp_path / "u"), "--json"]
    assert main(["study", "recipes", *words, *chosen]) == 0
    assert [variant["name"] for variant in told(capsys)["variants"]] == [str(mine), str(twin)]
