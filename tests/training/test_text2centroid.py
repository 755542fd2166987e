import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

pytest.importorskip("transformers")

from fiducial import plugins
from fiducial.config import as_plain
from fiducial.errors import InputError
from fiducial.language.phrases.places import named_place
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.reasoner.text2centroid import open_reader
from fiducial.training.recipes import load_config
from fiducial.training.text2centroid_configs import SentenceKinds, Text2CentroidConfig
from fiducial.training.text2centroid_data import Pair, write_pairs
from fiducial.training.text2centroid_places import place_words, true_wordings
from tiny.minilm import tiny_minilm

SMALL = {
    "pairs": 120,
    "held_out": 40,
    "hidden_size": 8,
    "steps": 6,
    "batch_size": 16,
    "eval_every": 3,
    "save_every": 2,
    "num_threads": 0,
}
ROOT = Path(__file__).parents[2]
KINDS = tuple(as_plain(SentenceKinds()))


@pytest.fixture(scope="module")
def pairs():
    config = Text2CentroidConfig(pairs=400, held_out=200)
    return {part: write_pairs(config, part) for part in ("training", "held_out")}


def words_of(text):
    return re.findall(r"[a-z']+", text.lower())


def of_kind(pairs, kind):
    return [pair for pair in pairs if pair.kind == kind]


# -- sentences --------------------------------------------------------------------------------------


def test_sentences_are_the_same_again_and_of_every_kind(pairs):
    assert write_pairs(Text2CentroidConfig(pairs=400, held_out=200), "training") == pairs["training"]
    for part in pairs.values():
        assert {pair.kind for pair in part} == set(KINDS)
        for pair in part:
            assert all(-1 < value < 1 for value in (*pair.meant, *pair.centroid))
            assert not {"{", "}"} & set(pair.text)
            assert pair.text[0] == pair.text[0].upper()
    assert len({pair.text for pair in pairs["training"]}) > 350


def test_held_out_wordings_are_never_learned_from(pairs):
    learned = {pair.text for pair in pairs["training"]}
    again = [pair for pair in pairs["held_out"] if pair.text in learned]
    assert len(again) < 0.05 * len(pairs["held_out"])  # the resolver has one way to say a thing


def test_the_held_out_words_of_the_paraphrases_are_never_learned_from(pairs):
    rooms = {"training": ["text2centroid", "text2centroid_places"], "reasoner": ["phrasings", "subjects"]}
    sources = [ROOT / "src" / "fiducial" / room / f"{name}.yaml" for room, names in rooms.items() for name in names]
    texts = [path.read_text(encoding="utf-8") for path in sources] + [pair.text for pair in pairs["training"]]
    known = {word for text in texts for word in words_of(text)}
    rows = (ROOT / "tests" / "reasoner" / "data" / "paraphrases.tsv").read_text(encoding="utf-8").splitlines()
    held_out = [row.split("\t")[3] for row in rows if row.startswith("held_out_words")]
    assert len(held_out) >= 40
    assert [text for text in held_out if not set(words_of(text)) - known] == []


def test_words_and_points_agree(pairs):
    for pair in of_kind(pairs["training"], "resolver"):
        for word, axis, sign in (("left", 0, -1), ("right", 0, 1), ("upper", 1, 1), ("lower", 1, -1)):
            if word in named_place(pair.text):
                assert sign * pair.centroid[axis] > 0, pair
                assert sign * pair.meant[axis] > 0, pair
    plain = [pair for pair in of_kind(pairs["training"], "places") if "upper left" in pair.text]
    assert plain
    assert all(x < 0 < y for pair in plain for x, y in (pair.meant, pair.centroid))


def test_what_words_mean_is_about_where_the_mask_is(pairs):
    for kind in ("places", "several", "anatomy", "resolver"):
        off = [math.dist(pair.meant, pair.centroid) for pair in of_kind(pairs["training"], kind)]
        assert float(np.mean(off)) < 0.35, kind
    for pair in of_kind(pairs["training"], "places"):
        for meant, true in zip(pair.meant, pair.centroid, strict=True):
            assert abs(meant) < 0.3 or meant * true > 0, pair


def test_words_joined_from_two_axes_mean_both():
    random = np.random.default_rng(0)
    words = [place_words((-0.9, 0.3), "training", "where", random) for _ in range(400)]
    far = [one for one in words if "far left" in one.text and "in the upper half" in one.text]
    assert far
    assert {one.point for one in far} == {(-0.8, 0.5)}


def test_the_patients_sides_follow_the_convention():
    only = SentenceKinds(**{**dict.fromkeys(KINDS, 0.0), "anatomy": 1.0})
    seen = [
        write_pairs(Text2CentroidConfig(pairs=50, kinds=only, convention=convention), "training")
        for convention in ("radiological", "neurological")
    ]
    for one, other in zip(*seen, strict=True):
        named = re.search("radiological|neurological", one.text, re.IGNORECASE)
        if named:  # the text says so itself
            assert one == other
        else:
            mirrored = [(-x, y) for x, y in (other.meant, other.centroid)]
            assert one == Pair(other.text, *mirrored, "anatomy")
        right = "right" in words_of(one.text)
        radiological = not named or named[0].lower() == "radiological"
        assert (one.meant[0] < 0) == (right == radiological), one


def test_wordings_are_true_of_a_point():
    random = np.random.default_rng(0)
    for point in random.uniform(-1, 1, (300, 2)).tolist():
        assert true_wordings(point)
    assert true_wordings((0.8, 0.8)).keys() == {"quadrant", "horizontal", "vertical", "corner", "far_corner"}
    assert "near" in true_wordings((0.3, -0.3))
    assert true_wordings((0.5, 0.0)).keys() == {"horizontal"}


def test_no_kind_at_all_is_refused():
    with pytest.raises(InputError, match="one of them has to be more than 0"):
        SentenceKinds(**dict.fromkeys(KINDS, 0.0))


# -- the run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    tiny_minilm(folder / "minilm-here")
    return folder


def test_a_run_leaves_a_head_and_goes_on_as_if_it_had_not_stopped(data, tmp_path, monkeypatch):
    settings = {**SMALL, "encoder": "DATA/minilm-here"}
    config = load_config(Text2CentroidConfig, "text2centroid", settings)
    assert plugins.find("training", "text2centroid") is Text2CentroidConfig
    whole = config.train(data, tmp_path / "whole", device="cpu", quiet=True)
    lines = [json.loads(line) for line in (whole.parent / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["step"]] == [3, 6]
    assert {f"closeness_{kind}" for kind in KINDS} <= set(lines[-1])

    def stop(self, network):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fiducial.training.text2centroid.Text2CentroidTask.score", stop)
        with pytest.raises(KeyboardInterrupt):
            config.train(data, tmp_path / "cut", device="cpu", quiet=True)
    with monkeypatch.context() as patched:
        patched.setattr(SentenceEncoder, "embed", lambda *_: pytest.fail("embedded again"))
        cut = config.train(data, tmp_path / "cut", device="cpu", quiet=True)
    encoder = SentenceEncoder(data / "minilm-here")
    texts = ["on the left", "at the top"]
    assert open_reader(str(cut), encoder).read(texts) == pytest.approx(open_reader(str(whole), encoder).read(texts))


def test_vectors_of_another_run_are_refused(data, tmp_path):
    config = load_config(Text2CentroidConfig, "text2centroid", {**SMALL, "encoder": "DATA/minilm-here"})
    save_file({"vectors": np.zeros((2, 384), np.float32)}, tmp_path / "sentences.safetensors")
    with pytest.raises(InputError, match="holds 2 vectors, not 161"):
        config.train(data, tmp_path, device="cpu", quiet=True)
    (tmp_path / "sentences.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no vectors of sentences"):
        config.train(data, tmp_path, device="cpu", quiet=True)


def test_a_head_learns_where_a_sentence_points(tmp_path, monkeypatch):
    """With an encoder whose vectors hold the place, the error becomes small on wordings never learned from."""

    def embed(self, texts, report=None):
        words = ("left", "right", "upper", "top", "lower", "bottom", "near", "cent", "not", "above", "below", "middle")
        vectors = np.zeros((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            vectors[row, : len(words)] = [word in text.lower() for word in words]
        return vectors + 0.01

    monkeypatch.setattr(SentenceEncoder, "__init__", lambda self, *args, **kwargs: None)
    monkeypatch.setattr(SentenceEncoder, "embed", embed)
    kinds = SentenceKinds(**{**dict.fromkeys(KINDS, 0.0), "places": 1.0})
    config = Text2CentroidConfig(
        pairs=400,
        held_out=100,
        kinds=kinds,
        steps=150,
        batch_size=64,
        eval_every=75,
        hidden_size=32,
        learning_rate=0.01,
    )
    config.train(tmp_path, tmp_path / "run", device="cpu", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert 1 - lines[-1]["closeness_places"] < 0.35  # the mean distance of the centre is above 0.6
