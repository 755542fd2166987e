from dataclasses import dataclass
from typing import ClassVar

import pytest

from fiducial import plugins
from fiducial.config import Config, build, class_value, fields_of, option, read_part, summary
from fiducial.errors import InputError, MissingExtraError, UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Square(Config):
    """Cuts squares."""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "square"
    extra: ClassVar[str] = "models"
    side: int = option(4, "edge", minimum=1)

    def build(self):
        if self.side == 9:
            import no_such_package_at_all  # noqa: F401
        return ["square", self.side]


@pytest.fixture
def plugged(monkeypatch):
    """Makes entry points that give, or do, what a test wants."""

    def plug(load):
        entry = type("Entry", (), {"name": "other", "load": staticmethod(load)})
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [entry()])
        plugins.parts.cache_clear()

    yield plug
    plugins.parts.cache_clear()


@pytest.mark.parametrize("kind", plugins.BUILT_IN)
def test_every_built_in_part_is_a_description_of_its_name(kind):
    for name in plugins.names(kind):
        described = plugins.find(kind, name)
        assert issubclass(described, Config)
        assert (class_value(described, "kind"), class_value(described, "name")) == (kind, name)
        assert summary(described)
        for field, _ in fields_of(described):
            assert field.metadata.get("help"), f"{kind} {name}: {field.name} has no help"


def test_unknown_names_come_with_a_suggestion():
    with pytest.raises(UnknownNameError, match=r"unknown prompter 'qwen3': did you mean 'qwen3-vl'\?"):
        plugins.find("prompter", "qwen3")


@pytest.mark.parametrize("given", [Square, [Square], lambda: [Square], lambda: Square])
def test_parts_of_other_packages_join(plugged, given):
    plugged(lambda: given)
    assert build(read_part("segmenter", "square?side=3")) == ["square", 3]
    assert "square" in plugins.names("segmenter")


def test_plugins_that_make_no_sense_are_refused(plugged):
    for given, problem in [
        (["square"], "'square' is no dataclass"),
        (None, "None is no dataclass"),
        (type("Junk", (), {"kind": "segmenter", "name": "junk"}), "is no dataclass"),
        (type("Taken", (Square,), {"name": "grabcut"}), "the segmenter 'grabcut' exists already"),
        (type("Upper", (Square,), {"name": "Upper"}), "a lower-case name"),
        (type("Odd", (Square,), {"kind": "segmentr"}), "needs a kind"),
    ]:
        plugged(lambda given=given: given)
        with pytest.warns(UserWarning, match=f"plugin 'other' is left out: .*{problem}"):
            assert set(plugins.names("segmenter")) == set(plugins.BUILT_IN["segmenter"])


class OddError(BaseException):
    """Neither an Exception nor able to say what it is."""

    def __str__(self):
        raise RuntimeError("boom")


class Moody(type):
    """Makes classes that raise when they are looked at."""

    @property
    def kind(cls):
        raise ZeroDivisionError("moody")


class Endless(list):
    def __iter__(self):
        raise RecursionError("endless")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("gone"),
        RuntimeError("boom"),
        SyntaxError("x"),
        SystemExit(3),
        GeneratorExit(),
        MemoryError(),
        OddError(),
    ],
    ids=repr,
)
def test_a_broken_plugin_is_left_out_and_named(plugged, error):
    def load():
        raise error

    plugged(load)
    with pytest.warns(UserWarning, match=f"plugin 'other' is left out: {type(error).__name__}: "):
        assert "nano" in plugins.names("segmenter")
    plugged(lambda: load)
    with pytest.warns(UserWarning, match=f"plugin 'other' is left out: {type(error).__name__}: "):
        assert "nano" in plugins.names("segmenter")


@pytest.mark.parametrize(("given", "said"), [(Moody("Moody", (), {}), "moody"), (Endless([1]), "endless")])
def test_a_plugin_that_raises_when_it_is_looked_at_is_left_out(plugged, given, said):
    plugged(lambda: given)
    with pytest.warns(UserWarning, match=f"'other' is left out: .*{said}"):
        assert "nano" in plugins.names("segmenter")


def test_an_interrupt_is_still_one(plugged):
    def load():
        raise KeyboardInterrupt

    plugged(load)
    with pytest.raises(KeyboardInterrupt):
        plugins.names("segmenter")


def test_missing_packages_are_named_with_their_extra(plugged):
    plugged(lambda: Square)
    with pytest.raises(MissingExtraError, match=r"segmenter 'square'.*fiducial\[models\]"):
        build(read_part("segmenter", "square?side=9"))


def test_values_only_where_they_make_sense():
    with pytest.raises(InputError, match="takes nothing behind a colon"):
        read_part("segmenter", "grabcut:some/model")
    with pytest.raises(InputError, match=r"oracle.*needs"):
        read_part("prompter", "oracle")
    with pytest.raises(InputError, match="written \\?key=value"):
        read_part("segmenter", "nano?name=sam2")
    with pytest.raises(UnknownNameError, match="'gird'"):
        read_part("segmenter", "nano?gird=1")
