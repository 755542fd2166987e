import json
import zlib

import numpy as np
import PIL.Image
import pytest

from evaluation_fakes import HEIGHT, WIDTH, RedPrompter
from fakes import BoxPrompter, BoxSegmenter
from fiducial import Frame, Mask, Pipeline, Prompts
from fiducial.errors import ModelError
from fiducial.jobs import working
from fiducial.jobs.configs import Work
from fiducial.jobs.manifest import Row
from fiducial.jobs.working import Lot, Worker, work_on
from fiducial.language import Answer, Outcome
from fiducial.prompters.oracle import FixedPrompter
from fiducial.recipes import read_recipe

BOX = {"box": [2, 3, 9, 8], "label": "ship"}


def worker(monkeypatch, folder, prompter=None, segmenter=None):
    made = Pipeline(prompter=prompter or BoxPrompter((1, 1, 5, 5)), segmenter=segmenter or BoxSegmenter())
    monkeypatch.setattr("fiducial.jobs.working.recipes.load", lambda recipe: made)
    return Worker(Work(recipe=read_recipe("classic"), base=folder, max_pixels=10**6)), made


def lot(*rows):
    return Lot(tuple(enumerate(rows)))


def results(ended):
    return {one.place: json.loads(one.result) for one in ended if one.outcome != "dead"}


def test_a_picture_of_several_rows_is_encoded_once_whatever_they_ask(made, monkeypatch):
    work, pipeline = worker(monkeypatch, made.folder)
    name = made.rows[0]["image"]
    rows = [
        Row(1, "a", name, "the ship"),
        Row(2, "b", name, "", [BOX, {"points": [[5, 6]]}]),
        Row(3, "c", name, "x", None, "[[0.25, 0.25, 0.5, 0.75]]", "sjtu"),
        Row(4, "d", name, "the ship"),
    ]
    ended = work(lot(*rows))
    assert len(pipeline.segmenter.encoded) == 1
    assert [words for _, words in pipeline.prompter.seen] == ["the ship", "the ship"]
    assert [(one.place, one.outcome, one.targets) for one in ended] == [
        (0, "found", 1),
        (1, "found", 2),
        (2, "found", 1),
        (3, "found", 1),
    ]
    found = results(ended)
    assert found[1]["prompts"][0]["box"] == BOX["box"]
    assert found[1]["prompts"][0]["label"] == "ship"
    assert found[2]["prompts"][0]["box"] == [WIDTH / 4, HEIGHT / 4, WIDTH / 2, HEIGHT * 3 / 4]
    mask = Mask.from_coco({"size": [HEIGHT, WIDTH], "counts": found[1]["masks"][0]["rle"]})
    assert mask.box == tuple(map(float, BOX["box"]))
    assert found[1]["masks"][0]["area"] == mask.area == 35


def test_what_a_row_says_wrong_is_its_end_alone(made, monkeypatch):
    work, _ = worker(monkeypatch, made.folder)
    name = made.rows[0]["image"]
    wrong = {
        "a box needs x1 < x2": [{"box": [9, 3, 2, 8]}],
        "prompt 1: needs an object": ["ship"],
        "a prompt needs a box or at least one point": [{"label": "ship"}],
        "finite": [{"box": [float("nan"), 3, 9, 8]}],
    }
    rows = [Row(number, None, name, "", prompts) for number, prompts in enumerate(wrong.values())]
    ended = {one.place: one for one in work(lot(*rows, Row(9, "x", name, "the ship")))}
    assert ended.pop(len(rows)).outcome == "found"
    for said, one in zip(wrong, (ended[place] for place in range(len(rows))), strict=True):
        assert one.outcome == "dead"
        assert said in one.result


def test_coordinates_that_are_of_no_use_are_an_outcome_and_not_an_end(made, monkeypatch):
    work, _ = worker(monkeypatch, made.folder)
    name = made.rows[0]["image"]
    rows = [
        Row(1, "a", name, "", []),
        Row(2, "b", name, "", [{"box": [500, 500, 600, 600]}]),
        Row(3, "c", name, "", None, "I cannot say.", "sjtu"),
        Row(4, "d", name, "", [{"box": [0.1, 0.1, 0.5, 0.5]}]),
    ]
    ended = work(lot(*rows))
    assert [one.outcome for one in ended] == ["no_target", "malformed", "malformed", "found"]
    assert "look like fractions" in results(ended)[3]["repairs"][0]


def sized(png, side):
    """The same PNG whose header says that it is a square of that side."""
    header = png[12:16] + side.to_bytes(4, "big") * 2 + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def pictures(folder):
    """Files that are no pictures, each with what is said of it."""
    PIL.Image.fromarray(np.full((40, 50, 3), 9, np.uint8)).save(folder / "good.png")
    whole = (folder / "good.png").read_bytes()
    tiff = folder / "whole.tif"
    PIL.Image.fromarray(np.full((40, 50, 3), 9, np.uint8)).save(tiff)
    made = {
        "gone.png": (None, "no such file"),
        "empty.png": (b"", "empty"),
        "words.png": (b"a letter to a friend", "not a picture"),
        "cut.png": (whole[: len(whole) // 2], "truncated"),
        "cut.tif": (tiff.read_bytes()[:60], ""),
        "huge.png": (sized(whole, 200_000), "pixels"),
        "none.png": (sized(whole, 0), ""),
    }
    for name, (content, _) in made.items():
        if content is not None:
            (folder / name).write_bytes(content)
    (folder / "folder.png").mkdir()
    return {name: said for name, (_, said) in made.items()} | {"folder.png": "folder"}


def test_pictures_that_cannot_be_read_are_the_end_of_their_rows_and_of_no_others(tmp_path, monkeypatch):
    work, _ = worker(monkeypatch, tmp_path)
    bad = pictures(tmp_path)
    rows = [Row(number, name, name, "the ship") for number, name in enumerate([*bad, "good.png"])]
    ended = {rows[one.place].image: one for one in work(lot(*rows))}
    assert ended.pop("good.png").outcome == "found"
    assert [*ended] == [*bad]
    for name, said in bad.items():
        assert ended[name].outcome == "dead"
        assert name in ended[name].result
        assert said in ended[name].result
        assert len(ended[name].result) < 300


def test_a_picture_may_have_another_suffix_than_it_is(made, monkeypatch):
    work, _ = worker(monkeypatch, made.folder)
    (made.folder / "really.png.jpg").write_bytes((made.folder / made.rows[0]["image"]).read_bytes())
    assert work(lot(Row(1, "a", "really.png.jpg", "x")))[0].outcome == "found"


class Clumsy(RedPrompter):
    """Breaks at one picture, in a way that no contract knows."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def ask(self, images, instructions):
        if any(image.name.endswith("002.png") for image in images):
            raise self.error
        return super().ask(images, instructions)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("by zero"), "unexpected ZeroDivisionError: by zero (a bug: please report it)"),
        (MemoryError(), "out of memory"),
        (ModelError("the server left"), "the server left"),
    ],
)
def test_what_breaks_at_one_row_is_its_end_and_of_no_other(made, monkeypatch, error, said):
    work, _ = worker(monkeypatch, made.folder, Clumsy(error))
    rows = [Row(number, None, f"picture-{number:03}.png", "red") for number in range(5)]
    ended = sorted(work(lot(*rows)), key=lambda one: one.place)
    assert (ended[2].outcome, ended[2].result) == ("dead", said)
    assert [one.outcome for one in ended if one.place != 2].count("dead") <= 1  # one of these pictures fails anyway
    assert len(ended) == len(rows)


def test_a_model_that_failed_is_an_end_that_says_why(made, monkeypatch):
    prompter = BoxPrompter((1, 1, 5, 5), error=ModelError("no\nconnection"))
    work, _ = worker(monkeypatch, made.folder, prompter)
    (ended,) = work(lot(Row(1, "a", made.rows[0]["image"], "x")))
    assert (ended.outcome, ended.result) == ("dead", "no connection")


def test_thinking_and_repairs_are_kept(made, monkeypatch):
    prompts = Prompts.from_boxes(Frame.pixels(WIDTH, HEIGHT), [(1, 1, 5, 5)])
    answer = Answer(Outcome.TRUNCATED, prompts, "hm \ud83d", "so", "raw", ("mended",))
    work, _ = worker(monkeypatch, made.folder, FixedPrompter(answer))
    (ended,) = work(lot(Row(1, "a", made.rows[0]["image"], "x")))
    found = json.loads(ended.result)
    assert (found["thinking"], found["text"], found["repairs"], ended.outcome) == (
        "hm ?",
        "so",
        ["mended"],
        "truncated",
    )
    assert (found["height"], found["width"]) == (HEIGHT, WIDTH)


def test_models_that_cannot_be_loaded_are_an_error_and_no_rows_end(tmp_path):
    bad = Work(recipe=read_recipe("classic"), base=tmp_path)

    def fail(_):
        raise ModelError("no weights")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(working.recipes, "load", fail)
        patch.setattr(working, "_OPENED", [])
        error = work_on(bad, Lot())
    assert isinstance(error, ModelError)
    assert str(error) == "no weights"
