from dataclasses import replace

import pytest

from fiducial.config import as_plain
from fiducial.errors import InputError, UnknownNameError
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.training.configs import (
    DecoderConfig,
    DecoderLosses,
    DecoderPrompting,
    GrounderConfig,
    GrounderSource,
    Phase,
    SegmenterConfig,
    SegmenterPhase,
    SegmenterPrompting,
    Source,
)
from fiducial.training.recipes import config_names, config_values, load_config
from fiducial.training.words_configs import WordsConfig

SCENES = Source("scenes:shapes?count=30&seed=3&size=96", held_out=0.3, name="shapes")
SEGMENTER = SegmenterConfig(data=(SCENES,), phases=(SegmenterPhase(32, 30),))
GROUNDER = GrounderConfig(data=(GrounderSource("scenes:shapes"),), phases=(Phase(64, 1),))
DECODER = DecoderConfig(model="unused", data=(SCENES,))
WORDS = WordsConfig(teacher="teacher", words="words")


def load(folder, text, **settings):
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(DecoderConfig, path, settings)


def test_a_file_becomes_the_description(tmp_path):
    config = load(
        tmp_path, "model: m\ndata: [{dataset: x}, {dataset: y, share: 2}]\nlearning_rate: 3e-4\nmasks: best\n"
    )
    assert config == DecoderConfig(
        model="m", data=(Source("x"), Source("y", share=2.0)), learning_rate=3e-4, masks="best"
    )
    assert isinstance(config.data[1].share, float)
    assert as_plain(config)["data"][0]["dataset"] == "x"


def test_settings_replace_values_and_reach_into_parts(tmp_path):
    config = load(tmp_path, "data: [{dataset: x}]\n", **{"model": "m", "steps": 7, "losses.dice": 2})
    assert (config.model, config.steps, config.losses) == ("m", 7, DecoderLosses(dice=2.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: [", "not valid YAML"),
        ("- 1", "a mapping is expected at the top, got list"),
        ("steps: 3", "needs model, data"),
        ("model: m\ndata: {}", "data: needs a list"),
        ("model: m\ndata: [{share: 1}]", "data 1: needs dataset"),
        ("model: m\ndata: [5]", "data 1: needs a mapping with dataset"),
        ("model: m\ndata: [{dataset: x}]\nsteps: 1.5", "steps: needs .* got 1.5"),
        ("model: m\ndata: [{dataset: x}]\nsteps: true", "steps: needs .* got True"),
        ("model: m\ndata: [{dataset: x}]\nlearning_rate: much", "learning_rate: needs .* got 'much'"),
        ("model: m\ndata: [{dataset: x}]\nlosses: {focal: -1}", "focal: needs at least 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as caught:
        load(tmp_path, text)
    assert "config.yaml" in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [("step: 1", "did you mean 'steps'"), ("masks: c", "known: best, single")])
def test_unknown_names_are_refused(tmp_path, text, said):
    with pytest.raises(UnknownNameError, match=said):
        load(tmp_path, f"model: m\ndata: [{{dataset: x}}]\n{text}")


def test_a_setting_cannot_reach_into_a_number(tmp_path):
    with pytest.raises(InputError, match=r"'steps' .* has no parts"):
        load(tmp_path, "model: m\ndata: [{dataset: x}]\n", **{"steps.more": 1})


def test_missing_files_and_names_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_config(DecoderConfig, tmp_path / "none.yaml")
    with pytest.raises(UnknownNameError, match=r"a file ends in \.yaml.*sam-decoder"):
        load_config(DecoderConfig, "sam-decode")


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


@pytest.mark.parametrize("name", ["nano-grounder", "nano-grounder-muon", "nano-grounder-wider"])
def test_the_shipped_runs_of_the_grounder_name_what_is_in_the_vocabulary(name):
    config = load_config(GrounderConfig, name)
    known = set(Vocabulary.read().names)
    for source in config.data:
        assert {name for _, name in source.names} <= known
        assert source.label in (known | {""})


def test_what_a_shipped_configuration_is_of_is_known():
    found = {name: config_values(name)[0] for name in config_names()}
    assert found["nano-segmenter-muon"] == "segmenter"
    assert (found["nano-vlm"], found["cg-reasoner-nano"], found["small-grpo"]) == ("nano-vlm", "cg-reasoner", "grpo")
    with pytest.raises(UnknownNameError, match="nano-segmenter"):
        config_values("nano-segmentr")


def test_a_configuration_of_something_else_is_refused():
    with pytest.raises(UnknownNameError, match="option of configuration nano-segmenter"):
        load_config(DecoderConfig, "nano-segmenter")


def test_phases_follow_each_other():
    config = load_config(GrounderConfig, "nano-grounder")
    assert config.steps == 4500
    indices = [config.phase_index(step) for step in (0, 2999, 3000, 4499)]
    assert [config.phases[index].size for index in indices] == [256, 256, 320, 320]


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (SEGMENTER, {"data": ()}, "data"),
        (SEGMENTER, {"phases": ()}, "phases"),
        (SEGMENTER, {"phases": (SegmenterPhase(30, 5),)}, "multiple of 16"),
        (SEGMENTER, {"batch_size": 1}, "batch_size"),
        (SEGMENTER, {"data": (replace(SCENES, share=0.0),)}, "shares"),
        (SegmenterPrompting(), {"box": 0, "box_points": 0, "points": 0, "previous": 0}, "not all zero"),
        (GROUNDER, {"data": ()}, "at least one dataset"),
        (GROUNDER, {"phases": ()}, "at least one phase"),
        (Phase(64, 1), {"steps": 0}, "steps: needs at least 1"),
        (GROUNDER, {"phases": (Phase(100, 1),)}, "a multiple of 32 for this network, got 100"),
        (GROUNDER, {"batch_size": 1}, "at least 2, got 1"),
        (GROUNDER, {"data": (GrounderSource("a", share=0.0),)}, "not all zero"),
        (GrounderSource("a"), {"scale": (0.0, 1.0)}, "scale: needs more than 0"),
        (GrounderSource("a"), {"scale": (2.0, 1.0)}, "low, high"),
        (DecoderPrompting(), {"box": -1.0}, "box: needs at least 0"),
        (DecoderPrompting(), {"box": 0.0, "box_points": 0.0, "points": 0.0}, "not all zero"),
        (DecoderPrompting(), {"exact": 1.5}, "exact: needs at most 1"),
        (DecoderPrompting(), {"negative": -0.5}, "negative: needs at least 0"),
        (DecoderPrompting(), {"jitter": 0.5}, "jitter"),
        (DecoderPrompting(), {"max_points": 0}, "max_points"),
        (DecoderLosses(), {"focal": -1.0}, "focal: needs at least 0"),
        (DecoderLosses(), {"cross_entropy": 0.0, "dice": 0.0}, "is needed"),
        (DECODER, {"steps": 0}, "steps: needs at least 1"),
        (DECODER, {"upsampling": 0}, "upsampling: needs at least 1"),
        (DECODER, {"fraction": 0.0}, "fraction"),
        (DECODER, {"learning_rate": 0.0}, "learning_rate"),
        (DECODER, {"warmup_ratio": 1.0}, "warmup_ratio"),
        (DECODER, {"data": ()}, "at least one dataset"),
        (DECODER, {"data": (replace(SCENES, share=0.0),)}, "shares"),
        (DECODER, {"data": (replace(SCENES, scored=False),)}, "has to be scored"),
        (WORDS, {"epochs": 0}, "epochs: needs at least 1"),
        (WORDS, {"num_rare": -1}, "num_rare: needs at least 0"),
        (WORDS, {"num_phrases": 5, "held_out": 5}, "must leave some of the 5 phrases"),
    ],
)
def test_wrong_numbers_are_named(config, change, said):
    with pytest.raises(InputError, match=said):
        replace(config, **change)
