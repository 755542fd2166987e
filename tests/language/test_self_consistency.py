"""Several answers made one: votes, and prompts that agree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import FrameError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.language.answers import Answer, Outcome
from fiducial.language.self_consistency import fuse, vote

FRAME = Frame.pixels(200, 100)


def found(*boxes, text="", **more):
    return Answer(Outcome.FOUND, Prompts.from_boxes(FRAME, boxes), text=text, raw=f"raw {text}", **more)


def other(outcome, text=""):
    return Answer(outcome, Prompts(FRAME), text=text, raw=text)


def boxes(answer):
    return [prompt.box for prompt in answer.prompts]


# -- votes --------------------------------------------------------------------------------------------


def test_what_is_said_most_often_wins():
    result = vote(["b", "a", None, "a", "c"])
    assert (result.choice, result.agreement, result.counts) == ("a", 0.4, (("a", 2), ("b", 1), ("c", 1)))
    assert vote(["b", "a"]).choice == "b"
    assert vote([None, None]) == vote([None])
    assert (vote([None]).choice, vote([None]).agreement, vote([None]).counts) == (None, 0.0, ())
    with pytest.raises(InputError, match="at least one reply"):
        vote([])


# -- prompts ------------------------------------------------------------------------------------------


def test_one_target_said_in_three_ways():
    result = fuse([found((10, 10, 50, 50)), found((12, 10, 52, 50)), found((10, 14, 50, 60))])
    assert result.outcome is Outcome.FOUND
    assert boxes(result) == [(10, 10, 50, 50)]
    # against the fused box: 1, then 38 x 40 of 2 x 1600 - 1520, then 40 x 36 of 1600 + 1840 - 1440
    assert result.prompts[0].score == pytest.approx((1 + 1520 / 1680 + 1440 / 2000) / 3)
    assert result.raw == "[1] raw \n\n[2] raw \n\n[3] raw "
    assert result.repairs == ("target 1: in 3 of 3 replies, agreement 0.87",)


def test_what_few_say_goes_and_what_most_say_stays():
    left, right, stray = (0, 0, 20, 20), (100, 0, 120, 20), (60, 60, 80, 80)
    result = fuse([found(left, right, text="a"), found(right, left, stray, text="b"), found(left, text="c")])
    assert boxes(result) == [left, right]  # in the order of the first that has both
    assert [prompt.score for prompt in result.prompts] == pytest.approx([1, 2 / 3])
    assert result.text == "a"
    assert boxes(fuse([found(left, right), found(left), found(left)])) == [left]
    assert boxes(fuse([found(left, right), found(left), found(left)], quorum=0)) == [left, right]
    assert boxes(fuse([found(left), found(right)])) == [left]  # none has more than half: one of the best supported
    assert boxes(fuse([found(left), found(right), found(right), found(stray)])) == [right]


def test_two_of_one_answer_are_never_one_target():
    close, closer = (0, 0, 20, 20), (1, 0, 21, 20)
    result = fuse([found(close, closer), found(close, closer)])
    assert boxes(result) == [close, closer]
    assert [prompt.score for prompt in result.prompts] == [1, 1]


def test_nothing_and_what_cannot_be_read():
    box = (0, 0, 20, 20)
    none, broken = other(Outcome.NO_TARGET, "nothing"), other(Outcome.MALFORMED, "?")
    result = fuse([none, none, found(box)])
    assert (result.outcome, result.text, len(result.prompts)) == (Outcome.NO_TARGET, "nothing", 0)
    assert result.repairs == ("2 of 3 replies find nothing",)
    result = fuse([found(box), none, broken])
    assert (result.outcome, boxes(result)) == (Outcome.FOUND, [box])
    assert result.prompts[0].score == 0.5
    assert result.repairs == ("1 of 3 replies could not be read", "target 1: in 1 of 2 replies, agreement 0.50")
    result = fuse([broken, other(Outcome.FAILED, "no memory")])
    assert (result.outcome, result.repairs) == (Outcome.MALFORMED, ("2 of 2 replies could not be read",))
    with pytest.raises(InputError, match="no answer to fuse"):
        fuse([])


def test_points_alone_are_one_target_where_they_are_near():
    def point(x, y):
        return Answer(Outcome.FOUND, Prompts(FRAME, (Prompt(FRAME, points=((x, y),)),)))

    reach = 0.1 * math.hypot(200, 100)
    result = fuse([point(50, 50), point(52, 50), point(50, 50 + 0.6 * reach)])
    assert result.prompts[0].points == ((50, 50),)
    assert result.prompts[0].score == pytest.approx((1 + 1 - 2 / reach) / 3)
    boxed = found((40, 40, 60, 60))
    assert len(fuse([point(50, 50), boxed], quorum=0).prompts) == 2


def test_drawn_masks_have_what_most_have():
    def drawn(*box):
        mask = Mask.from_box(box, 100, 200)
        return found(box, masks=(mask,))

    result = fuse([drawn(10, 10, 50, 50), drawn(10, 10, 40, 50), drawn(20, 10, 50, 50)])
    assert result.masks == (Mask.from_box((10, 10, 50, 50), 100, 200),)
    assert result.masks[0].score == result.prompts[0].score
    result = fuse([drawn(10, 10, 50, 50), drawn(10, 10, 40, 50)])
    assert result.masks == (Mask.from_box((10, 10, 40, 50), 100, 200),)
    assert fuse([drawn(10, 10, 50, 50), found((10, 10, 50, 50))]).masks == ()  # not all of them drew


def test_answers_about_different_pictures_are_not_fused():
    elsewhere = Answer(Outcome.FOUND, Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]))
    with pytest.raises(FrameError):
        fuse([found((0, 0, 20, 20)), elsewhere])


corners = st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 60), st.integers(1, 60))
answers = st.lists(
    st.lists(corners.map(lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3])), min_size=0, max_size=4),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40)
@given(answers)
def test_whatever_is_said(said):
    result = fuse([found(*row) if row else other(Outcome.NO_TARGET) for row in said])
    empty = sum(not row for row in said)
    assert (result.outcome is Outcome.NO_TARGET) == (empty > len(said) / 2)
    for prompt in result.prompts:
        assert 0 < prompt.score <= 1
        values = np.array([box for row in said for box in row])
        assert (values.min(0) <= prompt.box).all()
        assert (np.array(prompt.box) <= values.max(0)).all()
    assert len(result.prompts) <= max(map(len, said)) * 2
    same = fuse([found(*said[0])] * 3 if said[0] else [other(Outcome.NO_TARGET)])
    assert sorted(boxes(same)) == sorted(map(tuple, np.array(said[0], float).tolist()))
    assert all(prompt.score == pytest.approx(1) for prompt in same.prompts)
