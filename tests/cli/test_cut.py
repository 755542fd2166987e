import json

import numpy as np
import PIL.Image
import pytest

from fiducial import Frame, Mask
from fiducial.cli import common, main
from fiducial.cli.cut import Cut, make_prompts
from fiducial.errors import InputError, ModelError

FRAME = Frame.pixels(60, 40)


@pytest.fixture
def picture(tmp_path):
    array = np.full((40, 60, 3), 30, np.uint8)
    array[10:30, 5:25] = (210, 60, 60)
    array[10:30, 35:55] = (60, 60, 210)
    PIL.Image.fromarray(array).save(tmp_path / "squares.png")
    return tmp_path / "squares.png"


def read_prompts(boxes, points):
    words = [word for box in boxes for word in ("--box", box)] + [word for one in points for word in ("--point", one)]
    options = common.parse(Cut, "cut", ["picture.png", *words])
    return make_prompts(options.box, options.point, FRAME)


def test_each_box_is_a_target_and_loose_points_are_one():
    prompts = read_prompts(["0,0,10,10", "20,20,30,30"], ["25,25,1", "50,5,1", "55,5,0"])
    assert [prompt.box for prompt in prompts] == [(0, 0, 10, 10), (20, 20, 30, 30), None]
    assert prompts[1].points == ((25, 25),)
    assert prompts[2].labels == (1, 0)


def test_a_point_belongs_to_the_smallest_box_around_it():
    prompts = read_prompts(["0,0,30,30", "10,10,20,20"], ["15,15,0"])
    assert [len(prompt.points) for prompt in prompts] == [0, 1]


def test_with_one_box_every_point_refines_it():
    [prompt] = read_prompts(["0,0,10,10"], ["5,5,1", "30,30,0"])
    assert prompt.labels == (1, 0)


@pytest.mark.parametrize(
    ("boxes", "points", "message"),
    [
        ([], [], "at least one --box"),
        (["1,2,3"], [], "--box 1: needs 4 values, got 3"),
        (["5,5,1,9"], [], "--box 5,5,1,9: a box needs x1 < x2"),
        (["0,0,nan,5"], [], "finite"),
        (["5,5,5,9"], [], "x1 < x2"),
        ([], ["1,2"], "--point 1: needs 3 values, got 2"),
        ([], ["1,2,3"], "the third number is 1"),
        ([], ["1,2,0"], "need a box or a point on it"),
    ],
)
def test_impossible_coordinates_are_refused(boxes, points, message):
    with pytest.raises(InputError) as caught:
        read_prompts(boxes, points)
    assert message in str(caught.value)


def test_masks_come_out_as_json(picture, capsys):
    words = ["cut", str(picture), "--box", "3,8,27,32", "--box", "-9,8,57,32", "--point", "45,20,1", "--json"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert (found["width"], found["height"], found["outcome"]) == (60, 40, "found")
    assert found["prompts"][0]["box"] == [3, 8, 27, 32]
    assert found["prompts"][1]["box"] == [0, 8, 57, 32]
    truth = Mask.from_box((5, 10, 25, 30), 40, 60)
    assert Mask.from_coco(found["masks"][0]).iou(truth) > 0.85


def test_files_are_written_with_a_run_card(picture, tmp_path, capsys):
    assert main(["cut", str(picture), "--point", "15,20,1", "--out", str(tmp_path / "o"), "--format", "mask,json"]) == 0
    card = json.loads((tmp_path / "o" / "run.json").read_text())
    assert card["command"][:2] == ["fiducial", "cut"]
    assert card["versions"]["numpy"]
    shown = capsys.readouterr().out
    assert "1 target" in shown
    assert len(list((tmp_path / "o").iterdir())) >= 3


def test_a_segmenter_that_fails_is_status_one(picture, capsys, monkeypatch):
    def fail(self, embedding, prompts):
        raise ModelError("out of memory")

    monkeypatch.setattr("fiducial.segmenters.nano.NanoSegmenter.decode", fail)
    assert main(["cut", str(picture), "--box", "3,8,27,32", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outcome"] == "failed"
    assert "out of memory" in captured.err


def test_a_box_outside_the_image_is_bad_input(picture, capsys):
    assert main(["cut", str(picture), "--box", "100,100,120,120", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "outside the image" in captured.err


def test_refiners_are_recognised_by_name_and_say_what_they_did(picture, tmp_path, capsys):
    words = ["cut", str(picture), "--box", "2,8,28,32", "--box", "32,8,58,32", "--refine", "mbo,cfpg"]
    words += ["--set", "mbo.min_area=1", "--set", "cfpg.colour_space=rgb", "--explain", "--out", str(tmp_path / "o")]
    assert main([*words, "--format", "json"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("     cfpg: point at its centroid: region of convexity 1.00, ") == 2
    assert shown.count("; mbo: ") == 2
    names = {path.name for path in (tmp_path / "o").iterdir()}
    for target in (1, 2):
        for name in ("1-cfpg.1-crop", "1-cfpg.2-clusters", "1-cfpg.3-regions", "1-cfpg.4-point"):
            assert f"squares.png.target{target}.{name}.png" in names
    assert f"wrote {tmp_path / 'o' / 'squares.png.target1.1-cfpg.1-crop.png'}" in shown
    found = json.loads((tmp_path / "o" / "squares.png.json").read_text())
    assert found["prompts"][0]["points"] == [[15, 20]]
    assert [step["refiner"] for step in found["refinements"][0]] == ["cfpg", "mbo"]
    assert found["refinements"][0][0]["figures"]["convexity"] == 1
    card = json.loads((tmp_path / "o" / "run.json").read_text())
    assert card["recipe"]["prompt_refiners"][0]["colour_space"] == "rgb"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--refine", "cfgp"], "unknown refiner 'cfgp': did you mean 'cfpg'? known: cfpg, mbo"),
        (["--refine", "cfpg", "--set", "mbo.band=1"], "write segmenter.OPTION=VALUE or cfpg.OPTION=VALUE"),
        (["--refine", "cfpg", "--set", "cfpg.reach=far"], "reach: needs a value of type 'number'"),
        (["--refine", "mbo", "--set", "mbo.bend=1"], "unknown option"),
        (["--refine", "cfpg", "--explain"], "--explain writes pictures: give a folder with --out"),
        (["--explain", "--out", "{out}"], "there are none: add --refine cfpg,mbo"),
    ],
)
def test_refiners_that_make_no_sense_are_bad_input(picture, tmp_path, capsys, extra, message):
    words = [word.format(out=tmp_path / "o") for word in extra]
    assert main(["cut", str(picture), "--box", "3,8,27,32", "--json", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_embeddings_are_kept_for_the_next_run(picture, tmp_path, capsys, monkeypatch):
    pytest.importorskip("transformers")
    from tiny.sam import tiny_sam

    model, cache = tiny_sam(tmp_path / "sam"), tmp_path / "cache"
    words = ["cut", str(picture), "--box", "3,8,27,32", "--segmenter", f"sam:{model}", "--device", "cpu", "--json"]
    assert main([*words, "--cache", str(cache)]) == 0
    first = json.loads(capsys.readouterr().out)
    assert len(list(cache.rglob("*.safetensors"))) == 1

    def fail(self, image):
        raise AssertionError("encoded again")

    monkeypatch.setattr("fiducial.segmenters.sam.SamSegmenter.encode", fail)
    assert main([*words, "--cache", str(cache), "--set", "cache.max_bytes=100000000"]) == 0
    assert json.loads(capsys.readouterr().out)["masks"] == first["masks"]


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (["--box", "0.28,0.025,0.74,0.86"], True),
        (["--point", "0.5,0.5,1"], True),
        (["--box", "0.1,0.1,0.6,0.6", "--point", "0.5,0.5,1"], True),
        (["--box", "0,0,1,1"], False),
        (["--box", "0.5,0.5,20,20"], False),
    ],
)
def test_fractions_are_taken_for_pixels_and_that_is_said(picture, capsys, words, warned):
    assert main(["cut", str(picture), *words, "--segmenter", "grabcut", "--json"]) == 0
    note = "the numbers look like fractions (0..1), this frame reaches 60: not rescaled"
    assert (note in json.loads(capsys.readouterr().out)["repairs"]) == warned
