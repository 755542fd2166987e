import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from fiducial.errors import InputError
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.words import DIMENSIONS, WordTable
from fiducial.reasoner.sentences import DIMENSIONS as SENTENCE_DIMENSIONS
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.training import words as module
from fiducial.training.recipes import load_config
from fiducial.training.trainer import Trainer
from fiducial.training.words import (
    LONGEST_PIECE,
    Student,
    WordsTask,
    cosine_to,
    kept_pieces,
    padded,
    random_phrases,
    read_words,
    reduced,
    reduction,
    whole_words,
)
from fiducial.training.words_configs import WordsConfig
from tiny.minilm import LETTERS, VOCABULARY, tiny_minilm
from training.noun_figures import measure, other_nouns

# -- texts ------------------------------------------------------------------------------------------


def test_pieces_are_plain_and_sorted():
    assert kept_pieces(["ship", "##ing", "[CLS]", "é", "co-op", "a", "7", "x" * 19]) == ["##ing", "7", "a", "ship"]
    assert whole_words(["[CLS]", "ship", "a", "##ing", "boat", "7"]) == ["ship", "boat"]


def test_a_list_of_words_is_read_without_what_is_no_word(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("the\nship\nco-op\n42\nboat\n", encoding="utf-8")
    assert read_words(path, 2) == ["the", "ship"]
    with pytest.raises(InputError, match=r"none\.txt: no such file"):
        read_words(tmp_path / "none.txt", 2)


def test_random_phrases_are_the_same_again_and_of_two_or_three_words():
    words = [first + second for first in LETTERS for second in LETTERS]
    phrases = random_phrases(words, 400, np.random.default_rng(5))
    assert phrases == random_phrases(words, 400, np.random.default_rng(5))
    lengths = [len(phrase.split()) for phrase in phrases]
    assert set(lengths) == {2, 3}
    assert 0.65 < lengths.count(2) / 400 < 0.85
    assert {word for phrase in phrases for word in phrase.split()} <= set(words)


# -- the student ------------------------------------------------------------------------------------


def small_student(seed=0):
    torch.manual_seed(seed)
    student = Student(len(kept_pieces(VOCABULARY)), 8)
    torch.nn.init.normal_(student.outer.weight, std=0.3)
    torch.nn.init.normal_(student.weights.weight)
    torch.nn.init.constant_(student.head, 0.7)
    return student


def test_the_table_computes_what_the_student_computes():
    student = small_student()
    table = WordTable.of(student.arrays(kept_pieces(VOCABULARY), LONGEST_PIECE))
    phrases = ["ship", "red boat", "old fishing boat", "boat of cars", "xyz"]
    rows, is_head = padded([table.cut_phrase(phrase) for phrase in phrases])
    with torch.no_grad():
        wanted = student(rows, is_head).numpy()
    cosines = (table.vectors(phrases) * wanted).sum(axis=1)
    assert cosines.min() > 0.9995  # what whole steps and half precision cost


def test_a_student_learns_what_the_teacher_says(tmp_path):
    student = small_student()
    pieces = kept_pieces(VOCABULARY)
    table = WordTable.of(student.arrays(pieces, LONGEST_PIECE))
    phrases = ["ship", "boat", "car", "ship boat", "boat ship", "car boat", "boat car ship"]
    targets = np.random.default_rng(0).standard_normal((len(phrases), DIMENSIONS)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    config = WordsConfig(teacher="", words="", epochs=60, learning_rate=0.03, batch_size=4, seed=1, num_threads=0)

    class Toy(WordsTask):
        def build(self, trainer):
            self.learn([table.cut_phrase(phrase) for phrase in phrases], targets, np.ones(len(phrases), np.float32))
            return student

        def score(self, network):
            return {}

        def finish(self, network):
            return tmp_path

    Trainer(Toy(config, "unused"), tmp_path, device="cpu", quiet=True).fit()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 60
    assert losses[-1] < 0.2 < losses[0]
    assert cosine_to(WordTable.of(student.arrays(pieces, LONGEST_PIECE)), phrases, targets) > 0.8


def test_the_principal_axes_are_those_of_the_data():
    generator = np.random.default_rng(0)
    spread = generator.standard_normal((500, 6)) * [0.1, 5, 0.1, 3, 0.1, 0.1] + 2
    mean, axes = reduction(spread.astype(np.float32), 2)
    assert mean == pytest.approx(spread.mean(axis=0), abs=1e-4)
    assert axes.shape == (6, 2)
    assert abs(axes[1, 0]) > 0.99
    assert abs(axes[3, 1]) > 0.99
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    assert np.linalg.norm(reduced(spread.astype(np.float32), mean, axes), axis=1) == pytest.approx(1, abs=1e-5)


# -- the run ----------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A folder with a teacher of random weights and a list of words."""
    folder = tiny_minilm(tmp_path / "data" / "minilm")
    (folder.parent / "words.txt").write_text("the\nship\nbridge\nharbour\ntank\ncrane\n", encoding="utf-8")
    return folder.parent


SMALL = {
    "skip_words": 1,
    "pool_size": 4,
    "num_phrases": 12,
    "held_out": 3,
    "hidden_size": 4,
    "epochs": 2,
    "batch_size": 64,
    "num_threads": 0,
}


def test_a_run_makes_a_table_and_goes_on_without_the_teacher(data, tmp_path, monkeypatch):
    config = load_config(WordsConfig, "nano-words", SMALL)
    monkeypatch.setattr(module, "_LOG_EVERY", 1)
    path = config.train(data, tmp_path / "run", quiet=True, command=["fiducial", "train"])
    first = path.read_bytes()
    table = WordTable.of(load_file(path))
    assert table.vectors(["ship", "bridge"]).shape == (2, DIMENSIONS)
    card = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
    assert (card["seed"], card["config"]["num_phrases"]) == (0, 12)
    lines = [json.loads(line) for line in (path.parent / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["embedded"] <= lines[0]["texts"]
    assert -1 <= lines[-1]["cosine_held_out"] <= 1
    monkeypatch.setattr(SentenceEncoder, "embed", lambda *_: pytest.fail("embedded again"))
    assert config.train(data, tmp_path / "run", quiet=True).read_bytes() == first


def test_vectors_of_another_run_are_refused(data, tmp_path):
    config = load_config(WordsConfig, "nano-words", SMALL)
    folder = tmp_path / "run"
    folder.mkdir()
    save_file({"vectors": np.zeros((2, SENTENCE_DIMENSIONS), np.float16)}, folder / "teacher.safetensors")
    with pytest.raises(InputError, match="holds 2 vectors, not"):
        config.train(data, folder, quiet=True)
    (folder / "teacher.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no vectors of the teacher"):
        config.train(data, folder, quiet=True)


# -- measuring --------------------------------------------------------------------------------------


def test_other_nouns_are_others():
    others = other_nouns()
    listed = {phrase for entry in Vocabulary.read().entries for phrase in (*entry.listed, *entry.unseen)}
    assert len(others) == len(set(others)) > 400
    assert not listed & set(others)
    assert {"terminal building", "diamond shape", "thread"} <= set(others)


def test_the_embedded_vocabulary_takes_no_other_noun_and_misreads_next_to_nothing():
    figures = measure(Vocabulary.read(), other_nouns())
    assert figures.false == ()
    assert figures.taken == 0
    assert figures.misread < 0.02
    assert figures.first > 0.5
    assert figures.silent > 0.65


def test_taking_the_likest_name_would_not_be_safe():
    """The numbers for which a likeness is only suggested: should they become good, it can be taken."""
    reach = {one.threshold: one for one in measure(Vocabulary.read(), other_nouns(), (0.7, 0.8)).reach}
    assert reach[0.7].false > 0.02
    assert reach[0.8].wrong > 0.02
    assert reach[0.7].right > reach[0.8].right


def test_figures_are_shares_of_what_was_asked():
    vocabulary = Vocabulary.read().only(["ship", "bridge"])
    figures = measure(vocabulary, ["music", "old boats"], (0.0, 1.0))
    assert (figures.others, figures.taken, figures.false) == (2, 0.5, (("old boats", "ship"),))
    assert figures.reach[0].false == 1
    assert figures.reach[0].right + figures.reach[0].wrong == 1
    assert figures.reach[1].right == 0
    assert measure(vocabulary, []).taken == 0
