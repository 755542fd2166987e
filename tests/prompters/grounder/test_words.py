import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.prompters.grounder.words import (
    DIMENSIONS,
    MAX_WORDS,
    Neighbours,
    WordTable,
    is_one_typo,
    phrase_vectors,
    plain_words,
    word_table,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def small_table(*, head=0.0, outer=0.0):
    """A table of single letters and a few longer pieces, each with a vector along an axis of its own."""
    pieces = sorted({"boat", "fish", "##ing", "red", *LETTERS, *(f"##{letter}" for letter in LETTERS)})
    codes = np.zeros((len(pieces), DIMENSIONS), dtype=np.int8)
    for row, piece in enumerate(pieces):
        codes[row, {"boat": 0, "fish": 1, "##ing": 2, "red": 3}.get(piece, 10)] = 100
    rng = np.random.default_rng(0)
    return WordTable.of(
        {
            "pieces": np.array([piece.encode() for piece in pieces], "S6").view(np.uint8).reshape(-1, 6),
            "codes": codes,
            "scales": np.full(len(pieces), 0.01, dtype=np.float16),
            "weights": np.zeros(len(pieces), dtype=np.float16),
            "head": np.array([head], dtype=np.float32),
            "inner": rng.standard_normal((3 * DIMENSIONS, 4)).astype(np.float32),
            "inner_shift": np.zeros(4, dtype=np.float32),
            "outer": np.full((4, DIMENSIONS), outer, dtype=np.float32),
        }
    )


def test_a_word_is_cut_into_its_longest_pieces():
    table = small_table()
    cut = [[table.pieces[row].decode() for row in table.cut(word)] for word in ("fishing", "boats", "red", "")]
    assert cut == [["fish", "##ing"], ["boat", "##s"], ["red"], []]


def test_a_word_of_other_letters_is_not_cut():
    assert small_table().cut("λέξη") == []


def test_only_a_whole_piece_is_a_known_word():
    table = small_table()
    assert [table.knows(word) for word in ("boat", "boats", "ing", "", "zz")] == [True, False, False, False, False]


def test_a_phrase_without_correction_is_the_mean_of_its_pieces():
    vector = small_table().vectors(["red fishing boat"])[0]
    assert vector[:4] == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert not vector[4:].any()


def test_the_head_counts_as_much_more_as_the_table_says():
    vector = small_table(head=np.log(3)).vectors(["red boat"])[0]
    assert vector[0] / vector[3] == pytest.approx(3, rel=1e-3)


def test_the_word_before_of_is_the_head():
    vector = small_table(head=np.log(3)).vectors(["boat of fish"])[0]
    assert vector[0] / vector[1] == pytest.approx(3, rel=1e-3)


def test_the_correction_tells_head_and_modifier_apart():
    flat, bent = small_table(), small_table(outer=0.1)
    assert flat.vectors(["red boat"]) == pytest.approx(flat.vectors(["boat red"]))
    assert bent.vectors(["red boat"]) != pytest.approx(bent.vectors(["boat red"]), abs=1e-3)


def test_what_has_no_letter_has_no_vector():
    vectors = small_table(outer=0.1).vectors(["", "!?", "λέξη", "boat"])
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([0, 0, 0, 1])
    assert small_table().vectors([]).shape == (0, DIMENSIONS)


def test_words_are_plain_and_not_too_many():
    assert plain_words("Café-Terrace's  Größe") == ("cafe", "terrace", "große".replace("ß", "ss"))
    assert plain_words(" ".join(map(str, range(20)))) == tuple(map(str, range(20 - MAX_WORDS, 20)))


@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_text_has_a_finite_vector_of_length_one_or_zero(phrases):
    vectors = small_table(outer=0.1).vectors(phrases)
    assert vectors.shape == (len(phrases), DIMENSIONS)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(length == pytest.approx(1, abs=1e-5) or length == 0 for length in lengths.tolist())


@given(st.text("abcde", min_size=1, max_size=6), st.text("abcde", min_size=1, max_size=6))
def test_one_slip_is_the_same_both_ways(one, other):
    assert is_one_typo(one, other) == is_one_typo(other, one) == (_slips(one, other))


def _slips(one, other):
    """All words one slip away, made the long way."""
    letters = "abcde"
    made = {one[:k] + one[k + 1 :] for k in range(len(one))}
    made |= {one[:k] + letter + one[k:] for k in range(len(one) + 1) for letter in letters}
    made |= {one[:k] + letter + one[k + 1 :] for k in range(len(one)) for letter in letters}
    made |= {one[:k] + one[k + 1] + one[k] + one[k + 2 :] for k in range(len(one) - 1)}
    return other in made - {one}


# -- the table that comes with the package -----------------------------------------------------------


def similarity(one, other):
    first, second = phrase_vectors([one, other])
    return float(first @ second)


def test_the_table_is_small_and_sorted():
    table = word_table()
    assert table.codes.nbytes + table.pieces.nbytes < 4e6
    assert (table.pieces[:-1] < table.pieces[1:]).all()
    assert all(table.knows(letter) for letter in LETTERS)


@pytest.mark.parametrize(
    ("noun", "near", "far"),
    [
        ("helicopter", "airplane", "boat"),
        ("automobile", "car", "boat"),
        ("terminal building", "building", "triangle"),
        ("fishing boat", "boat", "bus"),
        ("tumour", "tumor", "triangle"),
        ("viaduct", "bridge", "ship"),
    ],
)
def test_what_is_alike_is_nearer(noun, near, far):
    assert similarity(noun, near) > similarity(noun, far) + 0.1


def test_the_order_of_words_matters():
    assert similarity("station fire", "fire") > similarity("fire station", "fire") + 0.05


def test_the_same_words_have_the_same_vector_in_any_company():
    alone = phrase_vectors(["storage tank"])
    among = phrase_vectors(["ship", "Storage-Tank", "terminal building"])
    assert alone[0] == pytest.approx(among[1], abs=1e-6)


def test_names_come_the_likest_first():
    found = Neighbours.of([("boat", "ship"), ("ship", "ship"), ("car", "vehicle"), ("court", "a"), ("court", "b")])
    near = found.near("sailor")
    assert near[0][0] == "ship"
    assert {name for name, _ in near} == {"ship", "vehicle", "a", "b"}
    assert [value for _, value in near] == sorted((value for _, value in near), reverse=True)
    assert found.near("ship")[0] == ("ship", pytest.approx(1, abs=1e-5))


def test_vectors_stay_as_the_grounder_learned_them():
    """The embedded grounder was trained with these vectors: another table needs another grounder."""
    tank, tumour = phrase_vectors(["storage tank", "tumour"])
    assert tank[:4] == pytest.approx([-0.10488, -0.21774, 0.23367, 0.29270], abs=1e-4)
    assert tumour[:4] == pytest.approx([0.26626, -0.03361, -0.06663, 0.14228], abs=1e-4)
