import json
import sys
import threading

import numpy as np
import PIL.Image
import pytest

from fiducial import Mask, Outcome
from fiducial.cli import main, segment
from fiducial.errors import ModelError
from fiducial.prompters.classic import ClassicPrompter

KEYS = [
    "image",
    "width",
    "height",
    "instruction",
    "recipe",
    "outcome",
    "thinking",
    "text",
    "prompts",
    "masks",
    "scores",
    "repairs",
    "refinements",
    "seconds",
]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    for name, left in [("a.png", 10), ("b.png", 60)]:
        array = np.full((80, 120, 3), (30, 60, 40), np.uint8)
        array[20:60, left : left + 40] = (220, 40, 40)
        PIL.Image.fromarray(array).save(place / name)
    return place


def test_json_has_one_line_per_image_and_exact_keys(folder, capsys):
    assert main(["segment", str(folder / "a.png"), "the red region", "--json"]) == 0
    captured = capsys.readouterr()
    [line] = captured.out.splitlines()
    found = json.loads(line)
    assert list(found) == KEYS
    assert list(found["seconds"]) == ["prompt", "encode", "decode", "refine", "total"]
    assert list(found["prompts"][0]) == ["label", "score", "box", "points", "point_labels"]
    assert (found["image"], found["recipe"], found["outcome"]) == (str(folder / "a.png"), "nano", "found")
    assert Mask.from_coco(found["masks"][0]).iou(Mask.from_box((10, 20, 50, 60), 80, 120)) > 0.9
    assert captured.err == ""


def test_options_may_stand_anywhere(folder, capsys):
    assert main(["segment", "--json", str(folder / "a.png"), "--recipe", "classic", "the red square"]) == 0
    assert json.loads(capsys.readouterr().out)["instruction"] == "the red square"


def test_a_folder_goes_on_after_a_bad_file(folder, tmp_path, capsys):
    (folder / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    words = [
        "segment",
        str(folder),
        "the red region",
        "--out",
        str(out),
        "--format",
        "png,mask,json,coco,labelme",
        "--json",
    ]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert [json.loads(line)["outcome"] for line in captured.out.splitlines()] == ["found", "found"]
    assert "broken.png: not a picture" in captured.err
    assert "[3/3] broken.png: not read" in captured.err
    assert "s left" in captured.err
    names = {path.name for path in out.iterdir()}
    assert "run.json" in names
    joint = json.loads((out / "coco.json").read_text())
    assert [(one["id"], one["file_name"]) for one in joint["images"]] == [(1, "a.png"), (2, "b.png")]
    assert [one["id"] for one in joint["annotations"]] == [1, 2]
    assert [one["image_id"] for one in joint["annotations"]] == [1, 2]
    assert any(name.startswith("a.png") for name in names)
    assert any(name.startswith("b.png") for name in names)
    assert json.loads((out / "run.json").read_text())["recipe"]["name"] == "nano"


RUN = ["the red region", "--recipe", "classic", "--out"]


def test_the_next_picture_is_segmented_while_the_files_of_one_are_written(folder, tmp_path, capsys, monkeypatch):
    asked, ask, keep = threading.Event(), ClassicPrompter.ask, segment._keep

    def asking(self, images, instructions):
        if images[0].name.endswith("b.png"):
            asked.set()
        return ask(self, images, instructions)

    def keeping(result, *rest):
        assert asked.wait(60), "the second picture waits for the files of the first"
        return keep(result, *rest)

    monkeypatch.setattr(ClassicPrompter, "ask", asking)
    monkeypatch.setattr(segment, "_keep", keeping)
    words = ["segment", str(folder), "the red region", "--recipe", "classic", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    captured = capsys.readouterr()
    said = [line.partition(": 1 target")[0] for line in captured.out.splitlines() if ": 1 target" in line]
    assert said == [str(folder / "a.png"), str(folder / "b.png")]


def test_a_folder_goes_on_where_it_was(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    (folder / "broken.png").write_bytes(b"no picture")
    assert main(["segment", str(folder), *RUN, out]) == 2
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png*")}
    capsys.readouterr()
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes())
    (tmp_path / "out" / "b.png.json").unlink()
    assert main(["segment", str(folder), *RUN, out]) == 0
    shown = capsys.readouterr()
    assert f"{folder / 'a.png'}: done already, 1 target" in shown.out
    assert shown.out.count("done already") == 1
    assert "[3/3] broken.png: 1 target" in shown.err
    same = [path.name for path, time in made.items() if path.exists() and path.stat().st_mtime_ns == time]
    assert sorted(same) == ["a.png.json", "a.png.overlay.png"]
    assert main(["segment", str(folder), *RUN, out]) == 0
    assert "all 3 are done" in capsys.readouterr().err


def test_other_words_and_again_redo_a_folder(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["segment", str(folder), *RUN, out]) == 0
    assert main(["segment", str(folder), *RUN, out, "--again"]) == 0
    assert main(["segment", str(folder), "the largest region", *RUN[1:], out]) == 0
    assert "done already" not in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "a.png.json").read_text())
    assert found["instruction"] == "the largest region"


def test_json_of_what_is_done_is_printed_once_more(folder, tmp_path, capsys):
    words = ["segment", str(folder), *RUN, str(tmp_path / "out"), "--json", "--check"]
    assert main(words) == 0
    first = capsys.readouterr().out
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes())
    assert main(words) == 0
    second = capsys.readouterr().out
    assert second.splitlines()[:2] == first.splitlines()
    assert json.loads(second.splitlines()[0])["consistency"]
    assert len(second.splitlines()) == 3
    assert main([*words, "--format", "mask"]) == 0
    capsys.readouterr()
    assert main([*words, "--format", "mask"]) == 0  # no file to print from
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_one_picture_is_always_segmented(folder, tmp_path, capsys):
    words = ["segment", str(folder / "a.png"), *RUN, str(tmp_path / "out")]
    assert main(words) == main(words) == 0
    assert "done already" not in capsys.readouterr().out
    assert not (tmp_path / "out" / "done.jsonl").exists()


def test_on_a_terminal_there_is_a_bar_and_stdout_is_untouched(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("progressbar.streams.original_stderr", sys.stderr)  # what it was when the bar was imported
    monkeypatch.setenv("TERM", "xterm")
    assert main(["segment", str(folder), *RUN, str(tmp_path / "out"), "--json"]) == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["outcome"] for line in shown.out.splitlines()] == ["found", "found"]
    assert "/s" in shown.err
    assert "s left" not in shown.err


def test_people_get_plain_lines(folder, tmp_path, capsys):
    assert main(["segment", str(folder / "a.png"), "the red region", "--out", str(tmp_path / "o")]) == 0
    shown = capsys.readouterr().out
    assert "1 target" in shown
    assert "px" in shown
    assert f"wrote {tmp_path / 'o'}" in shown


def test_pictures_of_one_name_do_not_overwrite_each_other(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes((folder / "b.png").read_bytes())
    words = ["segment", str(folder / "a.png"), str(other / "a.png"), "the red region", "--format", "json"]
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    assert len(list((tmp_path / "o").glob("*a.png*.json"))) == 2


def test_prompts_from_a_file_and_the_grid(folder, tmp_path, capsys):
    assert main(["segment", str(folder / "a.png"), "the red region", "--json"]) == 0
    (tmp_path / "answers.jsonl").write_text(capsys.readouterr().out)
    words = ["segment", str(folder / "a.png"), "the red region", "--json", "--grid", "9"]
    assert main([*words, "--prompter", f"oracle:{tmp_path / 'answers.jsonl'}"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "found"


def test_a_model_that_fails_is_status_one_and_still_a_line(folder, capsys, monkeypatch):
    def fail(self, images, names):
        raise ModelError("out of memory")

    monkeypatch.setattr("fiducial.prompters.grounder.detecting.NanoDetector.detect", fail)
    anyway = ["--set", "prompter.any_picture=true"]
    assert main(["segment", str(folder / "a.png"), "the red square", "--json", *anyway]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcome"] == Outcome.FAILED
    assert captured.err.count("\n") == 1
    assert "out of memory" in captured.err


def test_a_refusal_is_said_once_and_names_what_would_do(folder, tmp_path, capsys):
    assert main(["segment", str(folder / "a.png"), "the dog", "--out", str(tmp_path / "o")]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("I do not know 'dog'") == 1
    assert "--recipe grounded-sam" in shown.err
    assert "I do not know" not in shown.out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--quantize", "int3"], "did you mean 'int8'?"),
        (["--quantize", "int8"], "'quantize'"),
        (["--max-pixels", "100"], "more than the limit"),
        (["--out", "{file}"], "is a file"),
        (["--set", "overlay=grid"], "self_consistency.OPTION=VALUE; which parts there are is chosen by the recipe"),
        (["--out", "{file}/below"], "cannot be made"),
    ],
)
def test_bad_options_are_bad_input(folder, capsys, extra, message):
    words = [word.format(file=folder / "a.png") for word in extra]
    assert main(["segment", str(folder / "a.png"), "the red region", "--json", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_instruction_is_checked(folder, capsys):
    assert main(["segment", str(folder / "a.png"), " ", "--json"]) == 2
    assert "instruction is empty" in capsys.readouterr().err
    assert main(["segment", str(folder / "a.png"), "", "--json"]) == 2
    said = capsys.readouterr().err
    assert "INSTRUCTION is empty: it is what to segment" in said
    assert "--instruction" not in said


def test_any_recipe_takes_refiners_and_explains_them(folder, tmp_path, capsys):
    out = tmp_path / "o"
    words = ["segment", str(folder / "a.png"), "the red region", "--refine", "cfpg,mbo", "--explain", "--out", str(out)]
    assert main([*words, "--set", "cfpg.reach=2", "--json"]) == 0
    [steps] = json.loads(capsys.readouterr().out)["refinements"]
    assert [step["refiner"] for step in steps] == ["cfpg", "mbo"]
    card = json.loads((out / "run.json").read_text())["recipe"]
    assert (card["prompt_refiners"][0]["name"], card["prompt_refiners"][0]["reach"]) == ("cfpg", 2)
    assert card["mask_refiners"][0]["name"] == "mbo"
    assert main(["segment", str(folder / "a.png"), "the red region", "--explain", "--out", str(out)]) == 2
    assert "add --refine cfpg,mbo" in capsys.readouterr().err


def test_results_do_not_go_where_pictures_are_read(tmp_path, capsys):
    PIL.Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    assert main(["segment", str(tmp_path), "the thing", "--out", str(tmp_path)]) == 2
    assert "is a folder that is read" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_options_that_would_do_nothing_are_refused(tmp_path, capsys):
    PIL.Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "a.png")
    words = ["segment", str(tmp_path / "a.png"), "the thing", "--recipe", "classic", "--segmenter", "grabcut", "--json"]
    assert main([*words, "--device", "cpu"]) == 2
    assert "--device: no part here runs on a device" in capsys.readouterr().err
    assert main([*words, "--max-pixels", "0"]) == 2
    assert "needs at least 1" in capsys.readouterr().err


def test_refiners_of_a_recipe_can_be_taken_away(folder, tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("prompter: classic\nsegmenter: grabcut\nprompt_refiners: [cfpg]\nmask_refiners: [mbo]\n")
    words = ["segment", str(folder / "a.png"), "the red region", "--recipe", str(recipe), "--json"]
    assert main(words) == 0
    assert len(json.loads(capsys.readouterr().out)["refinements"][0]) == 2
    assert main([*words, "--refine", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["refinements"] == [[]]


def test_check_prints_whether_words_and_masks_agree(folder, tmp_path, capsys):
    words = ["segment", str(folder / "a.png"), "the red region on the left", "--recipe", "classic", "--check"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "  text and masks: agreed" in capsys.readouterr().out.splitlines()
    assert main([*words, "--json", "--convention", "radiological"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [*KEYS, "consistency"]
    assert found["consistency"]["verdict"] == "agreed"
    assert "left" in {part for one in found["consistency"]["findings"] for part in one["words"].split()}


def test_a_convention_needs_a_check(folder, capsys):
    assert main(["segment", str(folder / "a.png"), "the red region", "--convention", "radiological"]) == 2
    assert "add --check" in capsys.readouterr().err


def test_folders_in_folders_are_segmented_on_request(folder, tmp_path, capsys):
    (folder / "deep").mkdir()
    (folder / "deep" / "a.png").write_bytes((folder / "b.png").read_bytes())
    (folder / "c.psd").write_bytes(b"8BPS")
    words = ["segment", str(folder), "the red square", "--recipe", "classic", "--recursive", "--format", "coco"]
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    assert f"fiducial: skipped {folder / 'c.psd'}: pictures of the kind .psd are not read" in capsys.readouterr().err
    joint = json.loads((tmp_path / "o" / "coco.json").read_text())
    assert [one["file_name"] for one in joint["images"]] == ["a.png", "b.png", "deep/a.png"]
    (tmp_path / "o" / "coco.json").unlink()  # as if it had been stopped just before
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    assert json.loads((tmp_path / "o" / "coco.json").read_text()) == joint
    assert main([*words, "--out", str(folder / "deep" / "o")]) == 2
    assert "is a folder that is read" in capsys.readouterr().err
