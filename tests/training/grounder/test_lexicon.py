import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.training.grounder.lexicon import Lexicon


def test_the_mean_of_a_name_is_a_unit_vector_between_its_phrases(lexicon):
    means = lexicon.mean_vectors()
    assert means.shape == (9, 8)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1, rtol=1e-6)
    for mean, vectors in zip(means, lexicon.vectors, strict=True):
        assert (vectors @ mean).min() == pytest.approx((vectors @ mean).max(), abs=1e-6)


def test_phrases_are_drawn_the_name_itself_more_often(lexicon):
    random = np.random.default_rng(0)
    drawn = [lexicon.drawn_vectors(random) for _ in range(400)]
    plain = np.mean([np.array_equal(one[2], lexicon.vectors[2][0]) for one in drawn])
    assert 0.57 < plain < 0.73  # 0.3 + 0.7 / 2
    assert all(any(np.array_equal(one[2], vector) for vector in lexicon.vectors[2]) for one in drawn)


def test_some_of_the_names_can_be_kept(lexicon):
    some = lexicon.only(["tumour", "square"])
    assert some.names == ("square", "tumour")
    assert some.domains == ("shapes", "brain")
    assert np.array_equal(some.vectors[1], lexicon.vectors[-1])
    assert some.digest != lexicon.digest == lexicon.only(lexicon.names).digest


def test_the_packages_words_are_unit_vectors():
    shipped = Lexicon.shipped()
    assert {"airplane", "tumour", "disc"} <= set(shipped.names)
    assert shipped.size == 64
    for vectors in shipped.vectors:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "domains", "vectors", "message"),
    [
        ((), (), (), "each once, got none"),
        (("a", "a"), ("", ""), (np.ones((1, 2)),) * 2, "each once, got a, a"),
        (("a",), (), (np.ones((1, 2)),), "one domain"),
        (("a",), ("",), (np.ones((0, 2)),), "at least one phrase"),
        (("a", "b"), ("", ""), (np.ones((1, 2)), np.ones((1, 3))), "one length"),
    ],
)
def test_parts_that_do_not_fit_are_refused(names, domains, vectors, message):
    with pytest.raises(InputError, match=message):
        Lexicon(names, domains, vectors)
