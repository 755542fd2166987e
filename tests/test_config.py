import dataclasses
import sys
import types
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest

from fiducial import plugins
from fiducial.cli.common import read_settings
from fiducial.cli.describe import describe
from fiducial.config import (
    Config,
    Text,
    Word,
    as_plain,
    option,
    read,
    read_part,
    read_short,
    summary,
    type_name,
)
from fiducial.errors import InputError, UnknownNameError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inner(Config):
    rate: float = option(0.1, "learning rate", above=0, maximum=1)
    name_of_it: str = option("", "a word")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Square(Config):
    """Cuts squares.

    And more that lists leave out.
    """

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "square"
    model: str = option("small", "folder or name", positional=True)
    side: int = option(4, "edge", unit="pixels", minimum=1)
    mode: Literal["fast", "exact"] = option("fast", "how it cuts")
    canvas: tuple[int, int] | None = option(None, "width and height", unit="pixels")
    scales: tuple[float, ...] = option((1.0,), "zooms", above=0)
    dry: bool = option(False, "cut nothing")
    limit: int | None = option(None, "most cuts", minimum=0)
    inner: Inner = option(Inner(), "of training")

    def check(self):
        if self.mode == "exact" and self.limit == 0:
            raise InputError("exact cuts need a limit above 0")

    def build(self):
        return self


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run(Config):
    segmenter: Annotated[Config, "segmenter"] = option(help="what cuts")
    rows: tuple[Inner, ...] = option((), "several of a kind")


@pytest.fixture(autouse=True)
def square(monkeypatch):
    monkeypatch.setitem(plugins.BUILT_IN["segmenter"], "square", f"{__name__}:Square")
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__, types.SimpleNamespace(Square=Square)))
    plugins.parts.cache_clear()
    yield
    plugins.parts.cache_clear()


def test_defaults_stand_and_plain_values_come_back():
    plain = as_plain(Square())
    assert plain == {
        "name": "square",
        "model": "small",
        "side": 4,
        "mode": "fast",
        "canvas": None,
        "scales": [1.0],
        "dry": False,
        "limit": None,
        "inner": {"rate": 0.1, "name_of_it": ""},
    }
    assert read_part("segmenter", plain) == Square()


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("square", {}),
        ("SQUARE", {}),
        ("square:some/model:7b", {"model": "some/model:7b"}),
        ("square?side=3&mode=exact", {"side": 3, "mode": "exact"}),
        ("square:x?canvas=[512,256]&scales=1,2.5", {"model": "x", "canvas": (512, 256), "scales": (1.0, 2.5)}),
        ("square?canvas=none&dry=yes&limit=7", {"dry": True, "limit": 7}),
        ("square?model=a+b%26%20c", {"model": "a+b& c"}),
        ("square?limit=none&scales=", {"scales": ()}),
    ],
)
def test_the_short_form_means_the_same_as_the_fields(text, changed):
    assert read_part("segmenter", text) == Square(**changed)


def test_a_path_with_a_question_mark_is_taken_whole_where_it_exists(tmp_path):
    odd = tmp_path / "a?side=9"
    odd.touch()
    assert read_short("segmenter", f"square:{odd}") == {"name": "square", "model": str(odd)}
    assert read_part("segmenter", f"square:{tmp_path}/b?side=9") == Square(model=f"{tmp_path}/b", side=9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sqare", "unknown segmenter 'sqare'.*did you mean 'square'"),
        ("square?sid=3", "option of segmenter 'square'.*did you mean 'side'"),
        ("square?side=0", "segmenter 'square', side: needs at least 1, got 0"),
        ("square?side=many", "side: needs a value of type 'whole number', got 'many'"),
        ("square?side=2.5", "whole number"),
        ("square?mode=slow", "unknown value of .*mode.*slow"),
        ("square?canvas=1,2,3", "canvas: needs 2 values, got 3"),
        ("square?scales=1,0", "scales: needs more than 0"),
        ("square?scales=nan", "scales: needs a finite number"),
        ("square?dry=maybe", "dry: needs a value of type"),
        ("square?side", "written \\?key=value"),
        ("square?mode=exact&limit=0", "segmenter 'square': exact cuts need"),
        ("square?side=1&side=2", "side is given twice"),
        ("square:x?model=y", "model is given twice"),
        ("square?n%61me=nano", "written \\?key=value"),
    ],
)
def test_what_makes_no_sense_is_named(text, message):
    with pytest.raises(InputError, match=message):
        read_part("segmenter", text)


def test_values_of_files_are_not_guessed():
    with pytest.raises(InputError, match="side: needs a value of type 'whole number', got '3'"):
        read(Square, {"side": "3"}, "here")
    with pytest.raises(InputError, match="side: needs"):
        read(Square, {"side": True}, "here")
    assert read(Inner, {"rate": "1e-3"}, "here").rate == 1e-3  # text to YAML
    with pytest.raises(InputError, match="here: needs a mapping"):
        read(Inner, [1], "here")


def test_parts_nest_and_settings_reach_into_them():
    run = read(Run, {"segmenter": "square?side=2"}, "run")
    assert run.segmenter == Square(side=2)
    assert read(Run, {"segmenter": {"name": "square", "side": 2}}, "run") == run
    changed = run.with_settings(read_settings(["segmenter.inner.rate=0.5", "segmenter.model=x=y"]))
    assert changed.segmenter == Square(side=2, model="x=y", inner=Inner(rate=0.5))
    assert run.with_settings({"rows": Text("[{rate: 0.2}, {rate: 1e-3}]")}).rows == (Inner(rate=0.2), Inner(rate=1e-3))
    with pytest.raises(UnknownNameError, match="option of Run: 'segmentr'"):
        run.with_settings({"segmentr.side": 1})
    with pytest.raises(InputError, match="'side' of segmenter 'square' has no parts"):
        run.with_settings({"segmenter.side.x": 1})
    with pytest.raises(InputError, match="run: needs segmenter"):
        read(Run, {}, "run")
    with pytest.raises(InputError, match="got the segmenter 'square'"):
        read_part("overlay", Square())


def test_what_has_no_name_may_be_written_as_its_one_field():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Kept(Config):
        folder: Path = option(help="where", positional=True)
        limit: int = option(1, "most")

    assert read(Kept, "some/where", "cache") == Kept(folder=Path("some/where"))
    assert read(Kept, {"folder": "a: b", "limit": 2}, "cache") == Kept(folder=Path("a: b"), limit=2)
    with pytest.raises(InputError, match="inner: needs a mapping with rate, name_of_it, got 'x'"):
        read(Inner, "x", "inner")


def test_settings_are_set_together():
    changed = Square(limit=0).with_settings(read_settings(["mode=exact", "limit=3"]))
    assert (changed.mode, changed.limit) == ("exact", 3)
    with pytest.raises(InputError, match="limit is set twice"):
        read_settings(["limit=1", "limit=2"])


def test_brackets_are_yaml_only_where_lists_are_meant():
    assert read(Square, {"model": Text("[a]"), "canvas": Text("[1, 2]")}, "here").canvas == (1, 2)
    assert read(Square, {"model": Text("[a]")}, "here").model == "[a]"


def test_none_is_a_word_behind_an_option_of_a_command():
    assert read(Square, {"limit": Text("none")}, "here").limit is None
    with pytest.raises(InputError, match="limit: needs a value"):
        read(Square, {"limit": Word("none")}, "here")


def test_settings_need_an_equals_sign():
    assert read_settings(["a.b= 3 "]) == {"a.b": "3"}
    with pytest.raises(InputError, match="--set 'a': write KEY=VALUE"):
        read_settings(["a"])


def test_descriptions_describe_themselves():
    rows = {row[0]: row[1:] for row in describe(Square)}
    assert rows["side"] == ("whole number, pixels, ≥ 1", "4", "edge")
    assert rows["canvas"] == ("2 x whole number or none, pixels", "none", "width and height")
    assert rows["mode"][0] == "fast | exact"
    assert describe(Run)[0][2] == "needed"
    assert rows["model"][2].endswith("NAME:VALUE)")
    assert rows["inner.rate"][1:] == ("0.1", "learning rate")
    assert summary(Square) == "Cuts squares."
    assert type_name(tuple[Path, ...]) == "list of path"


def test_nothing_can_be_made_wrong_by_hand():
    with pytest.raises(InputError, match="side: needs at least 1"):
        Square(side=0)
    with pytest.raises(InputError, match="exact cuts"):
        dataclasses.replace(Square(limit=0), mode="exact")
    assert Square(canvas=[3, 4]).canvas == (3, 4)
    assert Square(side=Text("3")).side == 3
