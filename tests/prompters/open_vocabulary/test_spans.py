"""Names in captions: every name keeps its own tokens."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.prompters.open_vocabulary.grounding_dino import Caption, Marks, Span, captions, name_scores

MARKS = Marks(start=101, between=1012, end=102)


def test_two_names_that_share_a_word():
    (caption,) = captions({"storage tank": [7, 8], "water tank": [9, 8]}, MARKS, 256)
    assert caption.tokens == (101, 7, 8, 1012, 9, 8, 1012, 102)
    assert caption.spans == (Span("storage tank", 1, 3), Span("water tank", 4, 6))
    assert caption.names == ("storage tank", "water tank")


def test_no_names_make_no_caption():
    assert captions({}, MARKS, 256) == []


def test_a_name_that_does_not_fit_goes_into_the_next_caption_whole():
    found = captions({"a": [1, 1], "b": [2, 2, 2], "c": [3]}, MARKS, 8)
    assert [caption.tokens for caption in found] == [(101, 1, 1, 1012, 102), (101, 2, 2, 2, 1012, 3, 1012, 102)]
    assert [caption.spans for caption in found] == [(Span("a", 1, 3),), (Span("b", 1, 4), Span("c", 5, 6))]


def test_three_hundred_names():
    found = captions({f"name {number}": [5, 6, number] for number in range(300)}, MARKS, 256)
    # Four tokens a name and two around them: 63 names a caption.
    assert [len(caption.spans) for caption in found] == [63, 63, 63, 63, 48]
    assert [len(caption.tokens) for caption in found] == [254] * 4 + [194]


@pytest.mark.parametrize(("tokens", "said"), [([], "has 0 tokens"), ([1] * 6, "has 6 tokens .* needs 1 to 5")])
def test_names_that_fit_no_caption(tokens, said):
    with pytest.raises(InputError, match=said):
        captions({"ship": [1], "odd": tokens}, MARKS, 8)
    assert len(captions({"odd": [1] * 5}, MARKS, 8)[0].tokens) == 8


@given(st.lists(st.lists(st.integers(2000, 3000), min_size=1, max_size=9), max_size=40), st.integers(12, 40))
def test_every_name_is_written_once_whole_and_in_order(words, limit):
    tokens = {f"name {number}": own for number, own in enumerate(words)}
    found = captions(tokens, MARKS, limit)
    assert [name for caption in found for name in caption.names] == list(tokens)
    for caption in found:
        assert (caption.tokens[0], caption.tokens[-1]) == (101, 102)
        assert len(caption.tokens) <= limit
        assert sum(token == 1012 for token in caption.tokens) == len(caption.spans)
        for span in caption.spans:
            assert list(caption.tokens[span.start : span.stop]) == tokens[span.name]
            assert caption.tokens[span.stop] == 1012
    for first, second in pairwise(found):  # the next name really had no room
        assert len(first.tokens) + len(tokens[second.names[0]]) + 1 > limit


def logit(fraction):
    return np.log(fraction / (1 - fraction))


def test_scores_come_from_a_names_own_tokens_alone():
    """The case in which reading tokens back would have said "cat dog"."""
    caption = Caption((101, 11, 1012, 12, 13, 1012, 102), (Span("cat", 1, 2), Span("hot dog", 3, 5)))
    logits = np.full((3, 9), -np.inf, dtype=np.float32)
    logits[0, [1, 3, 4]] = logit(0.9), logit(0.2), logit(0.6)  # both: each with its own score
    logits[1, [0, 2, 5, 6]] = 9  # marks and the end count for nothing
    logits[2, [7, 8]] = 9  # and neither does what stands beyond the caption
    scores = name_scores(logits, caption)
    assert scores == pytest.approx(np.array([[0.9, 0.6], [0, 0], [0, 0]]), abs=1e-6)


def test_a_shared_word_scores_each_time_where_it_stands():
    (caption,) = captions({"storage tank": [7, 8], "water tank": [9, 8]}, MARKS, 256)
    logits = np.full((1, 8), -5.0)
    logits[0, 5] = logit(0.8)  # the tank of "water tank"
    assert name_scores(logits, caption)[0] == pytest.approx([1 / (1 + np.exp(5)), 0.8])


def test_a_logit_that_is_no_number_stays_visible():
    caption = Caption((101, 11, 12, 1012, 102), (Span("cat", 1, 3),))
    assert np.isnan(name_scores(np.array([[0, 1, np.nan, 0, 0]]), caption)).all()
