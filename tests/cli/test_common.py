import argparse

import pytest

from fiducial.cli import common
from fiducial.errors import InputError, UnknownNameError


def test_values_may_start_with_a_minus():
    words = ["--box", "-5,0,1,1", "--json", "--point", "-1,2,1"]
    joined = common.join_values(words, frozenset({"--box", "--point"}))
    assert joined == ["--box=-5,0,1,1", "--json", "--point=-1,2,1"]
    assert common.join_values(["--box"], frozenset({"--box"})) == ["--box"]


@pytest.mark.parametrize(("text", "size"), [("640x480", (640, 480)), (" 1X2 ", (1, 2)), ("3×4", (3, 4))])
def test_sizes(text, size):
    assert common.read_size("--image", text) == size


@pytest.mark.parametrize("text", ["640", "0x5", "5x0", "axb", "-1x5", "1x2x3", "000x5"])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError, match="--image needs WIDTHxHEIGHT"):
        common.read_size("--image", text)


def test_numbers_are_counted():
    assert common.read_numbers("--box", "1,2.5,3,4e2", "x1,y1,x2,y2") == [1, 2.5, 3, 400]
    for text in ("1,2,3", "a,b,c,d", ""):
        with pytest.raises(InputError, match="--box needs x1,y1,x2,y2"):
            common.read_numbers("--box", text, "x1,y1,x2,y2")


def test_formats_are_checked():
    assert common.read_formats("png, COCO") == ("png", "coco")
    with pytest.raises(UnknownNameError, match="did you mean 'json'"):
        common.read_formats("jsn")
    with pytest.raises(InputError, match="at least one"):
        common.read_formats(" , ")


def test_settings_are_typed():
    arguments = argparse.Namespace(
        set=["prompter.max_new_tokens=64", "segmenter.multimask=best", "prompter.canvas=[840, 840]"],
        device="cpu",
        dtype=None,
    )
    assert common.read_settings(arguments, ["prompter"]) == {
        "prompter.device": "cpu",
        "prompter.max_new_tokens": 64,
        "segmenter.multimask": "best",
        "prompter.canvas": [840, 840],
    }
    for text in ("prompter.x", "prompter.x=["):
        with pytest.raises(InputError, match="--set"):
            common.read_settings(argparse.Namespace(set=[text], device=None, dtype=None), [])


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        common.output_folder(argparse.Namespace(out=tmp_path / "file", json=False))
    assert common.output_folder(argparse.Namespace(out=None, json=True)) is None
    assert common.output_folder(argparse.Namespace(out=None, json=False)).name == "out"
