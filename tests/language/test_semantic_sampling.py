"""The table of neighbours against a literal reading, in blocks of any size, and kept on the disk."""

import logging
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.language.semantic_sampling import ArrayVectors, content_tokens, neighbour_table, stored_table


def literal_neighbours(embeddings, content, k):
    """Sort all content tokens by their cosine to each, token by token."""
    found = {}
    for token in np.flatnonzero(content):
        near = []
        for other in np.flatnonzero(content):
            if other != token:
                a, b = embeddings[token].astype(float), embeddings[other].astype(float)
                lengths = np.linalg.norm(a) * np.linalg.norm(b)
                near.append((-(a @ b) / lengths if lengths else 0.0, int(other)))
        found[int(token)] = sorted(near)[:k]
    return found


@st.composite
def vocabularies(draw):
    size, width = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    embeddings = rng.normal(size=(size, width)).astype(np.float32)
    embeddings[rng.random(size) < 0.1] = 0  # rows that were never trained
    return embeddings, rng.random(size) < draw(st.sampled_from([0.0, 0.5, 1.0]))


@settings(max_examples=30)
@given(vocabularies(), st.integers(1, 8), st.integers(1, 12))
def test_the_table_is_the_literal_one_whatever_the_block(vocabulary, k, block):
    embeddings, content = vocabulary
    table = neighbour_table(embeddings, content, k, block=block)
    assert table.ids.shape == table.cosines.shape == (len(content), k)
    expected = literal_neighbours(embeddings, content, k)
    for token in range(len(content)):
        near = expected.get(token, [])
        cosines = [-value for value, _ in near] + [0.0] * (k - len(near))
        np.testing.assert_allclose(table.cosines[token], cosines, atol=1e-5)
        assert table.ids[token, len(near) :].tolist() == [token] * (k - len(near))
        a = embeddings[token].astype(float)
        for place in range(len(near)):  # whichever of two that are equally near: it is as near as it says
            other = table.ids[token, place]
            b = embeddings[other].astype(float)
            lengths = np.linalg.norm(a) * np.linalg.norm(b)
            assert content[other]
            assert other != token
            assert table.cosines[token, place] == pytest.approx((a @ b) / lengths if lengths else 0, abs=1e-5)
        assert len({*table.ids[token, : len(near)].tolist()}) == len(near)


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_of_equally_near_tokens_the_first_come_first(block):
    embeddings = np.eye(2, dtype=np.float32)[[0, 1] * 30]
    table = neighbour_table(embeddings, np.ones(60, bool), 4, block=block)
    assert table.ids[0].tolist() == [2, 4, 6, 8]
    assert table.ids[31].tolist() == [1, 3, 5, 7]
    assert table.ids[58].tolist() == [0, 2, 4, 6]


def test_weights_leave_out_what_points_the_other_way():
    table = neighbour_table(np.array([[1.0, 0], [-1, 0], [3, 4]], np.float32), np.ones(3, bool), 2)
    np.testing.assert_allclose(table.cosines, [[0.6, -1], [-0.6, -1], [0.6, -0.6]], atol=1e-6)
    np.testing.assert_allclose(table.weights, [[0.6, 0], [0, 0], [0.6, 0]], atol=1e-6)


def test_what_cannot_be_compared_is_refused():
    broken = np.ones((5, 2), np.float32)
    broken[3, 1] = np.inf
    with pytest.raises(InputError, match="not finite"), np.errstate(invalid="ignore"):
        neighbour_table(broken, np.ones(5, bool), 1)
    assert neighbour_table(broken, np.arange(5) != 3, 1).cosines.max() == pytest.approx(1)
    with pytest.raises(InputError, match="at least 1"):
        neighbour_table(broken, np.ones(5, bool), 0)


def test_no_more_than_the_blocks_is_held():
    """Each block of cosines is asked for once, and none is larger than it may be."""
    asked = []

    class Watched(ArrayVectors):
        def cosines(self, left, right):
            asked.append((len(left), len(right)))
            return super().cosines(left, right)

    shares = []
    embeddings = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    neighbour_table(Watched(embeddings), np.ones(50, bool), 3, block=16, progress=shares.append)
    assert sum(n * m for n, m in asked) == 3 * 16 * 16 + 2 * 2 + 3 * 16 * 16 + 3 * 16 * 2
    assert len(asked) == len(shares) == 10
    assert shares == sorted(shares)
    assert shares[-1] == 1


# -- which tokens are content -------------------------------------------------------------------------


class Words:
    """A tokenizer, as far as it is asked."""

    all_special_ids = (0,)
    added_tokens_decoder: ClassVar = {0: "<s>", 7: "<image>", 99: "<far>"}
    tokens = ("<s>", "<0x0A>", "dog", "Ġ42", "x2", "half", "½", "<image>")

    def __len__(self):
        return len(self.tokens)

    def convert_ids_to_tokens(self, ids):
        return [self.tokens[number] for number in ids]


def test_content_is_what_has_a_meaning():
    assert np.flatnonzero(content_tokens(Words(), 10)).tolist() == [2, 3, 4, 5, 6]
    assert np.flatnonzero(content_tokens(Words(), 10, numerals=False)).tolist() == [2, 5]
    assert np.flatnonzero(content_tokens(Words(), 4)).tolist() == [2, 3]


# -- on the disk --------------------------------------------------------------------------------------


class Counting(ArrayVectors):
    def __init__(self, embeddings):
        super().__init__(embeddings)
        self.products = 0

    def cosines(self, left, right):
        self.products += 1
        return super().cosines(left, right)


def test_a_table_is_found_once(tmp_path, caplog):
    vectors = Counting(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    content = np.arange(20) != 3

    def table(content=content, k=2, name="a", folder=tmp_path / "new" / "folder"):
        return stored_table(folder, vectors, content, k, embedding_digest=lambda: name)

    first = table()
    assert vectors.products == 1
    again = table()
    assert vectors.products == 1
    np.testing.assert_array_equal(again.ids, first.ids)
    np.testing.assert_array_equal(again.cosines, first.cosines)
    np.testing.assert_array_equal(again.content, content)
    for other in ({"k": 3}, {"name": "b"}, {"content": np.arange(20) != 4}, {"folder": None}, {"folder": None}):
        before = vectors.products
        table(**other)
        assert vectors.products == before + 1
    path = next(path for path in tmp_path.rglob("*.safetensors"))
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING, logger="fiducial.cache"):
        mended = table()
    assert "is broken" in caplog.text
    assert vectors.products == before + 2
    np.testing.assert_array_equal(mended.ids, first.ids)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the folder cannot be made"):
        stored_table(
            tmp_path / "file",
            ArrayVectors(np.eye(2, dtype=np.float32)),
            np.ones(2, bool),
            1,
            embedding_digest=lambda: "",
        )
