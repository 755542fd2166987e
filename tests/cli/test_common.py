from dataclasses import dataclass
from pathlib import Path

import pytest

from fiducial.cli import common
from fiducial.config import option
from fiducial.errors import InputError
from fiducial.language import Outcome
from fiducial.prompters.configs import ClassicConfig
from fiducial.prompters.model_configs import VLMConfig


@dataclass(frozen=True, kw_only=True)
class Options(common.Running, common.Output):
    """Do something."""

    things: tuple[Path, ...] = option(help="what to do it with", positional=True)
    word: str | None = option(None, "how", positional=True)
    box: tuple[tuple[float, float, float, float], ...] = option((), "where", unit="x1,y1,x2,y2")
    images: bool = option(True, "no pictures")
    count: int = option(3, "how often", unit="N", minimum=1)


def read(*words):
    return common.parse(Options, "do", words)


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


def test_fields_become_options():
    options = read("a.png", "--box", "-5,0,1,1", "--json", "b.png", "--box", "1,2,3,4", "--no-images")
    assert options.things == (Path("a.png"), Path("b.png"))
    assert options.box == ((-5.0, 0.0, 1.0, 1.0), (1.0, 2.0, 3.0, 4.0))
    assert (options.json, options.images, options.count, options.format) == (True, False, 3, ("png", "json"))
    assert read("a", "--format", "png, COCO".lower(), "--count", "7").format == ("png", "coco")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "do: .*required: THING"),
        (("a", "--bx", "1"), "unrecognized arguments: --bx"),
        (("a", "--box", "1,2,3"), "--box 1: needs 4 values, got 3"),
        (("a", "--box", "a,b,c,d"), "--box 1: needs a value of type 'number', got 'a'"),
        (("a", "--count", "0"), "--count: needs at least 1, got 0"),
        (("a", "--max-pixels", "many"), "--max-pixels: needs a value of type 'whole number'"),
        (("a", "--device", ""), "--device needs a value"),
        (("a", "--format", "jsn"), "unknown value of --format 1: 'jsn': did you mean 'json'"),
    ],
)
def test_words_that_make_no_sense_are_named(words, message):
    with pytest.raises(InputError, match=message):
        read(*words)


def test_help_names_options_defaults_and_units(capsys):
    with pytest.raises(SystemExit):
        read("--help")
    shown = capsys.readouterr().out
    for words in ("THING", "--count N", "(default: 3)", "--no-images", "Do something.", "--out DIR"):
        assert words in shown
    assert shown.index("--count") < shown.index("--device")  # the command's own first


@pytest.mark.parametrize(
    ("outcome", "count", "said"),
    [
        (Outcome.FOUND, 2, "2 targets"),
        (Outcome.TRUNCATED, 1, "1 target (truncated)"),
        (Outcome.TRUNCATED, 0, "truncated"),
        (Outcome.NO_TARGET, 0, "no target"),
    ],
)
def test_how_an_answer_ended_has_one_name(outcome, count, said):
    assert common.ended(outcome, count) == said


def test_settings_reach_the_parts_that_take_them():
    words = ("a", "--device", "cpu", "--set", "prompter.max_new_tokens=64", "--set", "prompter.canvas=[840, 840]")
    settings = read(*words).settings({"prompter": VLMConfig(model="x"), "segmenter": ClassicConfig()})
    assert settings == {
        "prompter.device": "cpu",
        "prompter.max_new_tokens": "64",
        "prompter.canvas": "[840, 840]",
    }
    with pytest.raises(InputError, match=r"--set 'prompter.x': write KEY=VALUE"):
        read("a", "--set", "prompter.x").settings({})
    with pytest.raises(InputError, match="--device: no part here"):
        read("a", "--device", "cpu").settings({"prompter": ClassicConfig()})


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        read("a", "--out", str(tmp_path / "file")).folder()
    with pytest.raises(InputError, match="--format needs a value"):
        read("a", "--format", "").folder()
    assert read("a", "--json").folder() is None
    assert read("a").folder() == Path("out")
