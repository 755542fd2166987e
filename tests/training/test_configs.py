from dataclasses import dataclass, field
from typing import Literal

import pytest

from fiducial.errors import InputError, UnknownNameError
from fiducial.training.configs import as_plain, config_names, load_config
from fiducial.training.decoder.config import DecoderConfig
from fiducial.training.segmenter.config import SegmenterConfig


@dataclass(frozen=True)
class Part:
    name: str
    share: float = 1.0


@dataclass(frozen=True)
class Config:
    parts: tuple[Part, ...]
    size: tuple[int, int] = (4, 5)
    rate: float = 0.1
    steps: int = 10
    fast: bool = False
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    loss: Part = field(default_factory=lambda: Part("loss"))


def load(folder, text, **settings):
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(Config, path, settings)


def test_a_file_becomes_the_dataclass(tmp_path):
    text = "parts: [{name: x}, {name: y, share: 2}]\nrate: 3e-4\nsize: [1, 2]\nkind: b\nlimit: 3\nfast: true\n"
    config = load(tmp_path, text)
    assert config == Config((Part("x"), Part("y", 2.0)), (1, 2), 3e-4, 10, True, "b", 3)
    assert isinstance(config.parts[1].share, float)
    assert as_plain(config)["parts"] == [{"name": "x", "share": 1.0}, {"name": "y", "share": 2.0}]


def test_settings_replace_values_and_reach_into_parts(tmp_path):
    config = load(tmp_path, "parts: []\nlimit: 3\n", **{"steps": 7, "loss.name": "dice", "limit": None})
    assert (config.steps, config.loss, config.limit) == (7, Part("dice"), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("parts: [", "not valid YAML"),
        ("- 1", "is a mapping with keys such as parts"),
        ("steps: 3", "needs parts"),
        ("parts: {}", "parts: needs a list"),
        ("parts: [{share: 1}]", "parts 1: needs name"),
        ("parts: [5]", "parts 1: needs a mapping with name, share, got 5"),
        ("parts: []\nsteps: 1.5", "steps: needs a value of type int, got 1.5"),
        ("parts: []\nsteps: true", "steps: needs a value of type int, got True"),
        ("parts: []\nfast: 1", "fast: needs a value of type bool, got 1"),
        ("parts: []\nrate: much", "rate: needs a number, got 'much'"),
        ("parts: []\nrate: true", "rate: needs a value of type float"),
        ("parts: []\nsize: [1]", "size: needs 2 values, got 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as caught:
        load(tmp_path, text)
    assert "config.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("parts: []\nstep: 1", "did you mean 'steps'"), ("parts: []\nkind: c", "value of .*kind.*known: a, b")],
)
def test_unknown_names_are_refused(tmp_path, text, said):
    with pytest.raises(UnknownNameError, match=said):
        load(tmp_path, text)


def test_a_setting_cannot_reach_into_a_number(tmp_path):
    with pytest.raises(InputError, match="'steps' has no parts"):
        load(tmp_path, "parts: []\nsteps: 3\n", **{"steps.more": 1})


def test_missing_files_and_names_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_config(Config, tmp_path / "none.yaml")
    with pytest.raises(UnknownNameError, match=r"a file ends in \.yaml.*sam-decoder"):
        load_config(Config, "sam-decode")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sam-decoder", DecoderConfig),
        ("nano-segmenter", SegmenterConfig),
        ("nano-segmenter-longer", SegmenterConfig),
        ("nano-segmenter-finish", SegmenterConfig),
        ("nano-segmenter-muon", SegmenterConfig),
    ],
)
def test_shipped_configurations_load(name, kind):
    assert name in config_names()
    config = load_config(kind, name)
    assert all(source.licence and "DATA/" in source.dataset for source in config.data)


def test_a_configuration_of_something_else_is_refused():
    with pytest.raises(UnknownNameError, match="key in configuration nano-segmenter"):
        load_config(DecoderConfig, "nano-segmenter")
