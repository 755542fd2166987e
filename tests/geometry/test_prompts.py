import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fiducial.errors import FrameError, GeometryError
from fiducial.geometry import Frame, Prompt, Prompts

UNIT, PIXELS = Frame.unit(), Frame.pixels(200, 100)


def test_a_prompt_moves_with_its_frame():
    prompt = Prompt(
        UNIT, box=(0.1, 0.2, 0.5, 0.6), points=((0.25, 0.5), (0, 1)), point_labels=(1, 0), label="dog", score=1
    )
    moved = prompt.to(PIXELS)
    assert moved.box == pytest.approx((20, 20, 100, 60))
    assert moved.points == ((50, 50), (0, 100))
    assert (moved.label, moved.score, moved.labels) == ("dog", 1.0, (1, 0))
    assert prompt.to(UNIT) is prompt
    assert (moved.positive_points, moved.negative_points) == (((50, 50),), ((0, 100),))


def test_points_are_positive_unless_said():
    assert Prompt(UNIT, points=((0.5, 0.5),)).labels == (1,)
    more = Prompt(UNIT, points=((0.5, 0.5),)).with_points([(0.1, 0.1)]).with_points([(0.9, 0.9)], [0])
    assert more.labels == (1, 1, 0)


def test_values_become_plain_floats_and_cannot_be_changed():
    prompt = Prompt(UNIT, box=np.array([0, 0, 1, 1]), points=np.array([[0.5, 0.5]]))
    assert prompt == Prompt(UNIT, box=(0, 0, 1, 1), points=((0.5, 0.5),))
    assert hash(prompt) == hash(prompt.to(UNIT))
    with pytest.raises(AttributeError):
        prompt.box = None


def test_json_is_plain():
    prompt = Prompt(UNIT, points=((0.5, 0.25),), label="cat")
    expected = {"label": "cat", "score": None, "box": None, "points": [[0.5, 0.25]], "point_labels": [1]}
    assert prompt.as_json() == expected
    assert Prompts(UNIT, (prompt,)).as_json() == [expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "a box or at least one point"),
        ({"box": (0, 0, 0, 1)}, "x1 < x2"),
        ({"box": (1, 0, 0, 1)}, "x1 < x2"),
        ({"box": (0, 0, math.nan, 1)}, "4 finite numbers"),
        ({"box": (0, 0, 1)}, "4 finite numbers"),
        ({"box": "abcd"}, "4 numbers"),
        ({"points": ((0, math.inf),)}, "2 finite numbers"),
        ({"points": (3,)}, "2 numbers"),
        ({"points": ((0, 0),), "point_labels": (1, 1)}, "1 points but 2 point labels"),
        ({"points": ((0, 0),), "point_labels": (2,)}, "1 .on the target. or 0"),
        ({"box": (0, 0, 1, 1), "score": math.nan}, "finite"),
    ],
)
def test_impossible_prompts_are_refused(arguments, message):
    with pytest.raises(GeometryError, match=message):
        Prompt(UNIT, **arguments)


def test_prompts_are_a_sequence_in_one_frame():
    prompts = Prompts.from_boxes(UNIT, [(0, 0, 1, 1), (0, 0, 0.5, 0.5)], labels=["a", None], scores=[0.5, None])
    assert len(prompts) == 2
    assert [prompt.label for prompt in prompts] == ["a", None]
    assert prompts[:1] == Prompts(UNIT, prompts.items[:1])
    assert prompts[1].box == (0, 0, 0.5, 0.5)
    assert prompts.to(PIXELS).boxes.tolist() == [[0, 0, 200, 100], [0, 0, 100, 50]]


def test_boxes_of_points_are_missing_numbers():
    prompts = Prompts(UNIT, (Prompt(UNIT, points=((0, 0),)),))
    assert np.isnan(prompts.boxes).all()
    assert Prompts(UNIT).boxes.shape == (0, 4)


def test_mixing_frames_or_lengths_is_an_error():
    with pytest.raises(FrameError, match="convert with"):
        Prompts(PIXELS, (Prompt(UNIT, points=((0, 0),)),))
    with pytest.raises(GeometryError, match="1 boxes, 2 labels"):
        Prompts.from_boxes(UNIT, [(0, 0, 1, 1)], labels=["a", "b"])


number = st.floats(-60, 100, allow_nan=False)


@example([(0, 0, 1, 1)], [(3.0, -5e-324)])
@given(st.lists(st.tuples(number, number, number, number), max_size=4), st.lists(st.tuples(number, number), max_size=4))
def test_fitted_prompts_lie_inside(corners, points):
    frame = Frame.pixels(40, 30)
    boxes = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    items = [Prompt(frame, box=box, points=tuple(points)) for box in boxes]
    fitted, notes = Prompts(frame, tuple(items)).fitted()
    for prompt in fitted:
        if prompt.box is not None:
            x1, y1, x2, y2 = prompt.box
            assert 0 <= x1 < x2 <= 40
            assert 0 <= y1 < y2 <= 30
        assert all(0 <= x <= 40 and 0 <= y <= 30 for x, y in prompt.points)
    if tuple(fitted) != tuple(items):
        assert notes


def test_fitting_says_what_it_changed():
    frame = Frame.centred()
    prompts = Prompts(
        frame, (Prompt(frame, box=(-2, -0.5, 0.5, 0.5), points=((0, 0), (0, 1.5))), Prompt(frame, box=(2, 0, 3, 1)))
    )
    fitted, notes = prompts.fitted()
    assert [prompt.box for prompt in fitted] == [(-1, -0.5, 0.5, 0.5)]
    assert fitted[0].points == ((0, 0),)
    assert notes == (
        "target 1: its box was clipped to the image",
        "target 1: dropped 1 point outside the image",
        "target 2: its box lies outside the image",
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prompt(None, box=(0, 0, 1, 1)), "a prompt needs a Frame, got NoneType"),
        (lambda: Prompt(Frame.unit(), points=5), "points need to be a list or tuple, got 5"),
        (lambda: Prompt(Frame.unit(), points=[5]), "a point needs 2 numbers, got 5"),
        (lambda: Prompt(Frame.unit(), points=[(0, 0)], point_labels=1), "point labels need to be a list or tuple"),
        (lambda: Prompt(Frame.unit(), points=[(0, 0)], point_labels=["a"]), "point labels are 1"),
        (lambda: Prompt(Frame.unit(), box=(0, 0, 1, 1), score="high"), "a score needs 1 numbers"),
        (lambda: Prompts("pixels"), "prompts need a Frame, got str"),
        (lambda: Prompts(Frame.unit(), 5), "prompts need to be a list or tuple, got 5"),
        (lambda: Prompts(Frame.unit(), [(0, 0, 1, 1)]), "need to be of type Prompt, got tuple"),
        (lambda: Prompts(Frame.unit()).to(None) and Prompts(None), "prompts need a Frame, got NoneType"),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(GeometryError, match=message):
        make()


def test_the_numbers_are_those_of_boxes_and_points_in_order():
    frame = Frame.pixels(100, 100)
    both = Prompt(frame, box=(1, 2, 30, 40), points=((5, 6), (7, 8)), point_labels=(1, 0))
    prompts = Prompts(frame, (both, Prompt(frame, points=((9, 10),)), Prompt(frame, box=(11, 12, 13, 14))))
    assert prompts.numbers == [1, 2, 30, 40, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
