"""Which option a reply chooses: fixed rules, in order, and never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.misground.items import letter
from fiducial.misground.replies import choice

ORGANS = ("the liver (red box)", "the spleen (blue box)", "cannot be told from this slice")
PLAIN = ("the liver", "the left lobe of the liver", "the spleen")
YES = ("yes", "no")
FORMS = ["{}", "{}.", "({})", "Answer: {}", "The answer is {}.", " {} \n"]


@pytest.mark.parametrize(
    ("reply", "options", "place"),
    [
        ("A", ORGANS, 0),
        ("b", ORGANS, 1),
        ("(C)", ORGANS, 2),
        ("**B.**", ORGANS, 1),
        ("Answer: B", ORGANS, 1),
        ("The answer is (C).", ORGANS, 2),
        ("I first thought the answer is A, but the correct answer is B.", ORGANS, 1),
        ("B. the spleen (blue box)", ORGANS, 1),
        ("<think>A looks right</think>\nC", ORGANS, 2),
        ("<think>A</think><answer>B</answer>", ORGANS, 1),
        ("It cannot be told from this slice.", ORGANS, 2),
        ("the spleen (blue box)", ORGANS, 1),
        ("It is the left lobe of the liver.", PLAIN, 1),
        ("Yes", YES, 0),
        ("No, it lies below.", YES, 1),
        ("Reasoning first.\nB) no", YES, 1),
        ("", ORGANS, None),
        ("D", ORGANS, None),
        ("the liver or the spleen", PLAIN, None),
        ("A liver is a liver", ORGANS, None),
        ("the answer is a spleen of sorts", ORGANS, None),
        ("A. or B.", ORGANS, None),
        ("A. the liver\nB. the spleen", PLAIN, None),
        ("yes and no", YES, None),
        ("<think>A, I think, and so on", ORGANS, None),
    ],
)
def test_rules(reply, options, place):
    assert choice(reply, options) == place


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(reply):
    assert choice(reply, ORGANS) in (None, 0, 1, 2)


@given(
    st.integers(2, 6), st.data(), st.sampled_from(["{}", "{}.", "({})", "Answer: {}", "The answer is {}.", " {} \n"])
)
def test_a_letter_in_the_usual_forms_is_that_option(count, data, form):
    place = data.draw(st.integers(0, count - 1))
    options = tuple(f"structure {number}" for number in range(count))
    assert choice(form.format(letter(place)), options) == place
