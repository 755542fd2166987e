import json

import numpy as np
import PIL.Image
import pytest

from fiducial import Mask
from fiducial.cli import main
from fiducial.errors import InputError
from fiducial.evaluation.words import score_texts
from fiducial.language.statements import stated_place


class Reader:
    """Reads places by rule, and embeds all texts alike."""

    name = "rules"

    def read(self, texts):
        return np.array([stated_place(text) or (np.nan, np.nan) for text in texts])

    def embed(self, texts):
        return np.ones((len(texts), 4)) / 2


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def picture(folder, name, mask):
    folder.mkdir(exist_ok=True)
    PIL.Image.fromarray(mask.to_dense().astype(np.uint8) * 255).save(folder / f"{name}.png")


@pytest.fixture
def files(tmp_path):
    """Two samples with a target in the upper left; of the third there is none."""
    upper_left, lower_right = Mask.from_box((1, 1, 3, 3), 8, 8), Mask.from_box((5, 5, 7, 7), 8, 8)
    for name, true, found in (("a", upper_left, upper_left), ("b", upper_left, lower_right)):
        picture(tmp_path / "truth", name, true)
        picture(tmp_path / "found", name, found)
    picture(tmp_path / "truth", "c", Mask.empty(8, 8))
    picture(tmp_path / "found", "c", Mask.empty(8, 8))
    said = "The ship lies in the upper left."
    texts = lines(tmp_path / "texts.jsonl", {"id": "a", "text": said}, {"image": "some/b.png", "text": said})
    references = lines(tmp_path / "true.jsonl", *({"id": name, "answer": "It is at the top left."} for name in "ab"))
    return {"predictions": tmp_path / "found", "truth": tmp_path / "truth", "texts": texts, "references": references}


def score(files, **more):
    reader = Reader()
    return score_texts(**{**files, **more}, embedder=reader, reader=reader, rules=reader)


def test_texts_meet_masks_by_the_samples_name(files):
    found = score(files)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].by_reader.total == pytest.approx(1)
    # b: the words are right, the mask is in the opposite corner: ncos 0, half of the diagonal away
    assert (found["b"].by_reader.spatial, found["b"].by_reader.visual) == pytest.approx((1, 0.25))
    assert found["b"].position_right is True
    assert found["c"].by_reader.total is None


def test_a_sample_without_a_text_has_a_blank_one(files, tmp_path):
    found = score(files, texts=lines(tmp_path / "few.jsonl", {"id": "b", "text": "It lies in the upper left."}))
    assert (found["a"].semantic, found["a"].by_reader.total) == (0, 0)


def test_a_file_without_texts_is_no_score_of_zero(files, tmp_path):
    with pytest.raises(InputError, match=r"none.jsonl: holds no texts"):
        score(files, texts=lines(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a"}], "line 1: needs an id .or image. and a text under 'answer' or 'text'"),
        ([{"answer": "left"}], "line 1: needs an id"),
        ([{"id": "a", "answer": "left"}] * 2, "line 2: sample a has a text already"),
        ([{"id": "z", "answer": "left"}], "1 texts are of samples that the truth does not have: z"),
        ([{"id": "a", "answer": "left"}], "1 samples with a target have no text: b"),
    ],
)
def test_references_that_do_not_fit_are_refused(files, tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        score(files, references=lines(tmp_path / "bad.jsonl", *rows))


def test_the_command_prints_both_readers(files, tmp_path, capsys):
    pytest.importorskip("transformers")
    from tiny.minilm import tiny_minilm

    encoder = str(tiny_minilm(tmp_path / "minilm"))
    words = ["score", str(files["predictions"]), str(files["truth"]), "--prscore", "--encoder", encoder]
    words += ["--texts", str(files["texts"]), "--references", str(files["references"])]
    each = tmp_path / "each.jsonl"
    assert main([*words, "--text2centroid", "rules", "--json", "--scores", str(each)]) == 0
    found = json.loads(capsys.readouterr().out)["prscore"]
    assert (found["n"], found["n_no_target"], found["position_accuracy"]) == (3, 1, 1)
    assert found["by_reader"] == found["by_rule"]
    assert found["by_reader"]["visual"] == pytest.approx(0.625)
    assert [json.loads(line)["prscore"]["position_right"] for line in each.read_text().splitlines()] == [
        True,
        True,
        None,
    ]
    assert main([*words, "--text2centroid", "rules:radiological"]) == 0
    shown = capsys.readouterr().out
    assert "places read by rules:radiological" in shown
    assert "position accuracy     1.0000  of 2" in shown
    for wrong, message in (
        (words[:4], "give --texts FILE and --references FILE"),
        ([*words[:3], "--texts", "x.jsonl"], "add --prscore"),
        ([*words, "--text2centroid", "rules:sideways"], "conventions are"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
